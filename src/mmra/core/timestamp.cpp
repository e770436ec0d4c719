#include "mmra/core/timestamp.h"

#include <chrono>
#include <cmath>
#include <cstdio>

namespace mmra {
namespace {

/// Exactly `count` digits at `position`, which moves past them; empty where there are none.
std::optional<int> take_digits(std::string_view text, std::size_t& position, int count) {
  int value = 0;
  for (int i = 0; i < count; ++i, ++position) {
    if (position >= text.size() || text[position] < '0' || text[position] > '9') {
      return std::nullopt;
    }
    value = value * 10 + (text[position] - '0');
  }
  return value;
}

bool take(std::string_view text, std::size_t& position, std::string_view any_of) {
  if (position >= text.size() || any_of.find(text[position]) == std::string_view::npos) {
    return false;
  }
  ++position;
  return true;
}

/// ".5", ".25", … as milliseconds, cut (not rounded) after the third digit.
std::optional<int> take_fraction_ms(std::string_view text, std::size_t& position) {
  if (!take(text, position, ".")) return 0;
  int ms = 0;
  int digits = 0;
  while (position < text.size() && text[position] >= '0' && text[position] <= '9') {
    if (digits < 3) ms = ms * 10 + (text[position] - '0');
    ++digits;
    ++position;
  }
  if (digits == 0) return std::nullopt;
  for (; digits < 3; ++digits) ms *= 10;
  return ms;
}

std::optional<Timestamp> parse_epoch_seconds(std::string_view text) {
  std::size_t position = 0;
  const bool negative = take(text, position, "-");
  std::int64_t seconds = 0;
  int digits = 0;
  while (position < text.size() && text[position] >= '0' && text[position] <= '9') {
    if (++digits > 12) return std::nullopt;  // beyond the year 33000: not seconds
    seconds = seconds * 10 + (text[position++] - '0');
  }
  if (digits == 0) return std::nullopt;
  const auto fraction_ms = take_fraction_ms(text, position);
  if (!fraction_ms || position != text.size()) return std::nullopt;
  const std::int64_t ms = seconds * 1000 + *fraction_ms;
  return Timestamp{negative ? -ms : ms};
}

/// "Z" or "±hh:mm", in minutes east of UTC.
std::optional<int> take_offset_minutes(std::string_view text, std::size_t& position) {
  if (take(text, position, "Zz")) return 0;
  const bool west = position < text.size() && text[position] == '-';
  if (!take(text, position, "+-")) return std::nullopt;
  const auto hours = take_digits(text, position, 2);
  if (!hours || !take(text, position, ":")) return std::nullopt;
  const auto minutes = take_digits(text, position, 2);
  if (!minutes || *hours > 23 || *minutes > 59) return std::nullopt;
  const int total = *hours * 60 + *minutes;
  return west ? -total : total;
}

}  // namespace

std::optional<Timestamp> parse_timestamp(std::string_view text) {
  if (const auto epoch = parse_epoch_seconds(text)) return epoch;
  namespace chrono = std::chrono;
  std::size_t at = 0;
  const auto year = take_digits(text, at, 4);
  if (!year || !take(text, at, "-")) return std::nullopt;
  const auto month = take_digits(text, at, 2);
  if (!month || !take(text, at, "-")) return std::nullopt;
  const auto day = take_digits(text, at, 2);
  if (!day || !take(text, at, "Tt ")) return std::nullopt;
  const auto hour = take_digits(text, at, 2);
  if (!hour || !take(text, at, ":")) return std::nullopt;
  const auto minute = take_digits(text, at, 2);
  if (!minute || !take(text, at, ":")) return std::nullopt;
  const auto second = take_digits(text, at, 2);
  if (!second) return std::nullopt;
  const auto fraction_ms = take_fraction_ms(text, at);
  if (!fraction_ms) return std::nullopt;
  const auto offset = take_offset_minutes(text, at);
  if (!offset || at != text.size()) return std::nullopt;

  const chrono::year_month_day date{chrono::year(*year),
                                    chrono::month(static_cast<unsigned>(*month)),
                                    chrono::day(static_cast<unsigned>(*day))};
  if (!date.ok() || *hour > 23 || *minute > 59 || *second > 60) return std::nullopt;
  const std::int64_t days = chrono::sys_days(date).time_since_epoch().count();
  const std::int64_t seconds = ((days * 24 + *hour) * 60 + (*minute - *offset)) * 60 + *second;
  return Timestamp{seconds * 1000 + *fraction_ms};
}

std::optional<Duration> parse_duration(std::string_view text) {
  constexpr std::int64_t kSecond = 1000;
  constexpr std::int64_t kDay = 86'400 * kSecond;
  constexpr std::int64_t kMax = 36'525 * kDay;
  struct Unit {
    std::string_view name;
    std::int64_t ms;
  };
  static constexpr Unit kUnits[] = {{"s", kSecond},
                                    {"sec", kSecond},
                                    {"second", kSecond},
                                    {"min", 60 * kSecond},
                                    {"minute", 60 * kSecond},
                                    {"h", 3600 * kSecond},
                                    {"hour", 3600 * kSecond},
                                    {"d", kDay},
                                    {"day", kDay},
                                    {"w", 7 * kDay},
                                    {"week", 7 * kDay}};
  std::size_t position = 0;
  std::int64_t count = 0;
  while (position < text.size() && text[position] >= '0' && text[position] <= '9') {
    count = count * 10 + (text[position++] - '0');
    if (count > kMax) return std::nullopt;
  }
  if (count == 0) return std::nullopt;
  if (position < text.size() && text[position] == ' ') ++position;
  const std::string_view unit = text.substr(position);
  for (const Unit& known : kUnits) {
    const bool plural = known.name.size() > 1 && unit.size() == known.name.size() + 1 &&
                        unit.starts_with(known.name) && unit.back() == 's';
    if (unit != known.name && !plural) continue;
    if (count > kMax / known.ms) return std::nullopt;
    return Duration{count * known.ms};
  }
  return std::nullopt;
}

std::string format_timestamp(Timestamp time) {
  namespace chrono = std::chrono;
  const chrono::sys_time<chrono::milliseconds> moment{chrono::milliseconds(time.ms)};
  const auto day = chrono::floor<chrono::days>(moment);
  const chrono::year_month_day date(day);
  const chrono::hh_mm_ss clock(moment - day);
  char text[64];
  int length = std::snprintf(
      text, sizeof text, "%04d-%02u-%02uT%02d:%02d:%02d", static_cast<int>(date.year()),
      static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
      static_cast<int>(clock.hours().count()), static_cast<int>(clock.minutes().count()),
      static_cast<int>(clock.seconds().count()));
  if (clock.subseconds().count() != 0) {
    length += std::snprintf(text + length, sizeof text - static_cast<std::size_t>(length), ".%03d",
                            static_cast<int>(clock.subseconds().count()));
  }
  return std::string(text, static_cast<std::size_t>(length)) + "Z";
}

}  // namespace mmra
