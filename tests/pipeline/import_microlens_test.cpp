#include "mmra/pipeline/import_microlens.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>

#include "expect_error.h"
#include "mmra/bank/manifest.h"
#include "mmra/core/files.h"
#include "test_files.h"

namespace mmra::pipeline::testing {
namespace {

using mmra::testing::expect_error;
using mmra::testing::TemporaryDirectory;
using ::testing::HasSubstr;

class ImportMicrolens : public ::testing::Test {
 protected:
  void write(const std::string& name, const std::string& text) const {
    std::filesystem::create_directories((release_ / name).parent_path());
    write_file_atomically(release_ / name, text);
  }
  [[nodiscard]] MicrolensImport import(const std::filesystem::path& titles = {}) const {
    return import_microlens(release_, titles, out_);
  }
  [[nodiscard]] std::map<std::string, bank::ManifestRow> rows() const {
    std::map<std::string, bank::ManifestRow> rows;
    for (const auto& row : bank::load_manifest(out_)) rows[row.id] = row;
    return rows;
  }

  TemporaryDirectory directory_;
  std::filesystem::path release_ = directory_ / "MicroLens";
  std::filesystem::path out_ = directory_ / "videos.csv";
};

/// 'T' train, 'x' test, 'v' valid.
std::string split_text(std::size_t num_rows) {
  std::string text;
  for (const bank::Split split : microlens_split(num_rows)) {
    text += split == bank::Split::kTrain ? 'T' : split == bank::Split::kTest ? 'x' : 'v';
  }
  return text;
}

// The strings are what scikit-learn 1.x gives for
//   train, others = train_test_split(range(n), test_size=0.2, random_state=9)
//   test, valid = train_test_split(others, test_size=0.5, random_state=18)
TEST(MicrolensSplit, IsThatOfScikitLearn) {
  EXPECT_EQ(split_text(10), "TTTTvTTTxT");
  EXPECT_EQ(split_text(23), "TTTxvxTvTvTTTTTTTTTTTTT");
}

TEST(MicrolensSplit, TakesAnyNumberOfRows) {
  for (std::size_t n = 0; n < 10; ++n) EXPECT_EQ(microlens_split(n).size(), n);
}

TEST_F(ImportMicrolens, GivesEveryIdItsTitleCountSplitAndVideo) {
  std::string titles = "item,title\n";
  std::string comments;
  for (int id = 1; id <= 10; ++id) {
    titles += std::to_string(id) + ",\"title, the " + std::to_string(id) + "th\"\n";
    for (int i = 0; i < id; ++i) comments += "7\t" + std::to_string(id) + "\tnice\n";
  }
  write("x_title_en.csv", titles);
  write("x_comment_en.txt", comments);
  write("x_videos/deep/4.mp4", "bytes");
  write("x_videos/cover.jpg", "no video");
  const MicrolensImport report = import();
  EXPECT_EQ(report.num_rows, 10);
  EXPECT_EQ(report.num_with_video, 1);
  EXPECT_EQ(report.num_without_title, 0);
  const auto made = rows();
  for (int id = 1; id <= 10; ++id) {
    const bank::ManifestRow& row = made.at(std::to_string(id));
    EXPECT_EQ(row.title, "title, the " + std::to_string(id) + "th");
    EXPECT_EQ(row.popularity, id);
    EXPECT_EQ(row.split, microlens_split(10).at(static_cast<std::size_t>(id - 1))) << id;
    EXPECT_EQ(row.video_path, id == 4 ? (release_ / "x_videos/deep/4.mp4").string() : "");
  }
}

TEST_F(ImportMicrolens, CountsPairsWhereThereAreNoComments) {
  write("x_titles.csv", "1,a\n2,b\n3,c\n");
  write("x_pairs.csv", "user,item,timestamp\r\n9,1,0\r\n9,2,0\r\n8,1,5\r\n");
  (void)import();
  EXPECT_EQ(rows().at("1").popularity, 2);
  EXPECT_EQ(rows().at("2").popularity, 1);
  EXPECT_EQ(rows().at("3").popularity, 0) << "nobody commented";
}

TEST_F(ImportMicrolens, SplitsByTheOrderOfNumbersNotOfLinesOrText) {
  std::string forwards;
  std::string backwards;
  for (int id = 1; id <= 23; ++id) {
    const std::string line = std::to_string(id) + ",t\n";
    forwards += line;
    backwards = line + backwards;
  }
  write("x_pairs.csv", "9,1,0\n");
  write("x_title.csv", forwards);
  (void)import();
  const std::string expected = read_file(out_);
  write("x_title.csv", backwards);
  (void)import();
  EXPECT_EQ(read_file(out_), expected);
  EXPECT_EQ(rows().at("4").split, bank::Split::kTest) << "the fourth number";
}

TEST_F(ImportMicrolens, LeavesOutRowsWithNothingToPredictFromButTheyTakePartInTheSplit) {
  std::string titles;
  for (int id = 1; id <= 10; ++id) titles += std::to_string(id) + (id == 1 ? ",\n" : ",t\n");
  write("x_title.csv", titles);
  write("x_pairs.csv", "9,1,0\n");
  const MicrolensImport report = import();
  EXPECT_EQ(report.num_rows, 9);
  EXPECT_EQ(report.num_without_title, 1);
  EXPECT_EQ(rows().count("1"), 0U);
  EXPECT_EQ(rows().at("9").split, bank::Split::kTest);
}

TEST_F(ImportMicrolens, AnotherTitleFileReplacesTheReleases) {
  write("x_title.csv", "1,theirs\n");
  write("x_pairs.csv", "9,1,0\n");
  write_file_atomically(directory_ / "mine.csv", "id,title\n1,mine\n");
  (void)import(directory_ / "mine.csv");
  EXPECT_EQ(rows().at("1").title, "mine");
}

TEST_F(ImportMicrolens, FullTitlesReplaceThoseOfTheIdsThatTheyHave) {
  write("x_title.csv", "1,short\n2,kept\n3,same\n");
  write("x_pairs.csv", "9,1,0\n");
  write_file_atomically(directory_ / "full.csv",
                        "id,title\n1,\"short, no longer\"\n3,same\n99,x\n");
  const MicrolensImport report = import(directory_ / "full.csv");
  EXPECT_EQ(report.num_replaced_titles, 1);
  EXPECT_EQ(report.num_rows, 3) << "99 is not of this release";
  EXPECT_EQ(rows().at("1").title, "short, no longer");
  EXPECT_EQ(rows().at("2").title, "kept");
}

TEST_F(ImportMicrolens, AnotherTitleFileStandsForAMissingOne) {
  write("x_pairs.csv", "9,1,0\n");
  write_file_atomically(directory_ / "mine.csv", "1,mine\n");
  (void)import(directory_ / "mine.csv");
  EXPECT_EQ(rows().at("1").title, "mine");
}

TEST_F(ImportMicrolens, UnquotedCommasBelongToTheTitle) {
  write("x_pairs.csv", "9,1,0\n");
  write("x_title.csv", "1,one, two, three\n2,plain\n");
  (void)import();
  EXPECT_EQ(rows().at("1").title, "one, two, three");
  write("x_title.csv", "id,title,likes\n1,one,17\n");
  (void)import();
  EXPECT_EQ(rows().at("1").title, "one") << "a column of its own";
}

TEST_F(ImportMicrolens, RecognisesTitlesThatWereCutAtTheComma) {
  write("x_pairs.csv", "9,1,0\n");
  const auto import_titles = [&](int count, const std::string& last) {
    std::string titles;
    for (int id = 1; id < count; ++id) titles += std::to_string(id) + ",a title\n";
    write("x_title.csv", titles + std::to_string(count) + "," + last + "\n");
    return import();
  };
  EXPECT_TRUE(import_titles(200, "a title").titles_are_cut);
  EXPECT_FALSE(import_titles(200, "\"one, with a comma\"").titles_are_cut);
  EXPECT_FALSE(import_titles(199, "a title").titles_are_cut) << "too few to tell";
}

TEST_F(ImportMicrolens, TheFirstCommentsTimeIsThatOfThePosting) {
  write("x_title.csv", "1,a\n2,b\n3,c\n4,d\n");
  write("x_pairs.csv",
        "user,item,timestamp\n9,1,1700000500\n8,1,1700000000\n7,2,1583378629552\n6,4,0\n");
  const MicrolensImport report = import();
  EXPECT_EQ(report.num_with_time, 2);
  EXPECT_EQ(rows().at("1").posted_at, Timestamp{1'700'000'000'000});
  EXPECT_EQ(rows().at("2").posted_at, Timestamp{1'583'378'629'552}) << "milliseconds";
  EXPECT_FALSE(rows().at("3").posted_at.has_value()) << "nobody commented";
  EXPECT_FALSE(rows().at("4").posted_at.has_value()) << "0 is no time";
  write("x_comment.txt", "7\t1\tnice\n");
  (void)import();
  EXPECT_EQ(rows().at("1").popularity, 1) << "counted from the comments where there are any";
  EXPECT_EQ(rows().at("1").posted_at, Timestamp{1'700'000'000'000});
}

TEST_F(ImportMicrolens, NamesFileAndLineOfWhatIsWrong) {
  write("x_pairs.csv", "9,1,0\n");
  const std::pair<const char*, const char*> cases[] = {
      {"id,title\n1,a\nsecond,b\n", "x_title.csv, line 3: \"second\" is no item number"},
      {"1,a\n2\n", "x_title.csv, line 2: found 1 fields, expected 2"},
      {"1,\"a\nb\"\n2 ,c\n", "x_title.csv, line 3: \"2 \""},
      {"1,\"a\n", "x_title.csv"},
      {"id,title\n", "no row"},
      {"", "no row"}};
  for (const auto& [text, part] : cases) {
    write("x_title.csv", text);
    expect_error(ErrorKind::kInvalidInput, part, [&] { (void)import(); });
    EXPECT_FALSE(std::filesystem::exists(out_)) << text;
  }
}

TEST_F(ImportMicrolens, SaysWhatIsMissing) {
  expect_error(ErrorKind::kNotFound, "not a directory", [&] { (void)import(); });
  write("readme", "");
  expect_error(ErrorKind::kNotFound, "--titles", [&] { (void)import(); });
  write("x_title.csv", "1,a\n");
  expect_error(ErrorKind::kNotFound, "_pairs.csv", [&] { (void)import(); });
  write("x_comment.txt", "1,2,separated by commas\n");
  expect_error(ErrorKind::kInvalidInput, "x_comment.txt names no item", [&] { (void)import(); });
  expect_error(ErrorKind::kNotFound, "mine.csv", [&] { (void)import(directory_ / "mine.csv"); });
}

}  // namespace
}  // namespace mmra::pipeline::testing
