#include "mmra/pipeline/export/date.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <ctime>
#include <vector>

#include "mmra/text/utf8.h"

namespace mmra::pipeline {
namespace {

constexpr std::size_t kMaxCellBytes = 96;
constexpr int kFirstYear = 1970;
constexpr int kLastYear = 2200;

bool is_digit(char32_t c) { return c >= U'0' && c <= U'9'; }
bool is_ascii_letter(char32_t c) { return c >= U'a' && c <= U'z'; }
bool is_letter(char32_t c) { return is_ascii_letter(c) || c > 0x7F; }

/// In lower case, as text::normalize gives them.
const std::vector<std::vector<std::u32string>>& month_names() {
  static const std::vector<std::vector<std::u32string>> kNames = {
      {U"january", U"januar", U"janvier", U"enero", U"janeiro", U"gennaio"},
      {U"february", U"februar", U"février", U"fevrier", U"febrero", U"fevereiro", U"febbraio"},
      {U"march", U"märz", U"maerz", U"mars", U"marzo", U"março"},
      {U"april", U"avril", U"abril", U"aprile"},
      {U"may", U"mai", U"mayo", U"maio", U"maggio"},
      {U"june", U"juni", U"juin", U"junio", U"junho", U"giugno"},
      {U"july", U"juli", U"juillet", U"julio", U"julho", U"luglio"},
      {U"august", U"août", U"aout", U"agosto"},
      {U"september", U"septembre", U"septiembre", U"setiembre", U"setembro", U"settembre"},
      {U"october", U"oktober", U"octobre", U"octubre", U"outubro", U"ottobre"},
      {U"november", U"novembre", U"noviembre", U"novembro"},
      {U"december", U"dezember", U"décembre", U"decembre", U"diciembre", U"dezembro", U"dicembre"}};
  return kNames;
}

/// 1 … 12 for a month's name or at least three letters of its beginning; 0 for another word.
int month_of(const std::u32string& word) {
  if (word.size() < 3) return 0;
  for (std::size_t month = 0; month < month_names().size(); ++month) {
    for (const std::u32string& name : month_names()[month]) {
      if (name.compare(0, word.size(), word) == 0) return static_cast<int>(month) + 1;
    }
  }
  return 0;
}

bool means_nothing(const std::u32string& word) {
  static const std::vector<std::u32string> kWords = {
      U"t",         U"de",       U"del",    U"of",       U"at",    U"um",     U"uhr",
      U"le",        U"st",       U"nd",     U"rd",       U"th",    U"mon",    U"tue",
      U"wed",       U"thu",      U"fri",    U"sat",      U"sun",   U"monday", U"tuesday",
      U"wednesday", U"thursday", U"friday", U"saturday", U"sunday"};
  return std::find(kWords.begin(), kWords.end(), word) != kWords.end();
}

struct Number {
  int value = 0;
  std::size_t num_digits = 0;
};

/// What a cell says, before it is known which of its numbers is which.
struct Reading {
  std::vector<Number> numbers;  ///< of the date
  std::u32string marks;         ///< between and after them: '/', '-', '.', or another
  int month = 0;                ///< by name
  std::optional<int> hour;
  int minute = 0;
  int second = 0;
  int ms = 0;
  std::optional<bool> afternoon;
  std::optional<int> offset_minutes;
  bool sound = true;
};

/// Reads a cell once from left to right.
class Scanner {
 public:
  explicit Scanner(std::u32string text) : text_(std::move(text)) {}

  Reading read() {
    while (at_ < text_.size() && reading_.sound) {
      const char32_t c = text_[at_];
      if (is_digit(c)) {
        take_number_or_clock();
      } else if (is_letter(c)) {
        take_word();
      } else if (c == U'+' || (c == U'-' && after_clock_)) {
        take_offset();
      } else {
        take_mark(c);
      }
    }
    return std::move(reading_);
  }

 private:
  void fail() { reading_.sound = false; }

  Number digits() {
    Number number;
    while (at_ < text_.size() && is_digit(text_[at_])) {
      if (number.num_digits < 9)
        number.value = number.value * 10 + static_cast<int>(text_[at_] - U'0');
      ++number.num_digits;
      ++at_;
    }
    return number;
  }

  bool take(char32_t c) {
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  bool take(std::u32string_view word) {
    if (text_.compare(at_, word.size(), word) != 0) return false;
    at_ += word.size();
    return true;
  }
  [[nodiscard]] bool digit_follows() const { return at_ < text_.size() && is_digit(text_[at_]); }

  void take_number_or_clock() {
    const Number number = digits();
    const bool colon = at_ + 1 < text_.size() && text_[at_] == U':' && is_digit(text_[at_ + 1]);
    if (colon) {
      ++at_;
      return take_clock(number.value);
    }
    if (take(U"时") || take(U"時") || take(U"点") || take(U"點") || take(U"시")) {
      return take_spelled_clock(number.value);
    }
    const std::size_t before = at_;
    while (take(U' ')) {
    }
    if (!reading_.hour &&
        (text_.compare(at_, 2, U"am") == 0 || text_.compare(at_, 2, U"pm") == 0)) {
      return set_clock(number.value, 0, 0, 0);  // "9 pm"
    }
    at_ = before;
    if (number.num_digits > 4) return fail();
    reading_.numbers.push_back(number);
    after_clock_ = false;
  }

  void set_clock(int hour, int minute, int second, int ms) {
    if (reading_.hour || hour > 24 || minute > 59 || second > 60) return fail();
    reading_.hour = hour;
    reading_.minute = minute;
    reading_.second = second;
    reading_.ms = ms;
    after_clock_ = true;
  }

  void take_clock(int hour) {
    const Number minute = digits();
    Number second;
    int ms = 0;
    if (take(U':')) second = digits();
    if (second.num_digits > 0 && (take(U'.') || take(U','))) {
      std::size_t place = 100;
      while (digit_follows()) {
        ms += static_cast<int>((text_[at_++] - U'0') * place);
        place /= 10;
      }
    }
    set_clock(hour, minute.value, second.value, ms);
  }

  void take_spelled_clock(int hour) {
    while (take(U' ')) {
    }
    const Number minute = digits();
    if (minute.num_digits > 0 && !take(U"分") && !take(U"분")) return fail();
    while (take(U' ')) {
    }
    const Number second = minute.num_digits > 0 ? digits() : Number{};
    if (second.num_digits > 0 && !take(U"秒") && !take(U"초")) return fail();
    set_clock(hour, minute.value, second.value, 0);
  }

  void take_word() {
    if (take(U"上午") || take(U"오전") || take(U"午前")) return set_half(false);
    if (take(U"下午") || take(U"오후") || take(U"午後")) return set_half(true);
    for (const char32_t c : {U'年', U'月', U'日', U'号', U'號', U'년', U'월', U'일'}) {
      if (take(c)) return take_mark_again(c);
    }
    for (const std::u32string_view day : {U"星期", U"周", U"週"}) {
      if (take(day)) {
        ++at_;  // which one
        return;
      }
    }
    std::u32string word;
    while (at_ < text_.size() && is_letter(text_[at_])) word += text_[at_++];
    take_plain_word(word);
  }

  void take_plain_word(const std::u32string& word) {
    if (word == U"am" || word == U"pm") return set_half(word == U"pm");
    if ((word == U"a" || word == U"p") && take(U".m")) {
      (void)take(U'.');
      return set_half(word == U"p");
    }
    if (word == U"z" || word == U"utc" || word == U"gmt") {
      reading_.offset_minutes = 0;
      after_clock_ = true;  // "utc-8"
      return;
    }
    if (const int month = month_of(word); month > 0 && reading_.month == 0) {
      reading_.month = month;
      return;
    }
    if (!means_nothing(word)) fail();
  }

  void set_half(bool afternoon) {
    if (reading_.afternoon) return fail();
    reading_.afternoon = afternoon;
  }

  void take_offset() {
    const bool west = text_[at_] == U'-';
    ++at_;
    const Number first = digits();
    int minutes = 0;
    if (first.num_digits == 4) {
      minutes = first.value / 100 * 60 + first.value % 100;
    } else if (first.num_digits == 1 || first.num_digits == 2) {
      minutes = first.value * 60;
      if (take(U':')) minutes += digits().value;
    } else {
      return fail();
    }
    if (minutes > 14 * 60 || (!after_clock_ && !reading_.hour)) return fail();
    reading_.offset_minutes = west ? -minutes : minutes;
    after_clock_ = false;
  }

  void take_mark(char32_t c) {
    static constexpr std::u32string_view kMarks = U" ,./-·()\t";
    if (kMarks.find(c) == std::u32string_view::npos) return fail();
    ++at_;
    take_mark_again(c);
  }
  void take_mark_again(char32_t c) {
    if (c != U' ' && c != U'\t') reading_.marks += c;
  }

  std::u32string text_;
  std::size_t at_ = 0;
  Reading reading_;
  bool after_clock_ = false;
};

std::u32string trimmed(std::string_view cell) {
  std::u32string text = text::normalize(cell);
  const auto is_space = [](char32_t c) { return c == U' ' || c == U'\t'; };
  text.erase(std::find_if_not(text.rbegin(), text.rend(), is_space).base(), text.end());
  text.erase(text.begin(), std::find_if_not(text.begin(), text.end(), is_space));
  return text;
}

Reading read_cell(std::string_view cell) {
  if (cell.size() > kMaxCellBytes) {
    Reading none;
    none.sound = false;
    return none;
  }
  return Scanner(trimmed(cell)).read();
}

bool is_all_digits(const std::u32string& text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), is_digit);
}

/// Three numbers that do not begin with the year.
bool has_an_order(const Reading& reading) {
  return reading.sound && reading.month == 0 && reading.numbers.size() == 3 &&
         reading.numbers[0].num_digits <= 2 && reading.numbers[2].num_digits != 3;
}

std::optional<DateOrder> order_of(const Reading& reading) {
  if (!has_an_order(reading)) return std::nullopt;
  const int first = reading.numbers[0].value;
  const int second = reading.numbers[1].value;
  if (first > 12 && second <= 12) return DateOrder::kDayFirst;
  if (second > 12 && first <= 12) return DateOrder::kMonthFirst;
  // Points stand between day, month and year, never the other way round.
  const bool points =
      reading.marks.size() >= 2 && reading.marks[0] == U'.' && reading.marks[1] == U'.';
  return points ? std::optional(DateOrder::kDayFirst) : std::nullopt;
}

struct Day {
  int year = 0;
  int month = 0;
  int day = 0;
  std::string problem;
};

Day named_month(const Reading& reading, const DateOptions& options) {
  Day date{0, reading.month, 0, {}};
  for (const Number& number : reading.numbers) {
    int& place = number.num_digits == 4 ? date.year : date.day;
    if (place != 0) {
      date.problem = "is no date";
      return date;
    }
    place = number.value;
  }
  if (date.year == 0) {
    if (!options.year) date.problem = "has no year; give it with --year";
    date.year = options.year.value_or(0);
  }
  return date;
}

Day three_numbers(const Reading& reading, const DateOptions& options) {
  const std::vector<Number>& n = reading.numbers;
  if (n[0].num_digits == 4) return {n[0].value, n[1].value, n[2].value, {}};
  Day date;
  if (!has_an_order(reading)) return {0, 0, 0, "is no date"};
  std::optional<DateOrder> order = order_of(reading);
  if (order && options.order && *order != *options.order) {
    return {0, 0, 0, "does not fit the order of day and month of this column"};
  }
  if (!order) order = options.order;
  if (!order && n[0].value == n[1].value) order = DateOrder::kDayFirst;  // all the same
  if (!order) {
    return {0, 0, 0,
            "may begin with the day or with the month; say which with --date-order dmy or mdy"};
  }
  const bool day_first = *order == DateOrder::kDayFirst;
  const int year = n[2].num_digits <= 2 ? 2000 + n[2].value : n[2].value;
  return {year, n[day_first ? 1 : 0].value, n[day_first ? 0 : 1].value, {}};
}

Day day_of(const Reading& reading, const DateOptions& options) {
  if (reading.month > 0) return named_month(reading, options);
  if (reading.numbers.size() == 3) return three_numbers(reading, options);
  if (reading.numbers.size() == 2 && options.year && reading.numbers[0].num_digits <= 2) {
    Reading with_year = reading;
    with_year.numbers.push_back({*options.year, 4});
    return three_numbers(with_year, options);
  }
  const bool no_year = reading.numbers.size() == 2 && reading.numbers[0].num_digits <= 2;
  return {0, 0, 0, no_year ? "has no year; give it with --year" : "is no date"};
}

std::int64_t seconds_at(const Day& date, const Reading& reading, int hour,
                        const DateOptions& options) {
  namespace chrono = std::chrono;
  if (options.process_time_zone && !reading.offset_minutes) {
    std::tm local{};
    local.tm_year = date.year - 1900;
    local.tm_mon = date.month - 1;
    local.tm_mday = date.day;
    local.tm_hour = hour;
    local.tm_min = reading.minute;
    local.tm_sec = reading.second;
    local.tm_isdst = -1;
    return std::mktime(&local);
  }
  const chrono::sys_days day = chrono::year(date.year) /
                               chrono::month(static_cast<unsigned>(date.month)) /
                               chrono::day(static_cast<unsigned>(date.day));
  const int offset = reading.offset_minutes.value_or(options.offset_minutes);
  return ((static_cast<std::int64_t>(day.time_since_epoch().count()) * 24 + hour) * 60 +
          reading.minute - offset) *
             60 +
         reading.second;
}

DateCell resolve(const Reading& reading, const DateOptions& options) {
  DateCell cell;
  cell.has_clock = reading.hour.has_value();
  cell.has_zone = reading.offset_minutes.has_value();
  const Day date = reading.sound ? day_of(reading, options) : Day{0, 0, 0, "is no date"};
  cell.problem = date.problem;
  if (!cell.problem.empty()) return cell;
  namespace chrono = std::chrono;
  const chrono::year_month_day calendar{chrono::year(date.year),
                                        chrono::month(static_cast<unsigned>(date.month)),
                                        chrono::day(static_cast<unsigned>(date.day))};
  int hour = reading.hour.value_or(0);
  bool sound = calendar.ok() && date.year >= kFirstYear && date.year <= kLastYear && hour < 24;
  if (reading.afternoon) {
    // "13:30 PM" is written by some spreadsheets, and clear; "0:30 AM" and "12:30 AM" are one time.
    if (*reading.afternoon && hour < 12) hour += 12;
    if (!*reading.afternoon && hour == 12) hour = 0;
    sound = sound && reading.hour.has_value() && (*reading.afternoon || hour < 12);
  }
  if (!sound) {
    cell.problem = "is a date or time that does not exist";
    return cell;
  }
  cell.time = Timestamp{seconds_at(date, reading, hour, options) * 1000 + reading.ms};
  return cell;
}

/// Digits alone: what they are follows from how many.
DateCell read_digits(const std::u32string& digits, const DateOptions& options) {
  const auto part = [&](std::size_t begin, std::size_t size) {
    Number number{0, size};
    for (std::size_t i = begin; i < begin + size; ++i) {
      number.value = number.value * 10 + static_cast<int>(digits[i] - U'0');
    }
    return number;
  };
  if (digits.size() == 10 || digits.size() == 13) {
    std::int64_t value = 0;
    for (const char32_t c : digits) value = value * 10 + static_cast<std::int64_t>(c - U'0');
    return {Timestamp{digits.size() == 10 ? value * 1000 : value}, true, true, {}};
  }
  Reading reading;
  reading.sound = digits.size() == 8 || digits.size() == 12 || digits.size() == 14;
  if (reading.sound) {
    reading.numbers = {part(0, 4), part(4, 2), part(6, 2)};
    if (digits.size() > 8) {
      reading.hour = part(8, 2).value;
      reading.minute = part(10, 2).value;
      if (digits.size() == 14) reading.second = part(12, 2).value;
      if (reading.minute > 59 || reading.second > 60) reading.sound = false;
    }
  }
  return resolve(reading, options);
}

}  // namespace

std::optional<DateOrder> order_evidence(std::string_view cell) { return order_of(read_cell(cell)); }

DateCell parse_date(std::string_view cell, const DateOptions& options) {
  if (cell.size() > kMaxCellBytes) return {std::nullopt, false, false, "is no date"};
  const std::u32string text = trimmed(cell);
  if (is_all_digits(text)) return read_digits(text, options);
  return resolve(Scanner(text).read(), options);
}

std::optional<int> parse_offset(std::string_view text) {
  if (text == "UTC" || text == "utc" || text == "Z" || text == "GMT") return 0;
  if (text.empty() || (text[0] != '+' && text[0] != '-')) return std::nullopt;
  // Read by the same rules as in a cell.
  const DateCell cell = parse_date("2000-01-01 00:00 " + std::string(text), {});
  if (!cell.time || !cell.has_zone) return std::nullopt;
  constexpr std::int64_t kMidnightMs = 946684800000;
  return static_cast<int>((kMidnightMs - cell.time->ms) / 60000);
}

}  // namespace mmra::pipeline
