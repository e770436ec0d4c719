#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "mmra/bank/memory_bank.h"

namespace mmra::bank {

using ColumnTypes = std::map<std::string, ColumnType>;

[[nodiscard]] std::string_view name_of(ColumnType type) noexcept;  ///< "number", "category"

/// The value of a text that is written as JSON writes numbers: no leading zeros or "+", no "inf" or
/// "nan", finite. Whole numbers of more than 15 digits are identifiers, not numbers (a double would
/// change them). Empty where it is no number.
[[nodiscard]] std::optional<double> parse_number(std::string_view text) noexcept;

/// Decides what a context column is. A column that is known (from the bank) keeps its type; another
/// gets one from its values, each of which is either a number or not.
class ContextTyper {
 public:
  enum class Mode {
    kWholeColumn,  ///< numbers until a value is none: then categories, the earlier ones too
    kFirstValue,   ///< the first value decides
  };
  ContextTyper(ColumnTypes known, Mode mode)
      : types_(known), known_(std::move(known)), mode_(mode) {}

  /// The type under which a value is kept now; empty where it does not fit the column: a number is
  /// needed, and it is none.
  [[nodiscard]] std::optional<ColumnType> observe(const std::string& column, bool is_number);
  [[nodiscard]] bool is_known(const std::string& column) const { return known_.contains(column); }
  /// Of all columns that are known or had a value.
  [[nodiscard]] const ColumnTypes& types() const { return types_; }

 private:
  ColumnTypes types_;
  ColumnTypes known_;
  Mode mode_;
};

}  // namespace mmra::bank
