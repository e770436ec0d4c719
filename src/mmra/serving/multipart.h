#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "mmra/serving/http_message.h"

namespace mmra::serving {

struct FormLimits {
  std::size_t max_fields = 0;
  std::size_t max_field_bytes = 0;
};

/// The boundary of a Content-Type multipart/form-data. Throws Refusal{415} for another type, {400}
/// for a boundary that cannot be one (RFC 2046: 1 to 70 characters of a few kinds).
[[nodiscard]] std::string boundary_of(const std::string& content_type);

/// Reads a body of multipart/form-data (RFC 7578) in pieces of any size; holds a line of it and one
/// field, never the file. The part named "video" goes to disk, once; every other part is a field of
/// UTF-8 text. Throws Refusal.
class MultipartReader {
 public:
  MultipartReader(const std::string& boundary, const FormLimits& limits,
                  std::filesystem::path upload_directory);

  void append(std::string_view bytes);
  /// Throws Refusal where the closing boundary has not come.
  [[nodiscard]] Form finish();

 private:
  enum class State { kPreamble, kAfterBoundary, kHeaders, kContent, kEpilogue };

  /// Each consumes from the front of `pending_`; false where it needs more bytes.
  bool skip_preamble();
  bool read_boundary_end();
  bool read_header_line();
  bool read_content();
  void begin_part();
  void take_content(std::string_view bytes);
  void end_part();

  std::string delimiter_;  ///< CR LF "--" boundary
  FormLimits limits_;
  std::filesystem::path upload_directory_;
  State state_ = State::kPreamble;
  std::string pending_ = "\r\n";  ///< so that a boundary at the very start is one like others
  std::size_t header_bytes_ = 0;
  std::string disposition_;
  std::string part_name_;
  bool part_is_file_ = false;
  std::string field_;
  Form form_;
};

/// The value of a parameter (name="…" or name=…) of a header field; empty where there is none.
[[nodiscard]] std::optional<std::string> header_parameter(std::string_view header,
                                                          std::string_view name);

[[nodiscard]] Problem body_too_large(std::uint64_t max_bytes);

}  // namespace mmra::serving
