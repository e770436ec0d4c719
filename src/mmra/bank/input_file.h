#pragma once

#include <filesystem>

#include "mmra/bank/csv_reader.h"

namespace mmra::bank {

/// A text file open for reading, or standard input where the path is "-".
class InputFile {
 public:
  /// Throws Error{kNotFound|kIo}; a directory is kInvalidInput.
  explicit InputFile(const std::filesystem::path& path);
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;
  ~InputFile();

  /// Lives no longer than the file.
  [[nodiscard]] ByteSource source() const { return descriptor_source(descriptor_, name_); }
  [[nodiscard]] const std::string& name() const { return name_; }
  /// A pipe or a terminal can be read once only.
  [[nodiscard]] bool can_be_read_again() const { return regular_; }

 private:
  std::string name_;
  int descriptor_ = -1;
  bool owned_ = false;
  bool regular_ = false;
};

}  // namespace mmra::bank
