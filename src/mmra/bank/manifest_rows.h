#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "mmra/bank/csv_reader.h"

namespace mmra::bank {

/// A value of a manifest as it was written, with where it stands.
struct RawValue {
  enum class Kind {
    kText,    ///< a CSV cell: a number where it looks like one
    kString,  ///< a JSON string
    kNumber,  ///< a JSON number
    kOther,   ///< a JSON boolean
  };
  std::string column;
  std::string text;
  Kind kind = Kind::kText;
  std::int64_t line = 0;
  int position = 0;  ///< of the column, from 1; 0: a JSON key
};

/// One row before any column is understood. Empty cells and nulls are among the values, with an
/// empty text.
struct RawRow {
  std::int64_t line = 0;
  std::vector<RawValue> values;

  [[nodiscard]] const RawValue* find(std::string_view column) const;
};

/// Rows of a manifest in one of its two forms. All text is UTF-8. Throws Error{kInvalidInput} with
/// file, line and column.
class RawRowReader {
 public:
  RawRowReader() = default;
  RawRowReader(const RawRowReader&) = delete;
  RawRowReader& operator=(const RawRowReader&) = delete;
  virtual ~RawRowReader() = default;
  [[nodiscard]] virtual std::optional<RawRow> next() = 0;
};

/// CSV or JSON Lines, whichever the first byte says ("{": JSON Lines). A CSV must have the columns
/// in `required`. `input` must outlive the reader.
[[nodiscard]] std::unique_ptr<RawRowReader> open_raw_rows(TextInput& input,
                                                          const std::vector<std::string>& required);

/// One line of JSON Lines on its own; `line` is its number in messages. Throws as RawRowReader
/// does.
[[nodiscard]] RawRow read_json_line(std::string_view text, std::int64_t line,
                                    const std::string& name);

/// Error{kInvalidInput} "NAME, line 3, column 2 (title): WHAT" (or "key \"title\"").
[[noreturn]] void fail_at(const std::string& file, const RawValue& value, const std::string& what);
[[noreturn]] void fail_at_line(const std::string& file, std::int64_t line, const std::string& what);

}  // namespace mmra::bank
