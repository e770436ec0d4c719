#pragma once

#include <csv.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace mmra::bank {

/// Fills the buffer and says how many bytes it got; 0 at the end. May give fewer than asked.
using ByteSource = std::function<std::size_t(std::span<char> buffer)>;

/// A source over an open descriptor, which the caller keeps open. Throws Error{kIo} naming `name`.
[[nodiscard]] ByteSource descriptor_source(int descriptor, std::string name);

/// A source of text in pieces: what UTF-8 text files have in common. A byte order mark is dropped;
/// UTF-16 is Error{kInvalidInput}. Not thread-safe.
class TextInput {
 public:
  TextInput(ByteSource source, std::string name);

  /// What is there and not yet consumed; empty at the end only.
  [[nodiscard]] std::string_view peek();
  /// The same with something other than blanks and line breaks in it, where what is left does not
  /// begin with 64 KiB of those.
  [[nodiscard]] std::string_view peek_past_blanks();
  void consume(std::size_t size_bytes) { begin_ += size_bytes; }
  [[nodiscard]] const std::string& name() const { return name_; }

 private:
  void refill();
  void drop_byte_order_mark();

  ByteSource source_;
  std::string name_;
  std::vector<char> buffer_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  bool started_ = false;
};

/// The largest field (CSV) or line (JSON Lines) that is read: beyond it, a quote was left open.
inline constexpr std::size_t kMaxFieldBytes = std::size_t{16} << 20;

/// One record of a CSV file. Fields are unquoted.
struct CsvRow {
  std::int64_t line = 0;  ///< of its first character, from 1
  std::vector<std::string> fields;
  std::vector<std::int64_t> field_lines;  ///< where each field begins
};

/// RFC 4180 by libcsv in strict mode: fields may hold line breaks and doubled quotes inside quotes;
/// spaces are kept; records end with LF, CRLF or CR; blank lines are skipped. Constant memory. Not
/// thread-safe.
class CsvReader {
 public:
  /// `input` must outlive the reader.
  explicit CsvReader(TextInput& input, char delimiter = ',');
  CsvReader(const CsvReader&) = delete;
  CsvReader& operator=(const CsvReader&) = delete;
  ~CsvReader();

  /// The next record; empty at the end. Throws Error{kInvalidInput} with file, line and column
  /// number for a stray or unclosed quote or a field beyond kMaxFieldBytes.
  [[nodiscard]] std::optional<CsvRow> next();

 private:
  /// Feeds libcsv up to the end of one line, so that a callback's line is known.
  void feed(std::string_view piece);
  void finish();
  std::optional<CsvRow> take_row();
  [[noreturn]] void fail(const std::string& what) const;

  TextInput& input_;
  csv_parser parser_{};
  CsvRow row_;
  std::int64_t line_ = 1;        ///< of the next byte
  std::int64_t field_line_ = 1;  ///< where the field being read began
  bool after_carriage_return_ = false;
  bool in_row_ = false;
  bool row_complete_ = false;
  bool at_end_ = false;
};

/// Every record of a CSV file, the header included. Throws Error as CsvReader and for files that
/// cannot be read.
void read_csv(const std::filesystem::path& file, const std::function<void(const CsvRow&)>& visit);

}  // namespace mmra::bank
