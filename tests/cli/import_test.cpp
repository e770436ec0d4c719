#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <sstream>
#include <string>

#include "mmra/core/files.h"
#include "run_program.h"
#include "test_files.h"

namespace mmra::testing {
namespace {

using ::testing::HasSubstr;

TEST(ImportMicrolens, CountsCommentsAndFindsVideos) {
  const TemporaryDirectory directory;
  const auto release = directory.path() / "MicroLens-100k";
  std::filesystem::create_directories(release / "MicroLens-100k_videos");
  write_file_atomically(release / "MicroLens-100k_title_en.csv",
                        "1,first clip\n2,\"second, with a comma\"\n10,tenth\n");
  write_file_atomically(release / "MicroLens-100k_comment_en.txt",
                        "7\t1\tnice\n8\t1\ttwo\nlines\n9\t2\tok\n");
  write_file_atomically(release / "MicroLens-100k_videos/10.mp4", "x");
  const std::string out = directory / "videos.csv";
  const ProgramResult result = run_mmra({"import", "microlens", release, "--out", out});
  ASSERT_EQ(result.status, 0) << result.err;
  const std::string manifest = read_file(out);
  EXPECT_THAT(manifest, HasSubstr("id,title,popularity,split,video"));
  EXPECT_THAT(manifest, HasSubstr("1,\"first clip\",2,"));
  EXPECT_THAT(manifest, HasSubstr("2,\"second, with a comma\",1,"));
  EXPECT_THAT(manifest, HasSubstr("10.mp4"));
}

TEST(ImportMicrolens, ExplainsTitlesThatWereCut) {
  const TemporaryDirectory directory;
  std::string titles;
  for (int id = 1; id <= 250; ++id) titles += std::to_string(id) + ",short\n";
  write_file_atomically(directory / "x_title_en.csv", titles);
  write_file_atomically(directory / "x_pairs.csv", "9,1,1700000000\n");
  const std::string out = directory / "videos.csv";
  const ProgramResult cut = run_mmra({"import", "microlens", directory.path(), "--out", out});
  ASSERT_EQ(cut.status, 0) << cut.err;
  EXPECT_THAT(cut.err, HasSubstr("cut at the first one"));
  EXPECT_THAT(cut.err, HasSubstr("--titles FILE"));
  EXPECT_THAT(read_file(out), HasSubstr("2023-11-14T22:13:20Z"));
  write_file_atomically(directory / "full.csv", "id,title\n1,\"short, no longer\"\n");
  const ProgramResult full = run_mmra(
      {"import", "microlens", directory.path(), "--titles", directory / "full.csv", "--out", out});
  EXPECT_THAT(full.out, HasSubstr("full.csv: 1."));
  EXPECT_EQ(full.err, "");
  EXPECT_THAT(read_file(out), HasSubstr("short, no longer"));
}

TEST(ImportMicrolens, SaysWhichFileIsMissing) {
  const TemporaryDirectory directory;
  const std::string out = directory / "videos.csv";
  ProgramResult result = run_mmra({"import", "microlens", directory.path(), "--out", out});
  EXPECT_EQ(result.status, 1);
  EXPECT_THAT(result.err, HasSubstr("title"));
  write_file_atomically(directory / "x_title_en.csv", "1,a\n");
  result = run_mmra({"import", "microlens", directory.path(), "--out", out});
  EXPECT_EQ(result.status, 1);
  EXPECT_THAT(result.err, HasSubstr("comment"));
  EXPECT_FALSE(std::filesystem::exists(out));
}

// The authors' split, as scikit-learn makes it: the research copy has it in its split column.
TEST(ImportMicrolens, SplitsAsTheAuthorsDid) {
  const std::filesystem::path shared =
      std::filesystem::path(MMRA_SHARED_DATA_DIR) / "microlens-100k";
  if (!std::filesystem::exists(shared / "videos.csv")) {
    GTEST_SKIP() << "needs the research data beside the checkout";
  }
  const TemporaryDirectory directory;
  std::string titles;
  std::string pairs = "user,item,timestamp\n";
  std::ifstream reference(shared / "videos.csv");
  std::string line;
  std::getline(reference, line);
  std::vector<std::string> splits;
  while (std::getline(reference, line)) {
    splits.push_back(line.substr(line.rfind(',') + 1));
    const std::string id = line.substr(0, line.find(','));
    titles += id + ",t\n";
    pairs += "1," + id + ",0\n";
  }
  write_file_atomically(directory / "x_title.csv", titles);
  write_file_atomically(directory / "x_pairs.csv", pairs);
  const std::string out = directory / "videos.csv";
  ASSERT_EQ(run_mmra({"import", "microlens", directory.path(), "--out", out}).status, 0);
  std::istringstream made(read_file(out));
  std::getline(made, line);
  std::size_t row = 0;
  while (std::getline(made, line)) {
    ASSERT_THAT(line, HasSubstr("," + splits.at(row) + ",")) << "row " << row;
    ++row;
  }
  EXPECT_EQ(row, 19738U);
}

TEST(ImportCsv, LeadsFromAStudiosExportToABank) {
  const TemporaryDirectory directory;
  write_file_atomically(
      directory / "Table data.csv",
      "\xEF\xBB\xBF"
      "Content,Video title,Video publish time,Duration,Views\n"
      "Total,,,,1235457\n"
      "dQw4w9WgXcQ,\"How I built a boat, alone\",\"Jan 5, 2024\",62,\"1,234,567\"\n"
      "a-b_c123DEF,The quiet part,\"Dec 31, 2023\",15,890\n");
  const std::string out = directory / "videos.csv";
  const ProgramResult result =
      run_mmra({"import", "csv", directory / "Table data.csv", "--from", "youtube-studio",
                "--context", "duration_s=Duration", "--timezone", "+01:00", "--out", out});
  ASSERT_EQ(result.status, 0) << result.err;
  EXPECT_EQ(result.err, "");
  EXPECT_THAT(result.out, HasSubstr("2 rows (2 with a number, 0 with a clip, 2 with a time)"));
  EXPECT_THAT(result.out, HasSubstr("Left out: 1 row of totals."));
  EXPECT_THAT(read_file(out), HasSubstr("1234567,2024-01-04T23:00:00Z,,,62"));
  const ProgramResult ingested = run_mmra({"ingest", out, "--bank", directory / "bank", "--quiet"});
  EXPECT_EQ(ingested.status, 0) << ingested.err;
  EXPECT_THAT(run_mmra({"bank", "info", directory / "bank"}).out, HasSubstr("duration_s"));
}

TEST(ImportCsv, SaysInOneLineWhatIsWrong) {
  const TemporaryDirectory directory;
  const std::string file = directory / "export.csv";
  write_file_atomically(file, "Name,Plays,Date\nboat,many,05/01/2024\n");
  const auto refuse = [&](std::vector<std::string> more, const std::string& why) {
    std::vector<std::string> arguments{"import", "csv", file, "--out", directory / "out.csv"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const ProgramResult result = run_mmra(arguments);
    EXPECT_EQ(result.status, 1);
    EXPECT_THAT(result.err, HasSubstr(why));
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
  };
  refuse({}, "--from tiktok-studio, youtube-studio, or --map");
  refuse({"--from", "myspace"}, "there is no preset \"myspace\"; there are tiktok-studio");
  refuse({"--from", "youtube-studio"}, "there is no column \"Content\" or \"Video\" (id)");
  refuse({"--map", "title=Name,popularity=Plays"}, "line 2, column 2 (\"Plays\"): \"many\" is no");
  refuse({"--map", "title=Name,posted_at=Date"}, "--date-order dmy or mdy");
  refuse({"--map", "title=Name", "--timezone", "Mars"}, "--timezone Mars is not known");
  refuse({"--map", "title=Name", "--context", "=Date"}, "not of the form name=COLUMN");
  refuse({"--map", "title=Name", "--clips", directory / "none"}, "is no folder");
}

}  // namespace
}  // namespace mmra::testing
