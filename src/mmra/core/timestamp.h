#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace mmra {

/// A moment, in milliseconds since 1970-01-01T00:00:00Z. A type of its own so that it is never
/// mixed up with a count or a duration.
struct Timestamp {
  std::int64_t ms = 0;
  friend auto operator<=>(const Timestamp&, const Timestamp&) = default;
};

/// RFC 3339 ("2024-07-14T09:30:00Z", "2024-07-14 09:30:00.5+02:00") or seconds since the epoch
/// ("1720949400", "1720949400.25"). Empty where it is neither, or a date that does not exist.
[[nodiscard]] std::optional<Timestamp> parse_timestamp(std::string_view text);

/// RFC 3339 in UTC; milliseconds only where there are any.
[[nodiscard]] std::string format_timestamp(Timestamp time);

/// A length of time, of a type of its own for the same reason.
struct Duration {
  std::int64_t ms = 0;
  friend auto operator<=>(const Duration&, const Duration&) = default;
};

[[nodiscard]] inline Timestamp operator+(Timestamp time, Duration duration) {
  return {time.ms + duration.ms};
}

/// A whole number above 0 and a unit: "7d", "24 hours", "90min", "2w" (s, sec, second, min, minute,
/// h, hour, d, day, w, week and their plurals), at most 100 years. Empty where it is none.
[[nodiscard]] std::optional<Duration> parse_duration(std::string_view text);

}  // namespace mmra
