#include "mmra/pipeline/import_csv.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "expect_error.h"
#include "mmra/bank/manifest.h"
#include "mmra/core/error.h"
#include "mmra/core/files.h"
#include "mmra/pipeline/export/clip_files.h"
#include "mmra/pipeline/export/text_file.h"
#include "test_files.h"

namespace mmra::pipeline {
namespace {

using ::testing::ElementsAre;
using testing::expect_error;
using ::testing::HasSubstr;
using testing::TemporaryDirectory;

class ImportCsv : public ::testing::Test {
 protected:
  CsvImport import(const std::string& text, const std::string& map) {
    request_.columns = parse_column_map(map);
    return import(text);
  }
  CsvImport import(const std::string& text) {
    request_.file = directory_ / "export.csv";
    request_.out = directory_ / "videos.csv";
    write_file_atomically(request_.file, text);
    const CsvImport report = import_csv(request_);
    rows_ = bank::load_manifest(request_.out);  // what ingest will read
    EXPECT_EQ(static_cast<std::int64_t>(rows_.size()), report.num_rows);
    return report;
  }
  void expect_refused(const std::string& text, const std::string& map, const std::string& why) {
    expect_error(ErrorKind::kInvalidInput, why, [&] { (void)import(text, map); });
    EXPECT_FALSE(std::filesystem::exists(directory_ / "videos.csv"));
  }
  [[nodiscard]] std::string time_of(std::size_t row) const {
    return rows_[row].posted_at ? format_timestamp(*rows_[row].posted_at) : "";
  }
  [[nodiscard]] std::string video_of(std::size_t row) const {
    return std::filesystem::path(rows_[row].video_path).filename().string();
  }

  TemporaryDirectory directory_;
  CsvImportRequest request_;
  std::vector<bank::ManifestRow> rows_;
};

TEST_F(ImportCsv, ReadsYouTubeStudiosTable) {
  request_.columns = export_preset("youtube-studio").value();
  request_.context = {{"duration_s", "Duration"},
                      {"click_rate", "Impressions click-through rate (%)"}};
  const CsvImport report = import(
      "\xEF\xBB\xBF"
      "Content,Video title,Video publish time,Duration,Views,Watch time (hours),Impressions "
      "click-through rate (%)\n"
      "Total,,,,1380245,45321.2,4.6\n"
      "dQw4w9WgXcQ,\"How I built a boat, alone\",\"Jan 5, 2024\",62,1234567,30100.9,6.31\n"
      "a-b_c123DEF,\"The \"\"quiet\"\" part\",\"Dec 31, 2023\",15,890,3.25,\n"
      "zzzzzzzzzzz,Not counted yet,\"Feb 1, 2024\",30,,,\n");
  EXPECT_EQ(report.num_totals, 1);
  EXPECT_EQ(report.num_labelled, 2);
  EXPECT_EQ(report.num_without_zone, 3);
  ASSERT_EQ(rows_.size(), 3U);
  EXPECT_EQ(rows_[0].id, "dQw4w9WgXcQ");
  EXPECT_EQ(rows_[0].title, "How I built a boat, alone");
  EXPECT_EQ(rows_[0].popularity, 1234567.0);
  EXPECT_EQ(time_of(0), "2024-01-05T00:00:00Z");
  EXPECT_EQ(std::get<double>(rows_[0].context.at("duration_s")), 62.0);
  EXPECT_EQ(std::get<double>(rows_[0].context.at("click_rate")), 6.31);
  EXPECT_EQ(rows_[1].title, "The \"quiet\" part");
  EXPECT_EQ(rows_[1].context.count("click_rate"), 0U);
  EXPECT_FALSE(rows_[2].popularity.has_value());
}

TEST_F(ImportCsv, ReadsTikTokStudiosTableWithAddressesAsIds) {
  request_.columns = export_preset("tiktok-studio").value();
  (void)import(
      "Video title,Video link,Post time,Total views,Total likes\n"
      "\"Criollo en 3 pasos 😍\",https://www.tiktok.com/@ada/video/7300000000000000001,2024-09-10 "
      "18:30:00,\"15,400\",820\n"
      "otro,https://www.tiktok.com/@ada/video/7300000000000000002?lang=es,2024-09-08 "
      "09:05:00,1.2K,44\n");
  EXPECT_EQ(rows_[0].id, "7300000000000000001");
  EXPECT_EQ(rows_[1].id, "7300000000000000002");
  EXPECT_EQ(rows_[0].popularity, 15400.0);
  EXPECT_EQ(rows_[1].popularity, 1200.0);
  EXPECT_EQ(time_of(0), "2024-09-10T18:30:00Z");
}

TEST_F(ImportCsv, ReadsChineseStudios) {
  request_.dates.offset_minutes = 8 * 60;
  // Douyin, Kuaishou and Bilibili in turn: dates and large numbers as each writes them.
  (void)import(
      "作品名称,发布时间,播放量\n"
      "三分钟学会红烧肉,2024年3月5日 18:30,3万\n"
      "猫咪的一天,2024-03-06 09:00:00,1.5亿\n"
      "雨中的城市,2024/3/7 9:05,\"12,345\"\n"
      "合计,,1.5亿\n",
      "title=作品名称,popularity=播放量,posted_at=发布时间");
  ASSERT_EQ(rows_.size(), 3U);
  EXPECT_EQ(rows_[0].popularity, 30000.0);
  EXPECT_EQ(rows_[1].popularity, 150000000.0);
  EXPECT_EQ(rows_[2].popularity, 12345.0);
  EXPECT_EQ(time_of(0), "2024-03-05T10:30:00Z");
  EXPECT_EQ(time_of(2), "2024-03-07T01:05:00Z");
  EXPECT_EQ(rows_[0].id.substr(0, 2), "t-");
}

TEST_F(ImportCsv, ReadsOtherEncodingsAndDelimiters) {
  const std::string text = "Titel;Aufrufe;Datum\nDas Boot;1.234;05.01.2024\nZwei;12,5;6.1.2024\n";
  const std::string map = "title=Titel,popularity=Aufrufe,posted_at=Datum";
  EXPECT_EQ(import(text, map).delimiter, ';');
  EXPECT_EQ(rows_[0].popularity, 1234.0) << "the other row says that a comma is the decimal mark";
  EXPECT_EQ(time_of(0), "2024-01-05T00:00:00Z");

  // UTF-16 as spreadsheets save "Unicode text": with tabs.
  for (const bool little : {true, false}) {
    std::string bytes = little ? "\xFF\xFE" : "\xFE\xFF";
    for (const char c : std::string("Titel\tAufrufe\tDatum\r\nDas Boot\t1 234\t05.01.2024\r\n")) {
      bytes += little ? std::string{c, '\0'} : std::string{'\0', c};
    }
    const CsvImport report = import(bytes, map);
    EXPECT_EQ(report.encoding, little ? "UTF-16LE" : "UTF-16BE");
    EXPECT_EQ(report.delimiter, '\t');
    EXPECT_EQ(rows_[0].popularity, 1234.0);
  }

  // 标题,播放 / 猫,3万 in GB 18030.
  const std::string chinese = "\xB1\xEA\xCC\xE2,\xB2\xA5\xB7\xC5\n\xC3\xA8,3\xCD\xF2\n";
  std::filesystem::remove(directory_ / "videos.csv");
  expect_refused(chinese, "title=标题,popularity=播放", "line 1: the bytes are not UTF-8");
  request_.encoding = "gb18030";
  (void)import(chinese, "title=标题,popularity=播放");
  EXPECT_EQ(rows_[0].title, "猫");
  EXPECT_EQ(rows_[0].popularity, 30000.0);
  std::filesystem::remove(directory_ / "videos.csv");
  request_.encoding = "klingon";
  expect_refused(text, map, "the encoding \"klingon\" is not known");
}

TEST_F(ImportCsv, FindsTheHeaderBelowATitleAndASeparatorLine) {
  (void)import("sep=;\nMy channel\n2024\nTitle;Views\na boat;1\n", "title=title,popularity=VIEWS ");
  EXPECT_EQ(rows_[0].title, "a boat");
}

TEST_F(ImportCsv, NamesWhatIsMissingAndWhatIsThere) {
  expect_refused(
      "Name,Plays\nboat,1\n", "title=Title,popularity=Plays",
      "line 1: there is no column \"Title\" (title); the columns are \"Name\", \"Plays\"");
  request_.context = {{"likes", "Likes"}};
  expect_refused("Name,Plays\nboat,1\n", "title=Name,popularity=Plays",
                 "there is no column \"Likes\" (context likes)");
  request_.context.clear();
  expect_refused("", "title=Name,popularity=Plays", "has no rows");
  expect_refused("Name,Plays\n,1\n", "title=Name,popularity=Plays", "no row with a title");
  expect_refused("Name,Plays\n", "popularity=Plays", "neither title nor video");
}

TEST_F(ImportCsv, NamesRowAndColumnOfWhatCannotBeRead) {
  const std::string map = "title=Title,popularity=Views,posted_at=Date";
  expect_refused("Title,Views,Date\nboat,1,\ncake,many,\n", map,
                 "export.csv, line 3, column 2 (\"Views\"): \"many\" is no number");
  expect_refused("Title,Views,Date\nboat,1.234,\n", map,
                 "line 2, column 2 (\"Views\"): \"1.234\" may be");
  expect_refused(
      "Title,Views,Date\na,1.2K,\nb,\"1,2K\",\n", map,
      "line 3, column 2 (\"Views\"): \"1,2K\" has another decimal mark than \"1.2K\" in line 2");
  expect_refused("Title,Views,Date\nboat,1,soon\n", map,
                 "line 2, column 3 (\"Date\"): \"soon\" is no date");
  expect_refused("Title,Views,Date\nboat,1,05/01/2024\n", map, "--date-order dmy or mdy");
  expect_refused("Title,Views,Date\na,1,25/01/2024\nb,1,01/25/2024\n", map,
                 "has day and month in another order than \"25/01/2024\" in line 2");
  expect_refused("Title,Views,Date\na boat, a lake,1,\n", map, "found 4 cells, expected 3");
  expect_refused("Id,Title,Views\nx,a,1\nx,b,2\n", "id=Id,title=Title,popularity=Views",
                 "line 3, column 1 (\"Id\"): \"x\" is also in line 2");
  expect_refused("Title,Views,Part\na,1,exam\n", "title=Title,popularity=Views,split=Part",
                 "is none of train, valid, test");
}

TEST_F(ImportCsv, LetsADateTellTheOrderOfTheOthers) {
  (void)import("Title,Views,Date\na,1,05/01/2024\nb,1,25/01/2024\n",
               "title=Title,popularity=Views,posted_at=Date");
  EXPECT_EQ(time_of(0), "2024-01-05T00:00:00Z");
}

TEST_F(ImportCsv, MakesIdsThatStayTheSame) {
  const std::string map = "title=Title,popularity=Views";
  const CsvImport report = import("Title,Views\nboat,1\ncake,2\nboat,3\n", map);
  EXPECT_EQ(report.num_made_ids, 3);
  const std::string boat = rows_[0].id;
  EXPECT_EQ(rows_[2].id, boat + "-2");
  (void)import("Title,Views\ncake,5\nboat,9\n", map);
  EXPECT_EQ(rows_[1].id, boat) << "a later export updates the same video";
}

TEST_F(ImportCsv, SplitsWithoutATestWhereAsked) {
  std::string text = "Title,Views,Part\nmine,1,test\n";
  for (int i = 0; i < 200; ++i) text += "title " + std::to_string(i) + ",1,\n";
  const std::string map = "title=Title,popularity=Views,split=Part";
  (void)import(text, map);
  EXPECT_FALSE(rows_[1].split.has_value()) << "left to ingest";
  request_.no_test = true;
  (void)import(text, map);
  EXPECT_EQ(rows_[0].split, bank::Split::kTest) << "the table's own word counts";
  const auto num_valid =
      static_cast<double>(std::count_if(rows_.begin(), rows_.end(), [](const auto& row) {
        return row.split == bank::Split::kValid;
      }));
  EXPECT_NEAR(num_valid, 40.0, 15.0);
  for (std::size_t i = 1; i < rows_.size(); ++i) {
    EXPECT_EQ(rows_[i].split == bank::Split::kTrain,
              bank::split_of_id(rows_[i].id) == bank::Split::kTrain);
  }
}

TEST_F(ImportCsv, FindsClipsByIdTitleAndColumn) {
  const auto clips = directory_ / "clips";
  std::filesystem::create_directories(clips / "2024");
  for (const char* name :
       {"v1.mp4", "2024/Some title [v2].webm", "How I built a boat__ (final).MOV", "named.mkv",
        "stranger.mp4", "notes.txt"}) {
    write_file_atomically(clips / name, "x");
  }
  request_.clips = clips;
  const CsvImport report = import(
      "Id,Title,Views,File\n"
      "v1,first,1,\nv2,second,2,\nv3,\"How I built a boat? (final)\",3,\n"
      "v4,fourth,4,old/folder/named.mkv\nv5,fifth,5,gone.mp4\n",
      "id=Id,title=Title,popularity=Views,video=File");
  EXPECT_EQ(report.num_with_video, 4);
  EXPECT_EQ(video_of(0), "v1.mp4");
  EXPECT_EQ(video_of(1), "Some title [v2].webm");
  EXPECT_EQ(video_of(2), "How I built a boat__ (final).MOV");
  EXPECT_EQ(video_of(3), "named.mkv");
  EXPECT_EQ(video_of(4), "");
  EXPECT_THAT(report.missing_clips, ElementsAre("gone.mp4"));
  EXPECT_THAT(report.unmatched_clips, ElementsAre("stranger.mp4"));
}

TEST_F(ImportCsv, KeepsContextAsNumbersWhereAllAre) {
  request_.context = {{"likes", "Likes"}, {"length", "Length"}, {"series", "Series"}};
  (void)import("Title,Views,Likes,Length,Series\na,1,\"1,200\",1:05,007\nb,2,-,0:00:30,Boats\n",
               "title=Title,popularity=Views");
  EXPECT_EQ(std::get<double>(rows_[0].context.at("likes")), 1200.0);
  EXPECT_EQ(std::get<double>(rows_[0].context.at("length")), 65.0);
  EXPECT_EQ(std::get<double>(rows_[1].context.at("length")), 30.0);
  EXPECT_EQ(std::get<std::string>(rows_[0].context.at("series")), "007");
  EXPECT_EQ(rows_[1].context.count("likes"), 0U);
  request_.context = {{"title", "Series"}};
  std::filesystem::remove(directory_ / "videos.csv");
  expect_refused("Title,Views,Series\na,1,b\n", "title=Title,popularity=Views",
                 "a field of its own");
}

TEST(ColumnMap, IsReadWithCommasInNames) {
  const ExportColumns columns = parse_column_map("id=Link,title=Title, full,popularity=Views");
  EXPECT_EQ(columns.at("title").names.front(), "Title, full");
  EXPECT_EQ(columns.at("popularity").names.front(), "Views");
  const auto refuse = [](const char* map, const char* why) {
    expect_error(ErrorKind::kInvalidInput, why, [&] { (void)parse_column_map(map); });
  };
  refuse("", "not of the form");
  refuse("Views", "not of the form");
  refuse("views=Views", "it may name id, title");
  refuse("title=,popularity=Views", "no column for title");
  refuse("title=A,title=B", "gives title twice");
}

TEST(Address, GivesTheIdOfTheVideo) {
  EXPECT_EQ(id_of_address("https://www.youtube.com/watch?v=dQw4w9WgXcQ&t=5"), "dQw4w9WgXcQ");
  EXPECT_EQ(id_of_address("https://www.youtube.com/watch?t=5&v=dQw4w9WgXcQ"), "dQw4w9WgXcQ");
  EXPECT_EQ(id_of_address("https://youtu.be/dQw4w9WgXcQ?si=x"), "dQw4w9WgXcQ");
  EXPECT_EQ(id_of_address("https://www.youtube.com/shorts/abc#top"), "abc");
  EXPECT_EQ(id_of_address("https://www.tiktok.com/@ada/video/73000"), "73000");
  EXPECT_EQ(id_of_address("https://www.instagram.com/reel/Cx_9/"), "Cx_9");
  EXPECT_EQ(id_of_address("https://www.bilibili.com/video/BV1xx411c7mD/"), "BV1xx411c7mD");
  EXPECT_EQ(id_of_address("dQw4w9WgXcQ"), "");
  EXPECT_EQ(id_of_address("https://"), "");
  EXPECT_EQ(id_of_address("https://example.org"), "");
}

TEST(Delimiter, IsThatOfTheFirstLineThatHasOne) {
  EXPECT_EQ(find_delimiter("a,b;c;d\n"), ';');
  EXPECT_EQ(find_delimiter("a title\na\tb\n"), '\t');
  EXPECT_EQ(find_delimiter("\"a,b,c\";d\n"), ';');
  EXPECT_EQ(find_delimiter("sep=|\na,b\n"), '|');
  EXPECT_EQ(find_delimiter("one\n"), ',');
  EXPECT_EQ(find_delimiter(""), ',');
}

}  // namespace
}  // namespace mmra::pipeline
