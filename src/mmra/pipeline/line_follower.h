#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>

namespace mmra::pipeline {

/// The lines of standard input, or of a file that grows. Not thread-safe.
class LineFollower {
 public:
  /// "-" is standard input. Throws Error{kNotFound} or {kIo} where the file cannot be read.
  LineFollower(const std::filesystem::path& source, std::stop_token stop);
  LineFollower(const LineFollower&) = delete;
  LineFollower& operator=(const LineFollower&) = delete;
  ~LineFollower();

  /// The next line, without its end; waits until it is there whole. Empty at the end of standard
  /// input (whose last line may lack a line break), and when stopped. Throws Error{kInvalidInput}
  /// for a line of more than 16 MiB, and where the file has become shorter or is another one.
  [[nodiscard]] std::optional<std::string_view> next();

  [[nodiscard]] std::int64_t line() const { return line_; }  ///< of the last one, from 1
  [[nodiscard]] const std::string& name() const { return name_; }
  /// Where relative paths in the lines begin.
  [[nodiscard]] std::filesystem::path folder() const;

 private:
  /// Appends what there is; false at the end, when stopped, and where a file has not grown.
  bool read_more();
  void check_file() const;

  std::filesystem::path source_;
  std::string name_;
  std::stop_token stop_;
  int descriptor_ = -1;
  std::string buffer_;
  std::size_t begin_ = 0;    ///< of what was not given yet
  std::size_t scanned_ = 0;  ///< up to where no line break is
  std::int64_t size_read_ = 0;
  std::int64_t line_ = 0;
  bool at_end_ = false;
};

}  // namespace mmra::pipeline
