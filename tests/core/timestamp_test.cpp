#include "mmra/core/timestamp.h"

#include <gtest/gtest.h>

namespace mmra {
namespace {

TEST(Timestamp, ReadsRfc3339AndEpochSeconds) {
  EXPECT_EQ(parse_timestamp("1970-01-01T00:00:00Z")->ms, 0);
  EXPECT_EQ(parse_timestamp("2024-07-14T09:30:00Z")->ms, 1720949400000);
  EXPECT_EQ(parse_timestamp("2024-07-14 09:30:00.5+02:00")->ms, 1720942200500);
  EXPECT_EQ(parse_timestamp("2024-07-14t09:30:00.123456-00:30")->ms, 1720951200123);
  EXPECT_EQ(parse_timestamp("1720949400")->ms, 1720949400000);
  EXPECT_EQ(parse_timestamp("1720949400.25")->ms, 1720949400250);
  EXPECT_EQ(parse_timestamp("-1")->ms, -1000);
  EXPECT_EQ(parse_timestamp("2024-02-29T00:00:00Z")->ms, 1709164800000);
}

TEST(Timestamp, RefusesWhatIsNeither) {
  for (const char* text :
       {"", "x", "2023-02-29T00:00:00Z", "2024-13-01T00:00:00Z", "2024-07-14",
        "2024-07-14T09:30:00", "2024-07-14T24:30:00Z", "2024-07-14T09:30:00Zx", "1720949400 ",
        "12345678901234", "1.", "2024-07-14T09:30:00.Z", "2024-07-14T09:30:00+25:00"}) {
    EXPECT_FALSE(parse_timestamp(text)) << text;
  }
}

TEST(Duration, IsANumberAndAUnit) {
  constexpr std::int64_t kDay = 86'400'000;
  EXPECT_EQ(parse_duration("7d")->ms, 7 * kDay);
  EXPECT_EQ(parse_duration("7 days")->ms, 7 * kDay);
  EXPECT_EQ(parse_duration("1 week")->ms, 7 * kDay);
  EXPECT_EQ(parse_duration("24h")->ms, kDay);
  EXPECT_EQ(parse_duration("90min")->ms, 5'400'000);
  EXPECT_EQ(parse_duration("1s")->ms, 1000);
  for (const char* text : {"", "d", "7", "0d", "-1d", "7m", "1.5d", "7dd", "7 d ", "7ds", "final",
                           "99999999999999999999d", "99999 weeks"}) {
    EXPECT_FALSE(parse_duration(text)) << text;
  }
}

TEST(Timestamp, WritesWhatItReads) {
  for (const char* text : {"1969-12-31T23:59:59Z", "2024-07-14T09:30:00Z",
                           "2024-07-14T09:30:00.007Z", "2000-02-29T23:00:01Z"}) {
    EXPECT_EQ(format_timestamp(*parse_timestamp(text)), text);
  }
}

}  // namespace
}  // namespace mmra
