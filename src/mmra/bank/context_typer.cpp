#include "mmra/bank/context_typer.h"

#include <charconv>
#include <cmath>

namespace mmra::bank {
namespace {

constexpr std::size_t kMaxExactDigits = 15;

std::size_t count_digits(std::string_view text) {
  std::size_t count = 0;
  while (count < text.size() && text[count] >= '0' && text[count] <= '9') ++count;
  return count;
}

}  // namespace

std::string_view name_of(ColumnType type) noexcept {
  return type == ColumnType::kNumber ? "number" : "category";
}

std::optional<double> parse_number(std::string_view text) noexcept {
  const std::string_view magnitude = text.starts_with('-') ? text.substr(1) : text;
  const std::size_t whole_digits = count_digits(magnitude);
  if (whole_digits == 0) return std::nullopt;
  if (whole_digits > 1 && magnitude.front() == '0') return std::nullopt;
  const bool is_whole = whole_digits == magnitude.size();
  if (is_whole && whole_digits > kMaxExactDigits) return std::nullopt;
  if (!is_whole && magnitude[whole_digits] == '.' &&
      count_digits(magnitude.substr(whole_digits + 1)) == 0) {
    return std::nullopt;
  }
  double value = 0.0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (code != std::errc() || end != text.data() + text.size() || !std::isfinite(value)) {
    return std::nullopt;
  }
  return value;
}

std::optional<ColumnType> ContextTyper::observe(const std::string& column, bool is_number) {
  const ColumnType type_of_value = is_number ? ColumnType::kNumber : ColumnType::kCategory;
  const auto [entry, added] = types_.try_emplace(column, type_of_value);
  ColumnType& type = entry->second;
  if (type == ColumnType::kCategory || is_number) {
    // A stream cannot take back that an earlier value was a category, nor needs to: every number
    // has a text.
    return type;
  }
  if (mode_ == Mode::kFirstValue || is_known(column)) return std::nullopt;
  type = ColumnType::kCategory;
  return type;
}

}  // namespace mmra::bank
