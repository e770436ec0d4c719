#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "mmra/serving/http_message.h"
#include "mmra/serving/multipart.h"

namespace mmra::serving {

/// Takes the body of a request piece by piece: text into memory, the file of a form onto disk.
/// Throws Refusal as soon as a limit is passed or what comes cannot be right.
class BodyReader {
 public:
  /// `content_type` is the request's. Throws Refusal{415} where the plan wants a form and it is
  /// none.
  BodyReader(const BodyPlan& plan, const std::string& content_type,
             std::filesystem::path upload_directory);

  void append(std::string_view bytes);
  /// At the body's end: moves what came into `request`.
  void finish(Request& request);

 private:
  BodyPlan plan_;
  std::uint64_t num_bytes_ = 0;
  std::string text_;
  std::optional<MultipartReader> form_;
};

}  // namespace mmra::serving
