#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

#include "mmra/pipeline/export/count.h"

namespace mmra::pipeline {
namespace {

std::optional<double> value(const std::string& cell, std::optional<char> decimal = std::nullopt) {
  return parse_count(cell, decimal).value;
}

TEST(Count, ReadsWhatStudiosWrite) {
  const std::vector<std::pair<std::string, double>> cells = {{"0", 0},
                                                             {"12345", 12345},
                                                             {"12,345", 12345},
                                                             {"1,234,567", 1234567},
                                                             {"1 234", 1234},
                                                             {"1\u00A0234", 1234},
                                                             {"1\u202F234\u202F567", 1234567},
                                                             {"1'234", 1234},
                                                             {"1’234", 1234},
                                                             {"1.2K", 1200},
                                                             {"1.2k", 1200},
                                                             {"3.4M", 3.4e6},
                                                             {"3,4 Mio.", 3.4e6},
                                                             {"1.1B", 1.1e9},
                                                             {"2,5 Mrd", 2.5e9},
                                                             {"3万", 30000},
                                                             {"1.5万", 15000},
                                                             {"2.3w", 23000},
                                                             {"1.5亿", 1.5e8},
                                                             {"1.2億", 1.2e8},
                                                             {"3千", 3000},
                                                             {"2.1만", 21000},
                                                             {"12,5 mil", 12500},
                                                             {"５６７", 567},
                                                             {"１，２３４", 1234},
                                                             {" 42 ", 42},
                                                             {"1,23,456", 123456},
                                                             {"1.234,5", 1234.5},
                                                             {"1,234.5", 1234.5},
                                                             {"1.234.567", 1234567},
                                                             {"0.125", 0.125},
                                                             {"1234次", 1234},
                                                             {"12.50", 12.5}};
  for (const auto& [cell, number] : cells) {
    const CountCell count = parse_count(cell, std::nullopt);
    ASSERT_TRUE(count.value.has_value()) << cell << ": " << count.problem;
    EXPECT_DOUBLE_EQ(*count.value, number) << cell;
  }
}

TEST(Count, TakesTheColumnsDecimalMarkWhereACellMayBeReadInTwoWays) {
  EXPECT_FALSE(value("1.234").has_value());
  EXPECT_NE(parse_count("1.234", std::nullopt).problem.find("--decimal"), std::string::npos);
  EXPECT_EQ(value("1.234", ','), 1234.0);
  EXPECT_EQ(value("1.234", '.'), 1.234);
  EXPECT_EQ(value("1,234"), 1234.0);
  EXPECT_EQ(value("1,234", '.'), 1234.0);
  EXPECT_EQ(value("1,234", ','), 1.234);
  EXPECT_EQ(value("0.234"), 0.234) << "no group begins with 0";
  EXPECT_EQ(value("1.234K", ','), 1234000.0);
  EXPECT_EQ(value("1.234K", '.'), 1234.0);
  EXPECT_FALSE(value("1.2K", ',').has_value()) << "against the column";
  EXPECT_FALSE(value("1.234.567", '.').has_value());
}

TEST(Count, EvidenceIsWhatCanBeReadInOneWayOnly) {
  EXPECT_EQ(decimal_evidence("1.2K"), '.');
  EXPECT_EQ(decimal_evidence("1,2 K"), ',');
  EXPECT_EQ(decimal_evidence("1.234.567"), ',');
  EXPECT_EQ(decimal_evidence("1,234,567"), '.');
  EXPECT_EQ(decimal_evidence("1.234,56"), ',');
  EXPECT_EQ(decimal_evidence("1 234,5"), ',');
  for (const char* cell : {"1.234", "1,234", "1234", "1 234", "", "views", "-"}) {
    EXPECT_EQ(decimal_evidence(cell), std::nullopt) << cell;
  }
}

TEST(Count, SaysWhatIsNotKnown) {
  for (const char* cell : {"", " ", "-", "--", "—", "–", "N/A", "null", "None", "NaN"}) {
    EXPECT_TRUE(is_unknown(cell)) << cell;
  }
  for (const char* cell : {"0", "views", "- 1"}) EXPECT_FALSE(is_unknown(cell)) << cell;
}

TEST(Count, RefusesWhatIsNoCount) {
  for (const std::string cell : {"-5",          "−5",
                                 "views",       "12 views or so",
                                 "1,2,3",       "12,34,5",
                                 "1..2",        "1.",
                                 ".5",          ",",
                                 "1 23",        "1.2.3",
                                 "10万+",       "5.3%",
                                 "1K2",         "1e3",
                                 "0x10",        "1,234.567.8",
                                 "1 234,567.8", "99999999999999999999999",
                                 "\xFF\xFE",    std::string(5000, '1').c_str()}) {
    EXPECT_FALSE(value(cell).has_value()) << cell;
    EXPECT_FALSE(parse_count(cell, std::nullopt).problem.empty());
  }
  EXPECT_NE(parse_count("10万+", std::nullopt).problem.find("lower bound"), std::string::npos);
  EXPECT_NE(parse_count("5.3%", std::nullopt).problem.find("percentage"), std::string::npos);
  EXPECT_NE(parse_count("-5", std::nullopt).problem.find("below 0"), std::string::npos);
}

}  // namespace
}  // namespace mmra::pipeline
