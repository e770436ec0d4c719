#include "mmra/pipeline/export/count.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <string>
#include <utility>
#include <vector>

#include "mmra/text/utf8.h"

namespace mmra::pipeline {
namespace {

// More is no count but an identifier, or an attack.
constexpr std::size_t kMaxCellBytes = 64;
constexpr double kLargest = 1e18;

bool is_digit(char32_t c) { return c >= U'0' && c <= U'9'; }

bool is_group_mark(char32_t c) {
  return c == U' ' || c == U'\'' || c == U'’' || c == U'٬' || c == U'_';
}

bool is_separator(char32_t c) { return c == U'.' || c == U',' || is_group_mark(c); }

std::u32string trimmed(std::u32string text) {
  const auto is_space = [](char32_t c) { return c == U' ' || c == U'\t'; };
  text.erase(std::find_if_not(text.rbegin(), text.rend(), is_space).base(), text.end());
  text.erase(text.begin(), std::find_if_not(text.begin(), text.end(), is_space));
  return text;
}

/// By what a suffix multiplies; nothing for one that is not known.
std::optional<double> multiplier_of(const std::u32string& suffix) {
  static const std::vector<std::pair<double, std::vector<std::u32string>>> kSuffixes = {
      {1.0, {U"", U"次", U"回", U"회"}},
      {1e3, {U"k", U"tsd", U"tsd.", U"mil", U"千", U"천"}},
      {1e4, {U"万", U"萬", U"w", U"만", U"万次", U"万回", U"만회"}},
      {1e6, {U"m", U"mio", U"mio.", U"mln", U"mn", U"mi"}},
      {1e8, {U"亿", U"億", U"억", U"亿次", U"億回", U"억회"}},
      {1e9, {U"b", U"bn", U"mrd", U"mrd.", U"mld", U"md", U"bi"}}};
  for (const auto& [multiplier, names] : kSuffixes) {
    if (std::find(names.begin(), names.end(), suffix) != names.end()) return multiplier;
  }
  return std::nullopt;
}

/// A cell cut into its digits, the marks between them, and what stands behind.
struct Pieces {
  std::vector<std::string> groups;  ///< digits; none is empty
  std::u32string marks;             ///< between them
  double multiplier = 1.0;
};

std::optional<Pieces> cut(std::string_view cell) {
  if (cell.size() > kMaxCellBytes) return std::nullopt;
  const std::u32string text = trimmed(text::normalize(cell));
  const auto body_end = std::find_if_not(text.begin(), text.end(),
                                         [](char32_t c) { return is_digit(c) || is_separator(c); });
  const auto multiplier = multiplier_of(trimmed({body_end, text.end()}));
  if (!multiplier) return std::nullopt;
  Pieces pieces;
  pieces.multiplier = *multiplier;
  std::string group;
  for (const char32_t c : trimmed({text.begin(), body_end})) {
    if (is_digit(c)) {
      group += static_cast<char>(c);
      continue;
    }
    if (group.empty()) return std::nullopt;
    pieces.groups.push_back(std::move(group));
    group.clear();
    pieces.marks += c;
  }
  if (group.empty()) return std::nullopt;
  pieces.groups.push_back(std::move(group));
  return pieces;
}

/// How the last mark of a number is to be read.
enum class LastMark { kNone, kGroups, kDecimal, kEither };

LastMark read_last_mark(const Pieces& pieces) {
  if (pieces.marks.empty()) return LastMark::kNone;
  const char32_t last = pieces.marks.back();
  if (is_group_mark(last)) return LastMark::kGroups;
  if (std::count(pieces.marks.begin(), pieces.marks.end(), last) > 1) return LastMark::kGroups;
  if (pieces.marks.size() > 1) return LastMark::kDecimal;  // another mark stands before it
  const std::string& before = pieces.groups.front();
  const bool may_group = pieces.groups.back().size() == 3 && before.size() <= 3 && before[0] != '0';
  return may_group ? LastMark::kEither : LastMark::kDecimal;
}

/// The whole part's groups: 1 to 3 digits, then threes; after commas also twos before the last
/// three ("1,23,456", as India writes).
bool groups_are_sound(const Pieces& pieces, std::size_t num_groups) {
  if (num_groups == 1) return true;
  const std::u32string marks = pieces.marks.substr(0, num_groups - 1);
  const bool one_kind =
      std::all_of(marks.begin(), marks.end(), [&](char32_t mark) { return mark == marks.front(); });
  if (!one_kind || pieces.groups.front().size() > 3) return false;
  for (std::size_t i = 1; i < num_groups; ++i) {
    const std::size_t size = pieces.groups[i].size();
    const bool indian = size == 2 && i + 1 < num_groups && marks.front() == U',';
    if (size != 3 && !indian) return false;
  }
  return true;
}

double to_number(const Pieces& pieces, bool last_is_decimal) {
  std::string digits;
  for (std::size_t i = 0; i < pieces.groups.size(); ++i) {
    if (last_is_decimal && i + 1 == pieces.groups.size()) digits += '.';
    digits += pieces.groups[i];
  }
  double value = 0.0;
  std::from_chars(digits.data(), digits.data() + digits.size(), value);
  return value * pieces.multiplier;
}

std::string problem_with(std::string_view cell) {
  std::u32string text = trimmed(text::normalize(cell.substr(0, kMaxCellBytes)));
  if (!text.empty() && (text.front() == U'-' || text.front() == U'−')) {
    return "is below 0, which no count is";
  }
  if (!text.empty() && text.back() == U'+') {
    return "is a lower bound (\"+\"), not a number; export exact figures";
  }
  if (!text.empty() && text.back() == U'%') return "is a percentage, not a count";
  return "is no number";
}

}  // namespace

bool is_unknown(std::string_view cell) {
  if (cell.size() > kMaxCellBytes) return false;
  const std::u32string text = trimmed(text::normalize(cell));
  static const std::array<std::u32string, 10> kUnknown = {U"",    U"-",  U"--",   U"–",    U"—",
                                                          U"n/a", U"na", U"null", U"none", U"nan"};
  return std::find(kUnknown.begin(), kUnknown.end(), text) != kUnknown.end();
}

std::optional<char> decimal_evidence(std::string_view cell) {
  const auto pieces = cut(cell);
  if (!pieces) return std::nullopt;
  const LastMark last = read_last_mark(*pieces);
  if (last == LastMark::kDecimal) return static_cast<char>(pieces->marks.back());
  if (last != LastMark::kGroups || is_group_mark(pieces->marks.back())) return std::nullopt;
  return pieces->marks.back() == U'.' ? ',' : '.';
}

CountCell parse_count(std::string_view cell, std::optional<char> decimal) {
  const auto pieces = cut(cell);
  if (!pieces) return {std::nullopt, problem_with(cell)};
  LastMark last = read_last_mark(*pieces);
  if (last == LastMark::kEither) {
    const char mark = static_cast<char>(pieces->marks.back());
    if (!decimal && mark == '.') {
      return {
          std::nullopt,
          "may be a whole number or a fraction; say which mark is the decimal one with --decimal "
          "\".\" or --decimal \",\""};
    }
    last = decimal.value_or('.') == mark ? LastMark::kDecimal : LastMark::kGroups;
  }
  const bool fraction = last == LastMark::kDecimal;
  const bool against =
      decimal &&
      ((fraction && static_cast<char>(pieces->marks.back()) != *decimal) ||
       (last == LastMark::kGroups && pieces->marks.back() == static_cast<char32_t>(*decimal)));
  if (against) {
    return {std::nullopt,
            std::string("does not fit the decimal mark \"") + *decimal + "\" of this column"};
  }
  if (!groups_are_sound(*pieces, pieces->groups.size() - (fraction ? 1 : 0))) {
    return {std::nullopt, "is no number: its digits are not grouped by threes"};
  }
  const double value = to_number(*pieces, fraction);
  if (!(value <= kLargest)) return {std::nullopt, "is larger than any count"};
  return {value, {}};
}

}  // namespace mmra::pipeline
