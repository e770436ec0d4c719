#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "mmra/core/timestamp.h"

namespace mmra::pipeline {

// Dates as studios and spreadsheets write them: "2024-01-05 09:30", "2024/1/5", "2024年1月5日
// 09:30", "20240105", "Jan 5, 2024", "5. März 2024", "05/01/2024 9:30 PM", RFC 3339, seconds or
// milliseconds since 1970. Month names are English, German, French, Spanish, Portuguese and
// Italian.

/// Of dates such as 05/01/2024.
enum class DateOrder { kDayFirst, kMonthFirst };

/// What a cell does not say itself.
struct DateOptions {
  std::optional<DateOrder> order;
  std::optional<int> year;         ///< of dates without one
  int offset_minutes = 0;          ///< east of UTC, of times without a zone
  bool process_time_zone = false;  ///< they are in the process's TZ instead
};

/// The order, where a date can only be read with it ("25/01/2024"); nothing where it says nothing
/// about it, or is no date.
[[nodiscard]] std::optional<DateOrder> order_evidence(std::string_view cell);

struct DateCell {
  std::optional<Timestamp> time;
  bool has_clock = false;  ///< else it is midnight
  bool has_zone = false;
  std::string problem;  ///< what is wrong, where there is no time
};

[[nodiscard]] DateCell parse_date(std::string_view cell, const DateOptions& options);

/// "UTC", "Z", "+08:00", "-0330", "+8": minutes east of UTC.
[[nodiscard]] std::optional<int> parse_offset(std::string_view text);

}  // namespace mmra::pipeline
