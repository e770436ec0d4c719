#include "mmra/bank/manifest.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <string>
#include <vector>

#include "expect_error.h"
#include "made_records.h"
#include "mmra/core/files.h"
#include "test_files.h"
#include "text_source.h"

namespace mmra::bank {
namespace {

using ::testing::ElementsAre;
using testing::expect_error;
using ::testing::Pair;
using testing::RandomValues;
using testing::TemporaryDirectory;
using testing::text_source;

std::vector<ManifestRow> rows_of(const std::string& text, const ManifestOptions& options = {},
                                 std::size_t piece_bytes = 1 << 16) {
  std::vector<ManifestRow> rows;
  read_manifest(
      text_source(text, piece_bytes), "m", "/folder",
      [&](const ManifestRow& row) {
        rows.push_back(row);
        return true;
      },
      options);
  return rows;
}

ManifestRow row_of(const std::string& text) {
  auto rows = rows_of(text);
  EXPECT_EQ(rows.size(), 1U) << text;
  return rows.at(0);
}

void expect_refused(const std::string& text, const std::string& part,
                    const ManifestOptions& options = {}) {
  expect_error(ErrorKind::kInvalidInput, part, [&] { (void)rows_of(text, options); });
}

/// One row with one value in `column`, as CSV and as JSON Lines.
std::string csv_with(const std::string& column, const std::string& cell) {
  return "id,title," + column + "\n1,t," + cell + "\n";
}
std::string json_with(const std::string& key, const std::string& value) {
  return R"({"id":"1","title":"t",")" + key + "\":" + value + "}\n";
}

TEST(Manifest, ReadsEveryColumnOfBothForms) {
  const char* const kForms[] = {
      "id,title,popularity,posted_at,split,video,creator,followers\n"
      "v1,\"a, b\",12,2024-07-14T09:30:00Z,valid,clips/../1.mp4,anna,1.5\n",
      R"({"followers":1.5,"id":"v1","title":"a, b","popularity":12,"creator":"anna",)"
      R"("posted_at":"2024-07-14T09:30:00Z","split":"valid","video":"clips/../1.mp4"})"};
  for (const char* text : kForms) {
    const ManifestRow row = row_of(text);
    EXPECT_EQ(row.id, "v1");
    EXPECT_EQ(row.title, "a, b");
    EXPECT_TRUE(row.has_popularity_column);
    EXPECT_EQ(row.popularity, 12.0);
    EXPECT_EQ(row.posted_at->ms, 1720949400000);
    EXPECT_EQ(row.split, Split::kValid);
    EXPECT_EQ(row.video_path, "/folder/1.mp4");
    EXPECT_THAT(row.context,
                ElementsAre(Pair("creator", ContextValue("anna")), Pair("followers", 1.5)));
  }
}

TEST(Manifest, EmptyCellsNullsAndAbsentColumnsAreNotKnown) {
  const char* const kForms[] = {
      "id,title,popularity,posted_at,split,video,creator\nv1,,,,,,\n",
      R"({"id":"v1","title":null,"popularity":null,"posted_at":null,"split":null,"video":null,"creator":null})"
      "\n",
      "{\"id\":\"v1\",\"popularity\":\"\",\"creator\":\"\"}\n"};
  for (const char* text : kForms) {
    const ManifestRow row = row_of(text);
    // Neither a title nor a video: ingest lists such a row as failed and goes on, it is not the
    // whole manifest that is wrong.
    EXPECT_EQ(row.title, "");
    EXPECT_EQ(row.video_path, "");
    EXPECT_TRUE(row.has_popularity_column);
    EXPECT_EQ(row.popularity, std::nullopt);
    EXPECT_EQ(row.posted_at, std::nullopt);
    EXPECT_EQ(row.split, std::nullopt);
    EXPECT_TRUE(row.context.empty());
  }
  EXPECT_FALSE(row_of("id,title\n1,t\n").has_popularity_column);
}

TEST(Manifest, NamesAMissingColumn) {
  expect_refused("id,popularity\n1,2\n", "m, line 1: the header has no column \"title\"");
  expect_refused("title,popularity\nt,2\n", "the header has no column \"id\"");
  const ManifestOptions learning{{}, true};
  expect_refused("id,title\n1,t\n", "the header has no column \"popularity\"", learning);
  expect_refused("{\"title\":\"t\"}\n", "m, line 1: the row has no id");
  expect_refused("{\"id\":1,\"popularity\":2}\n{\"id\":2}\n",
                 "m, line 2: the row has no key \"popularity\"", learning);
  EXPECT_EQ(rows_of("{\"id\":1,\"popularity\":null}\n", learning).size(), 1U);
}

TEST(Manifest, NeedsARow) { expect_refused("id,title\n", "m, line 1: the manifest has no rows"); }

TEST(Manifest, NamesBothLinesOfADuplicateId) {
  expect_refused("id,title\na,1\nb,\"2\n3\"\na,4\n",
                 "m, line 5, column 1 (id): the id \"a\" is given twice, in lines 2 and 5");
  expect_refused("{\"id\":\"7\"}\n{\"id\":7}\n", "the id \"7\" is given twice, in lines 1 and 2");
}

TEST(Manifest, RefusesIdsThatCannotBeKeys) {
  expect_refused("id,title\n,t\n", "m, line 2, column 1 (id): the id is empty");
  expect_refused("id,title\n" + std::string(512, 'x') + ",t\n", "at most 511");
  expect_refused("id,title\n\"a\nb\",t\n", "m, line 2, column 1 (id): the id holds a control");
  expect_refused("{\"id\":null}\n", "m, line 1, key \"id\": the id is empty");
  expect_refused("{\"id\":true}\n", "key \"id\": expected a text or a whole number, found true");
  expect_refused("{\"id\":1.5}\n", "found 1.5");
  expect_refused("{\"id\":12345678901234567890123}\n", "expected a text or a whole number");
  EXPECT_EQ(row_of("{\"id\":18446744073709551615}\n").id, "18446744073709551615");
  EXPECT_EQ(row_of("{\"id\":-3}\n").id, "-3");
  EXPECT_EQ(row_of("id,title\n007,t\n").id, "007") << "an id is a text";
}

TEST(Manifest, ReadsPopularity) {
  for (const auto& [cell, expected] : std::vector<std::pair<std::string, double>>{
           {"0", 0.0}, {"12", 12.0}, {"1.5", 1.5}, {"1e3", 1000.0}, {"007", 7.0}}) {
    EXPECT_EQ(row_of(csv_with("popularity", cell)).popularity, expected) << cell;
  }
  EXPECT_EQ(row_of(json_with("popularity", "\"12\"")).popularity, 12.0);
  EXPECT_FALSE(std::signbit(*row_of(csv_with("popularity", "-0")).popularity));
}

TEST(Manifest, RefusesWhatIsNoPopularity) {
  for (const char* cell : {"many", "-1", "-0.001", "1 ", " 1", "+1", "1,5\"", "inf", "nan", "1e999",
                           "0x10", "1_000", "NULL", "-"}) {
    if (std::string(cell).find(',') != std::string::npos) continue;
    expect_refused(csv_with("popularity", cell),
                   std::string("m, line 2, column 3 (popularity): expected a number of 0 or more, "
                               "or nothing where it is not known; found \"") +
                       cell + "\"");
  }
  expect_refused(csv_with("popularity", "\"1,5\""), "found \"1,5\"");
  expect_refused(json_with("popularity", "true"), "m, line 1, key \"popularity\": expected a numb");
  expect_refused(json_with("popularity", "-2"), "found \"-2\"");
}

TEST(Manifest, ReadsTimesInBothForms) {
  for (const char* cell : {"2024-07-14T09:30:00Z", "2024-07-14 11:30:00+02:00", "1720949400",
                           "1720949400.0", "2024-07-14T09:30:00.000Z"}) {
    EXPECT_EQ(row_of(csv_with("posted_at", cell)).posted_at->ms, 1720949400000) << cell;
  }
  EXPECT_EQ(row_of(json_with("posted_at", "1720949400")).posted_at->ms, 1720949400000);
  EXPECT_EQ(row_of(json_with("posted_at", "-1.5")).posted_at->ms, -1500);
}

TEST(Manifest, RefusesWhatIsNoTime) {
  for (const char* cell : {"yesterday", "2024-07-14", "2024-02-30T00:00:00Z", "14.07.2024",
                           "2024-07-14T09:30:00", "1720949400000"}) {
    expect_refused(csv_with("posted_at", cell),
                   std::string("m, line 2, column 3 (posted_at): expected a time such as "
                               "2024-07-14T09:30:00Z, or seconds since 1970; found \"") +
                       cell + "\"");
  }
  expect_refused(json_with("posted_at", "false"), "expected a time");
}

TEST(Manifest, ReadsSplits) {
  EXPECT_EQ(row_of(csv_with("split", "train")).split, Split::kTrain);
  EXPECT_EQ(row_of(csv_with("split", "test")).split, Split::kTest);
  expect_refused(csv_with("split", "dev"),
                 "m, line 2, column 3 (split): expected train, valid or test, or nothing; found ");
  expect_refused(json_with("split", "1"), "expected train, valid or test");
}

TEST(Manifest, TakesVideoPathsRelativeToItsFolder) {
  EXPECT_EQ(row_of(csv_with("video", "a/b.mp4")).video_path, "/folder/a/b.mp4");
  EXPECT_EQ(row_of(csv_with("video", "../b.mp4")).video_path, "/b.mp4");
  EXPECT_EQ(row_of(csv_with("video", "/abs/b.mp4")).video_path, "/abs/b.mp4");
  expect_refused(json_with("video", "3"), "key \"video\": expected a text, found 3");
  expect_refused(json_with("title2", "3") + "{\"id\":2,\"title\":[]}", "line 2");
}

TEST(Manifest, TypesContextByTheFirstValueInAStream) {
  const auto rows = rows_of("id,title,n,c\n1,t,5,x\n2,t,,7\n3,t,2.5,\n");
  EXPECT_THAT(rows[0].context, ElementsAre(Pair("c", ContextValue("x")), Pair("n", 5.0)));
  EXPECT_THAT(rows[1].context, ElementsAre(Pair("c", ContextValue("7"))));
  EXPECT_THAT(rows[2].context, ElementsAre(Pair("n", 2.5)));
  expect_refused(
      "id,title,n\n1,t,5\n2,t,many\n",
      "m, line 3, column 3 (n): expected a number, as in the rows before, found \"many\"");
  expect_refused("id,title,n\n1,t,many\n",
                 "line 2, column 3 (n): expected a number, as in the rest of the bank, found",
                 {{{"n", ColumnType::kNumber}}, false});
}

TEST(Manifest, TakesJsonStringsAndBooleansAsCategories) {
  EXPECT_THAT(row_of(json_with("c", "true")).context, ElementsAre(Pair("c", ContextValue("true"))));
  EXPECT_THAT(row_of(json_with("c", "\"12\"")).context, ElementsAre(Pair("c", ContextValue("12"))))
      << "a JSON string says that it is none";
  EXPECT_THAT(row_of(json_with("c", "12")).context, ElementsAre(Pair("c", 12.0)));
  EXPECT_THAT(row_of(json_with("c", "1234567890123456789")).context,
              ElementsAre(Pair("c", ContextValue("1234567890123456789"))))
      << "an identifier that a double would change";
}

TEST(Manifest, StopsWhereTheVisitorSaysSo) {
  int visited = 0;
  read_manifest(text_source("id,title\n1,a\n2,b\n1,duplicate\n"), "m", "/",
                [&](const ManifestRow&) { return ++visited < 2; });
  EXPECT_EQ(visited, 2);
}

// What a pipe cuts into pieces must read the same, errors included.
TEST(Manifest, ReadsTheSameInPiecesOfAnySize) {
  RandomValues random(3);
  for (int round = 0; round < 300; ++round) {
    const std::string text =
        random.one_in(2)
            ? "id,title,popularity\n1," + random.text(20) + "," + random.text(2) + "\n2,b,3\n"
            : std::string(random.below(6), '\n') + "{\"id\":\"1\",\"title\":\"" + random.text(20) +
                  "\"}\n";
    const auto outcome = [&](std::size_t piece_bytes) {
      std::string all;
      try {
        for (const ManifestRow& row : rows_of(text, {}, piece_bytes)) {
          all += std::to_string(row.line) + row.id + "|" + row.title + "|" +
                 std::to_string(row.popularity.value_or(-1.0)) + "\n";
        }
      } catch (const Error& error) {
        all += error.what();
      }
      return all;
    };
    const std::string whole = outcome(1 << 16);
    for (const std::size_t piece_bytes : {1, 3, 10}) {
      ASSERT_EQ(outcome(piece_bytes), whole) << ::testing::PrintToString(text);
    }
  }
}

class ManifestFile : public ::testing::Test {
 protected:
  [[nodiscard]] std::filesystem::path write(const std::string& text) const {
    write_file_atomically(directory_ / "m.csv", text);
    return directory_ / "m.csv";
  }
  TemporaryDirectory directory_;
};

TEST_F(ManifestFile, ScanCountsAndTypesByAllValues) {
  const auto file = write(
      "id,title,popularity,posted_at,split,video,n,mixed,never\n"
      "1,a,3,1720949400,train,1.mp4,5,5,\n2,b,,,,,6,x,\n3,c,1,,test,,,7,\n");
  const ManifestSummary summary = scan_manifest(file);
  EXPECT_EQ(summary.num_rows, 3);
  EXPECT_EQ(summary.num_labelled, 2);
  EXPECT_EQ(summary.num_with_video, 1);
  EXPECT_EQ(summary.num_with_time, 1);
  EXPECT_EQ(summary.num_with_split, 2);
  EXPECT_THAT(summary.context_columns,
              ElementsAre(Pair("mixed", ColumnType::kCategory), Pair("n", ColumnType::kNumber)));
  expect_error(ErrorKind::kInvalidInput,
               "line 3, column 8 (mixed): expected a number, as in the re", [&] {
                 (void)scan_manifest(file, {{"mixed", ColumnType::kNumber}});
               });
}

TEST_F(ManifestFile, LoadGivesTheEarlierValuesOfAMixedColumnAsTexts) {
  const auto rows = load_manifest(write("id,title,popularity,mixed\n1,a,3,05\n2,b,,x\n3,c,,5\n"));
  ASSERT_EQ(rows.size(), 3U);
  EXPECT_EQ(rows[0].context.at("mixed"), ContextValue("05"));
  EXPECT_EQ(rows[2].context.at("mixed"), ContextValue("5"));
  EXPECT_EQ(rows[0].video_path, "");
}

TEST_F(ManifestFile, LoadKeepsTheBanksTypes) {
  const auto rows = load_manifest(write("id,title,n\n1,a,3\n"), {{"n", ColumnType::kCategory}},
                                  /*needs_popularity=*/false);
  EXPECT_EQ(rows.at(0).context.at("n"), ContextValue("3"));
}

TEST_F(ManifestFile, PathsAreRelativeToTheFilesFolder) {
  const auto rows = load_manifest(write("id,title,popularity,video\n1,a,3,v/1.mp4\n"));
  EXPECT_EQ(rows.at(0).video_path, (directory_ / "v/1.mp4").string());
}

TEST_F(ManifestFile, ScanRefusesWhatCanBeReadOnce) {
  const auto pipe = directory_ / "pipe";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  // A reader that opens a pipe waits for a writer: standard input stands for all pipes.
  expect_error(ErrorKind::kInvalidInput, "standard input can be read only once",
               [] { (void)scan_manifest("-"); });
  expect_error(ErrorKind::kNotFound, "none.csv",
               [&] { (void)scan_manifest(directory_ / "none.csv"); });
}

}  // namespace
}  // namespace mmra::bank
