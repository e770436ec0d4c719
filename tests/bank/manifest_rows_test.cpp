#include "mmra/bank/manifest_rows.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "expect_error.h"
#include "text_source.h"

namespace mmra::bank {
namespace {

using ::testing::ElementsAre;
using testing::expect_error;
using testing::text_source;
using Kind = RawValue::Kind;

std::vector<RawRow> raw_rows(const std::string& text,
                             const std::vector<std::string>& required = {"id"},
                             std::size_t piece_bytes = 1 << 16) {
  TextInput input(text_source(text, piece_bytes), "m");
  const auto reader = open_raw_rows(input, required);
  std::vector<RawRow> rows;
  while (auto row = reader->next()) rows.push_back(std::move(*row));
  return rows;
}

void expect_refused(const std::string& text, const std::string& part) {
  expect_error(ErrorKind::kInvalidInput, part, [&] { (void)raw_rows(text); });
}

TEST(CsvRows, GivesValuesWithTheirPlaces) {
  const auto rows = raw_rows("id,title\n1,\"a\nb\"\n2,\n");
  ASSERT_EQ(rows.size(), 2U);
  const RawValue* title = rows[0].find("title");
  ASSERT_NE(title, nullptr);
  EXPECT_EQ(title->text, "a\nb");
  EXPECT_EQ(title->kind, Kind::kText);
  EXPECT_EQ(title->line, 2);
  EXPECT_EQ(title->position, 2);
  EXPECT_EQ(rows[0].find("none"), nullptr);
  EXPECT_EQ(rows[1].line, 4);
  EXPECT_EQ(rows[1].find("title")->text, "") << "an empty cell is a value";
}

TEST(CsvRows, RefusesHeadersThatAreAmbiguous) {
  expect_refused("", "m, line 1: the manifest is empty; expected a header with the columns id");
  expect_refused("\n\n", "the manifest is empty");
  expect_refused("title\n1\n", "m, line 1: the header has no column \"id\"; expected id, found");
  expect_refused("id,a,a\n", "line 1, column 3 (\"a\"): the header names this column twice, at");
  expect_refused("id,,b\n", "line 1, column 2 (\"\"): the header names no column here");
  expect_refused("id,a\xFF\n", "line 1, column 2 (\"a\\xFF\"): byte 2 of the field (0xFF)");
  expect_refused("\"a\nid\",\"\n\"\n", "line 1: the header has no column");
}

TEST(CsvRows, NamesTheRowWithTooFewOrTooManyFields) {
  expect_refused("id,title\n1,a\n2\n", "m, line 3: found 1 fields, expected 2 as in the header");
  expect_refused("id,title\n1,a,b\n", "m, line 2: found 3 fields, expected 2");
}

TEST(CsvRows, NamesLineColumnAndByteOfWhatIsNotUtf8) {
  expect_refused("id,title\n1,\"a\nb\xE9\"\n",
                 "m, line 2, column 2 (title): byte 4 of the field (0xE9) is not UTF-8");
  expect_refused(std::string("id,title\n1,a\n2,x\0y\n", 20),
                 "m, line 3, column 2 (title): byte 2 of the field (0x00) is not UTF-8");
}

// A column's name may hold a line break; a message may not.
TEST(CsvRows, ShowsAColumnWithALineBreakOnOneLine) {
  expect_refused("id,\"a\nb\"\n1,\xFF\n", "column 2 (a\\x0Ab): byte 1");
  expect_refused("id,\"a\nb\"\n1\n", "(id,a\\x0Ab)");
}

TEST(JsonRows, GivesValuesByKeyInTheOrderOfTheFile) {
  const auto rows = raw_rows(
      "\n{\"id\": 7, \"title\": \"é\\n\", \"x\": 1.50, \"b\": true, \"n\": null}\r\n"
      "\n{\"id\":\"8\"}");
  ASSERT_EQ(rows.size(), 2U);
  EXPECT_EQ(rows[0].line, 2);
  const auto& values = rows[0].values;
  ASSERT_EQ(values.size(), 5U);
  EXPECT_EQ(values[0].text, "7");
  EXPECT_EQ(values[0].kind, Kind::kNumber);
  EXPECT_EQ(values[1].text, "é\n");
  EXPECT_EQ(values[1].kind, Kind::kString);
  EXPECT_EQ(values[2].text, "1.5");
  EXPECT_EQ(values[3].text, "true");
  EXPECT_EQ(values[3].kind, Kind::kOther);
  EXPECT_EQ(values[4].text, "") << "null is a value that is not known";
  EXPECT_EQ(rows[1].line, 4);
}

TEST(JsonRows, NamesTheLineThatIsNoObject) {
  expect_refused("{\"id\":1}\n[1]\n", "m, line 2: expected a JSON object in each line, found an ");
  expect_refused("{\"id\":1}\n3\n", "m, line 2: expected a JSON object in each line, found ano");
  expect_refused("{\"id\":1}\n{\"id\":2\n", "m, line 2, byte ");
  expect_refused("{\"id\":1} {\"id\":2}\n", "not valid JSON; expected one object in each line");
  expect_refused("{\"id\":1e999}\n", "m, line 1: not valid JSON: a number is out of range");
  expect_refused("[{\"id\":1}]\n", "m, line 1: the file is a JSON array; expected JSON Lines");
}

TEST(JsonRows, RefusesNestedValuesWhateverTheirDepth) {
  expect_refused("{\"id\":{\"a\":1}}\n", "m, line 1: a list or an object inside another");
  expect_refused("{\"id\":[]}\n", "a list or an object inside another");
  expect_refused("{\"id\":" + std::string(1'000'000, '['), "a list or an object inside another");
}

TEST(JsonRows, RefusesDuplicateAndEmptyKeys) {
  expect_refused("{\"id\":1,\"a\":2,\"a\":3}\n", "m, line 1: the key \"a\" is given twice");
  expect_refused("{\"\":1}\n", "m, line 1, key \"\": a key is empty");
}

TEST(JsonRows, RefusesWhatIsNoText) {
  expect_refused("{\"id\":\"\xFF\"}\n", "m, line 1, byte 8 of the line (0xFF) is not UTF-8");
  expect_refused(std::string("{\"id\":\"\0\"}\n", 11), "m, line 1, byte 8 of the line (0x00)");
  expect_refused("{\"id\":\"a\\u0000\"}\n", "m, line 1, key \"id\": byte 2 of the field (0x00)");
  expect_refused("{\"id\":\"\\ud800\"}\n", "m, line 1, byte ");
  expect_refused("{\"a\\u0000\":1}\n", "line 1, key \"a\\x00\": a key holds a zero byte");
}

TEST(JsonRows, RefusesALineBeyondTheLimit) {
  expect_refused("{\"id\":\"" + std::string(kMaxFieldBytes + 1, 'a') + "\"}\n",
                 "m, line 1: more than 16 MiB in one line");
}

TEST(OpenRawRows, TellsTheFormByTheFirstCharacterWhateverThePieces) {
  for (const std::size_t piece_bytes : {1, 2, 3, 4, 5, 1000}) {
    for (const char* start : {"", "\n", "\r\n \t\n\n\n\n", "\xEF\xBB\xBF\n"}) {
      const std::string text = std::string(start) + "{\"id\":1}\n{\"id\":2}\n";
      const auto rows = raw_rows(text, {"id"}, piece_bytes);
      ASSERT_EQ(rows.size(), 2U) << piece_bytes << ::testing::PrintToString(text);
      const auto lines_before =
          static_cast<std::int64_t>(std::count(text.begin(), text.end(), '\n')) - 2;
      EXPECT_EQ(rows[0].line, lines_before + 1);
    }
    EXPECT_EQ(raw_rows("\n\n\n\n\nid\n1\n", {"id"}, piece_bytes).at(0).line, 7);
    expect_error(ErrorKind::kInvalidInput, "JSON array",
                 [&] { (void)raw_rows("\n\n\n\n [", {"id"}, piece_bytes); });
  }
}

}  // namespace
}  // namespace mmra::bank
