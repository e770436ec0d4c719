#include <gtest/gtest.h>

#include <cstdlib>
#include <ctime>
#include <string>
#include <vector>

#include "mmra/pipeline/export/date.h"

namespace mmra::pipeline {
namespace {

std::string read(const std::string& cell, const DateOptions& options = {}) {
  const DateCell date = parse_date(cell, options);
  return date.time ? format_timestamp(*date.time) : "! " + date.problem;
}

TEST(Date, ReadsWhatStudiosWrite) {
  const std::vector<std::pair<std::string, std::string>> cells = {
      {"Jan 5, 2024", "2024-01-05T00:00:00Z"},  // YouTube Studio
      {"5 Jan 2024", "2024-01-05T00:00:00Z"},   // the same, British
      {"05.01.2024", "2024-01-05T00:00:00Z"},   // the same, German
      {"5. Januar 2024, 09:30", "2024-01-05T09:30:00Z"},
      {"12. März 2024 um 18:05 Uhr", "2024-03-12T18:05:00Z"},
      {"5 janv. 2024", "2024-01-05T00:00:00Z"},
      {"14 juil. 2024", "2024-07-14T00:00:00Z"},
      {"1 août 2024", "2024-08-01T00:00:00Z"},
      {"5 de enero de 2024", "2024-01-05T00:00:00Z"},
      {"3 set. 2024", "2024-09-03T00:00:00Z"},
      {"18 gen 2024", "2024-01-18T00:00:00Z"},
      {"January 5, 2024 at 9:30 PM", "2024-01-05T21:30:00Z"},
      {"2024-01-05 09:30:15", "2024-01-05T09:30:15Z"},  // TikTok, Bilibili
      {"2024-01-05", "2024-01-05T00:00:00Z"},
      {"2024/1/5 9:30", "2024-01-05T09:30:00Z"},       // spreadsheets in China and Japan
      {"2024年1月5日 09:30", "2024-01-05T09:30:00Z"},  // Douyin, Kuaishou
      {"2024年01月05日 下午3:05", "2024-01-05T15:05:00Z"},
      {"2024年1月5日9时30分15秒", "2024-01-05T09:30:15Z"},
      {"2024年1月5日 星期五 9点30分", "2024-01-05T09:30:00Z"},
      {"2024. 1. 5. 오후 3:05", "2024-01-05T15:05:00Z"},
      {"20240105", "2024-01-05T00:00:00Z"},
      {"20240105093015", "2024-01-05T09:30:15Z"},
      {"2024-01-05T09:30:15+0000", "2024-01-05T09:30:15Z"},  // Instagram
      {"2024-01-05T09:30:15-08:00", "2024-01-05T17:30:15Z"},
      {"2024-01-05T09:30:15.250Z", "2024-01-05T09:30:15.250Z"},
      {"2024-01-05 09:30 UTC+8", "2024-01-05T01:30:00Z"},
      {"2024-01-05 09:30 (GMT-03:30)", "2024-01-05T13:00:00Z"},
      {"1704447015", "2024-01-05T09:30:15Z"},
      {"1704447015250", "2024-01-05T09:30:15.250Z"},
      {"25/01/2024 23:59", "2024-01-25T23:59:00Z"},
      {"01/25/2024 12:05 AM", "2024-01-25T00:05:00Z"},  // Meta Business Suite
      {"05/05/2024", "2024-05-05T00:00:00Z"},
      {"29 Feb 2024", "2024-02-29T00:00:00Z"},
      {"Fri, 5 Jan 2024 9 pm", "2024-01-05T21:00:00Z"}};
  for (const auto& [cell, time] : cells) EXPECT_EQ(read(cell), time) << cell;
}

TEST(Date, NeedsTheOrderWhereDayAndMonthCannotBeTold) {
  EXPECT_NE(read("05/01/2024").find("--date-order"), std::string::npos);
  DateOptions options;
  options.order = DateOrder::kDayFirst;
  EXPECT_EQ(read("05/01/2024", options), "2024-01-05T00:00:00Z");
  EXPECT_EQ(read("5/1/24 9:30", options), "2024-01-05T09:30:00Z");
  EXPECT_EQ(read("01/25/2024", options).substr(0, 1), "!") << "against the column";
  options.order = DateOrder::kMonthFirst;
  EXPECT_EQ(read("05/01/2024", options), "2024-05-01T00:00:00Z");
  EXPECT_EQ(order_evidence("25/01/2024"), DateOrder::kDayFirst);
  EXPECT_EQ(order_evidence("01/25/2024"), DateOrder::kMonthFirst);
  EXPECT_EQ(order_evidence("05.01.2024"), DateOrder::kDayFirst);
  for (const char* cell : {"05/01/2024", "2024-01-25", "Jan 25, 2024", "", "soon", "33/33/2024"}) {
    EXPECT_EQ(order_evidence(cell), std::nullopt) << cell;
  }
}

TEST(Date, TakesZoneAndYearFromTheOptionsWhereTheCellHasNone) {
  DateOptions options;
  options.offset_minutes = 8 * 60;
  EXPECT_EQ(read("2024年1月5日 09:30", options), "2024-01-05T01:30:00Z");
  EXPECT_EQ(read("2024-01-05 09:30Z", options), "2024-01-05T09:30:00Z");
  EXPECT_NE(read("September 20").find("--year"), std::string::npos);
  EXPECT_NE(read("20/9").find("--year"), std::string::npos);
  options.offset_minutes = 0;
  options.year = 2025;
  EXPECT_EQ(read("September 20", options), "2025-09-20T00:00:00Z");
  EXPECT_EQ(read("20/9", options), "2025-09-20T00:00:00Z");

  const DateCell midnight = parse_date("2024-01-05", {});
  EXPECT_FALSE(midnight.has_clock);
  EXPECT_FALSE(midnight.has_zone);
  EXPECT_TRUE(parse_date("2024-01-05 00:00Z", {}).has_zone);
}

TEST(Date, KnowsSummerTimeOfTheProcesssZone) {
  const char* const before = std::getenv("TZ");
  ::setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3", 1);
  ::tzset();
  DateOptions options;
  options.process_time_zone = true;
  EXPECT_EQ(read("2024-01-05 09:30", options), "2024-01-05T08:30:00Z");
  EXPECT_EQ(read("2024-07-05 09:30", options), "2024-07-05T07:30:00Z");
  EXPECT_EQ(read("2024-07-05 09:30 UTC", options), "2024-07-05T09:30:00Z");
  before != nullptr ? ::setenv("TZ", before, 1) : ::unsetenv("TZ");
  ::tzset();
}

TEST(Date, RefusesWhatIsNoDate) {
  for (const std::string cell : {"",
                                 "soon",
                                 "yesterday",
                                 "Draft",
                                 "2024",
                                 "2024-13-01",
                                 "2024-02-30",
                                 "31/31/2024",
                                 "29 Feb 2023",
                                 "2024-01-05 25:00",
                                 "2024-01-05 09:75",
                                 "2024-01-05 9:30 XYZ",
                                 "13:30",
                                 "5 Jan Feb 2024",
                                 "2024-01-05-06",
                                 "1/2/3/4",
                                 "99999999",
                                 "2024010",
                                 "Jan 2024 2025",
                                 "2024-01-05 13:00 AM",
                                 "2024-01-05 AM",
                                 "+8",
                                 "2024-01-05 09:30 +99:00",
                                 "1801-01-01",
                                 "９９",
                                 "\xFF\xFE\xFD",
                                 "2024年",
                                 "月日",
                                 "1234567890123456789"}) {
    EXPECT_EQ(read(cell).substr(0, 2), "! ") << cell << " gave " << read(cell);
  }
  EXPECT_EQ(read(std::string(100000, '1')).substr(0, 1), "!");
}

TEST(Offset, ReadsWhatCommandLinesSay) {
  EXPECT_EQ(parse_offset("UTC"), 0);
  EXPECT_EQ(parse_offset("+08:00"), 480);
  EXPECT_EQ(parse_offset("-0330"), -210);
  EXPECT_EQ(parse_offset("+8"), 480);
  for (const char* text : {"", "8", "+", "+x", "Europe/Berlin", "+25:00"}) {
    EXPECT_EQ(parse_offset(text), std::nullopt) << text;
  }
}

}  // namespace
}  // namespace mmra::pipeline
