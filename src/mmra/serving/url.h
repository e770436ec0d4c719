#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace mmra::serving {

/// The target of a request, taken apart.
struct Target {
  std::string path;                   ///< as it came
  std::vector<std::string> segments;  ///< percent-decoded; a "/" inside one stays in it
  std::map<std::string, std::string> query;
};

/// Empty where `target` is no absolute path ("/…"), has a broken escape, what is not UTF-8 once it
/// is decoded, or a query parameter twice.
[[nodiscard]] std::optional<Target> parse_target(std::string_view target);

/// `text` as one segment of a path: everything but unreserved characters escaped.
[[nodiscard]] std::string escape_segment(std::string_view text);

}  // namespace mmra::serving
