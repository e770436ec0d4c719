#include "mmra/bank/context_typer.h"

#include <gtest/gtest.h>

namespace mmra::bank {
namespace {

using Mode = ContextTyper::Mode;

TEST(ParseNumber, ReadsNumbersAsJsonWritesThem) {
  EXPECT_EQ(parse_number("0"), 0.0);
  EXPECT_EQ(parse_number("-0"), 0.0);
  EXPECT_EQ(parse_number("12"), 12.0);
  EXPECT_EQ(parse_number("-12.5"), -12.5);
  EXPECT_EQ(parse_number("1e3"), 1000.0);
  EXPECT_EQ(parse_number("1.5E-2"), 0.015);
  EXPECT_EQ(parse_number("999999999999999"), 999999999999999.0);
  EXPECT_EQ(parse_number("1000000000000000.0"), 1e15);
}

TEST(ParseNumber, LeavesEverythingElseATextIncludingIdentifiersThatADoubleWouldChange) {
  for (const char* text : {"",
                           "-",
                           "+1",
                           "01",
                           "-01",
                           ".5",
                           "5.",
                           "5.e3",
                           "1e",
                           "1e400",
                           "0x10",
                           "inf",
                           "nan",
                           "-inf",
                           "1 ",
                           " 1",
                           "1,5",
                           "1_000",
                           "--1",
                           "1.2.3",
                           "1234567890123456",
                           "-1234567890123456",
                           "2024-07-14"}) {
    EXPECT_EQ(parse_number(text), std::nullopt) << '"' << text << '"';
  }
}

TEST(ContextTyper, AWholeColumnIsNumbersUntilAValueIsNone) {
  ContextTyper typer({}, Mode::kWholeColumn);
  EXPECT_EQ(typer.observe("a", true), ColumnType::kNumber);
  EXPECT_EQ(typer.observe("a", true), ColumnType::kNumber);
  EXPECT_EQ(typer.observe("a", false), ColumnType::kCategory);
  EXPECT_EQ(typer.observe("a", true), ColumnType::kCategory) << "a number does not turn it back";
  EXPECT_EQ(typer.types().at("a"), ColumnType::kCategory);
}

TEST(ContextTyper, TheFirstValueDecidesInAStream) {
  ContextTyper typer({}, Mode::kFirstValue);
  EXPECT_EQ(typer.observe("n", true), ColumnType::kNumber);
  EXPECT_EQ(typer.observe("n", false), std::nullopt);
  EXPECT_EQ(typer.observe("c", false), ColumnType::kCategory);
  EXPECT_EQ(typer.observe("c", true), ColumnType::kCategory);
}

TEST(ContextTyper, AKnownColumnKeepsItsType) {
  for (const Mode mode : {Mode::kWholeColumn, Mode::kFirstValue}) {
    ContextTyper typer({{"n", ColumnType::kNumber}, {"c", ColumnType::kCategory}}, mode);
    EXPECT_EQ(typer.observe("n", false), std::nullopt);
    EXPECT_EQ(typer.types().at("n"), ColumnType::kNumber);
    EXPECT_EQ(typer.observe("c", true), ColumnType::kCategory);
    EXPECT_TRUE(typer.is_known("n"));
    (void)typer.observe("new", true);
    EXPECT_FALSE(typer.is_known("new"));
  }
}

TEST(ColumnTypeNames, AreWords) {
  EXPECT_EQ(name_of(ColumnType::kNumber), "number");
  EXPECT_EQ(name_of(ColumnType::kCategory), "category");
}

}  // namespace
}  // namespace mmra::bank
