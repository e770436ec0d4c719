#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "mmra/bank/record.h"
#include "mmra/core/files.h"

namespace mmra::bank {

/// Writes a CSV file as RFC 4180 says, with LF; whole under its name after commit(), or not at all.
class ManifestWriter {
 public:
  ManifestWriter(const std::filesystem::path& file, const std::vector<std::string>& columns);

  /// As many fields as columns. Throws Error{kIo}.
  void add_row(const std::vector<std::string>& fields);
  void commit();

 private:
  void flush();

  AtomicFile file_;
  std::size_t num_columns_;
  std::string buffer_;
};

/// How values are written so that they are read back as they were.
[[nodiscard]] std::string to_text(double number);
[[nodiscard]] std::string to_text(const ContextValue& value);
[[nodiscard]] std::string to_text(Timestamp time);

/// Writes rows with the columns id, title, popularity, posted_at, split, video and then
/// `context_columns`. What a record lacks is an empty cell.
class RecordWriter {
 public:
  RecordWriter(const std::filesystem::path& file, std::vector<std::string> context_columns);
  void add(const Record& record);
  void commit() { writer_.commit(); }

 private:
  std::vector<std::string> context_columns_;
  ManifestWriter writer_;
};

}  // namespace mmra::bank
