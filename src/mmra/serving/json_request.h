#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mmra/bank/memory_bank.h"
#include "mmra/core/timestamp.h"

namespace mmra::serving {

/// The body of a request: one JSON object, nested no deeper than `kMaxJsonDepth`. Throws Refusal.
[[nodiscard]] nlohmann::json parse_body(std::string_view text);
inline constexpr int kMaxJsonDepth = 8;

inline constexpr std::size_t kMaxTitleBytes = 4096;
inline constexpr std::size_t kMaxContextColumns = 64;
inline constexpr std::size_t kMaxContextValueBytes = 1024;

/// The members of a request's object, each taken once: what is left when all have been taken is
/// not known here, and is refused. Every get throws Refusal with the member's name.
class RequestMembers {
 public:
  explicit RequestMembers(nlohmann::json object);

  [[nodiscard]] bool has(const char* name) const;
  [[nodiscard]] std::optional<std::string> text(const char* name, std::size_t max_bytes);
  [[nodiscard]] std::optional<double> number(const char* name);
  [[nodiscard]] std::optional<Timestamp> time(const char* name);
  [[nodiscard]] std::optional<std::vector<std::string>> texts(const char* name,
                                                              std::size_t max_items,
                                                              std::size_t max_bytes);
  /// An object of numbers and texts that fit the bank's columns; null is left out.
  [[nodiscard]] bank::Context context(const char* name, const bank::BankSchema& schema);
  /// The value itself, for those who know more; null where it is not there.
  [[nodiscard]] nlohmann::json take(const char* name);
  /// Throws Refusal that names what is left.
  void expect_empty() const;

 private:
  nlohmann::json object_;
};

/// RFC 3339, or seconds since 1970. Throws Refusal that names the member.
[[nodiscard]] Timestamp to_time(const std::string& name, const std::string& text);

/// A whole number within [minimum, maximum]. Throws Refusal that names the parameter.
[[nodiscard]] int to_integer(const std::string& name, const std::string& text, int minimum,
                             int maximum);

}  // namespace mmra::serving
