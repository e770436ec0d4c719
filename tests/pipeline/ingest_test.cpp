#include "mmra/pipeline/ingest.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>
#include <string>
#include <vector>

#include "expect_error.h"
#include "made_bank.h"
#include "mmra/bank/failures.h"
#include "mmra/core/error.h"
#include "test_files.h"

namespace mmra::pipeline::testing {
namespace {

using mmra::testing::expect_error;
using mmra::testing::TemporaryDirectory;
using ::testing::AllOf;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::StartsWith;

const char* const kHeader = "id,title,popularity\n";

std::string rows(int first, int count) {
  std::string text;
  for (int i = first; i < first + count; ++i) {
    text += std::to_string(i) + ",my boat number " + std::to_string(i) + "," +
            std::to_string(i % 97) + "\n";
  }
  return text;
}

class Ingest : public ::testing::Test {
 protected:
  [[nodiscard]] std::filesystem::path path(const std::string& name) const {
    return directory_ / name;
  }
  IngestReport ingest_rows(const std::string& manifest, IngestOptions options = {}) const {
    return ingest_text(directory_.path(), manifest, std::move(options));
  }
  [[nodiscard]] std::unique_ptr<bank::MemoryBank> bank() const {
    return open_made_bank(directory_.path());
  }
  [[nodiscard]] bank::StoredRecord stored(const std::string& id) const {
    const auto opened = bank();
    return {opened->find(id).value(), opened->find_features(id).value()};
  }
  /// Replaces what the encoders made, to see whether they are asked again.
  void mark_features(const std::string& id) const {
    bank::StoredRecord marked = stored(id);
    for (auto& value : marked.features.text_tokens.values) value = float_to_half(0.125F);
    bank::open_bank(path("bank"), bank::OpenMode::kReadWrite)->put(std::span(&marked, 1));
  }
  [[nodiscard]] bool is_marked(const std::string& id) const {
    return stored(id).features.text_tokens.values.at(0) == float_to_half(0.125F);
  }
  [[nodiscard]] std::vector<bank::IngestFailure> failures() const {
    return bank::read_failures(bank::failures_file(path("bank")));
  }

  TemporaryDirectory directory_;
};

TEST_F(Ingest, TakesVideosTitlesOrBoth) {
  write_clip(path("a.mp4"), 40);
  write_clip(path("b.mp4"), 200);
  IngestOptions options;
  options.num_frames = 4;
  const IngestReport report = ingest_rows(
      "id,title,popularity,video,creator\nboth,a boat,3,a.mp4,anna\nvideo,,4,b.mp4,\n"
      "title,a cake,5,,bert\n",
      options);
  EXPECT_EQ(report.num_rows, 3);
  EXPECT_EQ(report.num_added, 3);
  EXPECT_TRUE(report.fitted_encoders);
  EXPECT_THAT(failures(), SizeIs(0));

  const bank::StoredRecord both = stored("both");
  EXPECT_EQ(both.features.visual_tokens.num_tokens, 4);
  EXPECT_GT(both.features.text_tokens.num_tokens, 0);
  EXPECT_THAT(both.record.captions, SizeIs(4));
  EXPECT_THAT(both.record.thumbnails, SizeIs(4));
  for (const auto& jpeg : both.record.thumbnails) {
    ASSERT_GT(jpeg.size(), 2U);
    EXPECT_EQ(jpeg[0], 0xFF);
    EXPECT_EQ(jpeg[1], 0xD8);
  }
  EXPECT_EQ(std::get<double>(both.record.context.at("width")), 64.0);
  EXPECT_EQ(std::get<double>(both.record.context.at("height")), 48.0);
  EXPECT_NEAR(std::get<double>(both.record.context.at("duration_s")), 0.5, 0.05);
  EXPECT_EQ(std::get<std::string>(both.record.context.at("creator")), "anna");
  EXPECT_EQ(both.record.video_path, path("a.mp4").string());

  const bank::StoredRecord video = stored("video");
  EXPECT_EQ(video.features.visual_tokens.num_tokens, 4);
  EXPECT_EQ(video.features.text_tokens.num_tokens, 0);
  EXPECT_NE(video.features.visual_tokens.values, both.features.visual_tokens.values);
  EXPECT_EQ(video.record.context.count("creator"), 0U) << "an empty cell is a missing value";

  const bank::StoredRecord title = stored("title");
  EXPECT_EQ(title.features.visual_tokens.num_tokens, 0);
  EXPECT_GT(title.features.text_tokens.num_tokens, 0);
  EXPECT_THAT(title.record.captions, SizeIs(0));
  EXPECT_EQ(title.record.context.count("width"), 0U);
  EXPECT_THAT(bank()->verify(), SizeIs(0));
}

TEST_F(Ingest, TheNumberOfJobsDecidesNothing) {
  for (int i = 0; i < 6; ++i) write_clip(path(std::to_string(i) + ".mp4"), 30 * i);
  std::string manifest = "id,title,popularity,video\n";
  for (int i = 0; i < 6; ++i) {
    manifest +=
        std::to_string(i) + ",boat " + std::to_string(i) + ",1," + std::to_string(i) + ".mp4\n";
  }
  const TemporaryDirectory other;
  IngestOptions options;
  options.num_jobs = 4;
  (void)ingest_rows(manifest, options);
  for (int i = 0; i < 6; ++i) {
    std::filesystem::copy(path(std::to_string(i) + ".mp4"), other / (std::to_string(i) + ".mp4"));
  }
  options.num_jobs = 1;
  (void)ingest_text(other.path(), manifest, options);
  const auto there = open_made_bank(other.path());
  for (int i = 0; i < 6; ++i) {
    const std::string id = std::to_string(i);
    const bank::StoredRecord here = stored(id);
    EXPECT_EQ(here.features.visual_tokens.values, there->find_features(id)->visual_tokens.values);
    EXPECT_EQ(here.features.retrieval_vector, there->find_features(id)->retrieval_vector);
    EXPECT_EQ(here.record.captions, there->find(id)->captions);
    EXPECT_EQ(here.record.thumbnails, there->find(id)->thumbnails);
  }
}

TEST_F(Ingest, AChangedPopularityRewritesTheRecordAndEncodesNothing) {
  write_clip(path("a.mp4"), 40);
  const std::string header = "id,title,popularity,split,video,followers\n";
  (void)ingest_rows(header + "a,a boat,3,train,a.mp4,10\nb,a cake,4,train,,20\n");
  mark_features("a");
  const bank::StoredRecord before = stored("a");
  const IngestReport report =
      ingest_rows(header + "a,a boat,300,test,a.mp4,11\nb,a cake,4,train,,20\n");
  EXPECT_EQ(report.num_updated, 1);
  EXPECT_EQ(report.num_unchanged, 1);
  const bank::StoredRecord after = stored("a");
  EXPECT_EQ(after.record.popularity, 300);
  EXPECT_EQ(after.record.split, bank::Split::kTest);
  EXPECT_EQ(std::get<double>(after.record.context.at("followers")), 11.0);
  EXPECT_TRUE(is_marked("a"));
  EXPECT_EQ(after.record.thumbnails, before.record.thumbnails);
  EXPECT_EQ(after.record.captions, before.record.captions);
  EXPECT_EQ(after.record.context.at("width"), before.record.context.at("width"));
}

TEST_F(Ingest, APopularityTakenAwayIsForgotten) {
  (void)ingest_rows("id,title,popularity\na,a boat,3\n");
  EXPECT_EQ(ingest_rows("id,title,popularity\na,a boat,\n").num_updated, 1);
  EXPECT_EQ(stored("a").record.popularity, std::nullopt);
}

TEST_F(Ingest, AChangedTitleIsEncodedAgain) {
  write_clip(path("a.mp4"), 40);
  const std::string header = "id,title,popularity,video\n";
  (void)ingest_rows(header + "a,boat,3,a.mp4\nb,cake,4,\n");
  const bank::StoredRecord before = stored("a");
  mark_features("b");
  const IngestReport report = ingest_rows(header + "a,cake,3,a.mp4\nb,cake,4,\n");
  EXPECT_EQ(report.num_updated, 1);
  const bank::StoredRecord after = stored("a");
  EXPECT_EQ(after.record.title, "cake");
  EXPECT_NE(after.features.text_tokens.values, before.features.text_tokens.values);
  EXPECT_NE(after.features.retrieval_vector, before.features.retrieval_vector);
  EXPECT_EQ(after.features.visual_tokens.values, before.features.visual_tokens.values);
  EXPECT_TRUE(is_marked("b")) << "an unchanged row is left alone";
}

TEST_F(Ingest, AChangedVideoIsEncodedAgain) {
  write_clip(path("a.mp4"), 40);
  const std::string manifest = "id,title,popularity,video\na,a boat,3,a.mp4\n";
  (void)ingest_rows(manifest);
  const bank::StoredRecord before = stored("a");
  write_clip(path("a.mp4"), 220, 24);
  EXPECT_EQ(ingest_rows(manifest).num_updated, 1);
  const bank::StoredRecord after = stored("a");
  EXPECT_NE(after.features.visual_tokens.values, before.features.visual_tokens.values);
  EXPECT_NE(after.record.thumbnails, before.record.thumbnails);
  EXPECT_NEAR(std::get<double>(after.record.context.at("duration_s")), 1.0, 0.05);
}

TEST_F(Ingest, ATouchedVideoIsTheSameVideo) {
  write_clip(path("a.mp4"), 40);
  const std::string manifest = "id,title,popularity,video\na,a boat,3,a.mp4\n";
  (void)ingest_rows(manifest);
  const auto written = std::filesystem::last_write_time(path("a.mp4"));
  std::filesystem::last_write_time(path("a.mp4"), written + std::chrono::hours(1));
  EXPECT_EQ(ingest_rows(manifest).num_unchanged, 1);
}

TEST_F(Ingest, AMovedVideoKeepsItsFeaturesUnderItsNewPath) {
  write_clip(path("a.mp4"), 40);
  (void)ingest_rows("id,title,popularity,video\na,a boat,3,a.mp4\n");
  mark_features("a");
  std::filesystem::rename(path("a.mp4"), path("b.mp4"));
  const IngestReport report = ingest_rows("id,title,popularity,video\na,a boat,3,b.mp4\n");
  EXPECT_EQ(report.num_updated, 1);
  EXPECT_EQ(stored("a").record.video_path, path("b.mp4").string());
  EXPECT_TRUE(is_marked("a"));
}

TEST_F(Ingest, ListsAVideoThatIsGoneAndKeepsItsRecord) {
  write_clip(path("a.mp4"), 40);
  const std::string manifest = "id,title,popularity,video\na,a boat,3,a.mp4\nb,a cake,4,\n";
  (void)ingest_rows(manifest);
  std::filesystem::remove(path("a.mp4"));
  const IngestReport report = ingest_rows(manifest);
  EXPECT_EQ(report.num_failed, 1);
  EXPECT_EQ(report.num_unchanged, 1);
  ASSERT_THAT(failures(), SizeIs(1));
  const bank::IngestFailure failure = failures().front();
  EXPECT_EQ(failure.id, "a");
  EXPECT_EQ(failure.line, 2);
  EXPECT_EQ(failure.video, path("a.mp4").string());
  EXPECT_THAT(failure.what, HasSubstr("a.mp4"));
  EXPECT_EQ(stored("a").features.visual_tokens.num_tokens, 10) << "what was known stays";

  write_clip(path("a.mp4"), 40);
  (void)ingest_rows(manifest);
  EXPECT_THAT(failures(), SizeIs(0)) << "the list is that of the last run";
}

TEST_F(Ingest, ARowThatFailsNeverStopsTheOthers) {
  write_file_atomically(path("empty.mp4"), "");
  std::filesystem::create_directory(path("folder.mp4"));
  std::filesystem::create_symlink("loop.mp4", path("loop.mp4"));
  std::filesystem::create_symlink("nowhere", path("dangling.mp4"));
  ASSERT_EQ(::mkfifo(path("fifo.mp4").c_str(), 0600), 0);
  const std::string too_long(300, 'v');
  std::string manifest = "id,title,popularity,video\n";
  const std::vector<std::string> videos{"empty.mp4", "folder.mp4", "loop.mp4",   "dangling.mp4",
                                        "fifo.mp4",  too_long,     "m.csv/a.mp4"};
  for (std::size_t i = 0; i < videos.size(); ++i) {
    manifest += "v" + std::to_string(i) + ",a boat,1," + videos[i] + "\n";
  }
  WatchedProgress progress;
  write_file_atomically(path("m.csv"), manifest + "last,a cake,2,\n");
  IngestOptions options;
  options.bank_directory = path("bank");
  const IngestReport report = ingest(path("m.csv"), options, progress);
  EXPECT_EQ(report.num_added, 1);
  EXPECT_EQ(report.num_failed, 7);
  EXPECT_THAT(failures(), SizeIs(7));
  EXPECT_THAT(progress.notes, ::testing::Contains(StartsWith("failed: v5: ")));
  for (const auto& failure : failures()) EXPECT_THAT(failure.what, Not(HasSubstr("\n")));
}

TEST_F(Ingest, ATruncatedVideoIsKeptWithAWarning) {
  write_clip(path("a.mkv"), 40, 200);
  const std::string whole = read_file(path("a.mkv"));
  write_file_atomically(path("a.mkv"), whole.substr(0, whole.size() / 2));
  WatchedProgress progress;
  write_file_atomically(path("m.csv"), "id,title,popularity,video\na,,3,a.mkv\n");
  IngestOptions options;
  options.bank_directory = path("bank");
  const IngestReport report = ingest(path("m.csv"), options, progress);
  EXPECT_EQ(report.num_added, 1);
  EXPECT_EQ(report.num_warnings, 1);
  EXPECT_THAT(progress.notes, ::testing::Contains(StartsWith("warning: a: ")));
}

TEST_F(Ingest, GoesOnWhereItWasStopped) {
  write_file_atomically(path("m.csv"), kHeader + rows(0, 1500));
  IngestOptions options;
  options.bank_directory = path("bank");
  options.num_jobs = 2;
  std::stop_source stop;
  options.stop = stop.get_token();
  WatchedProgress stopping([&](std::int64_t done) {
    if (done == 300) stop.request_stop();
  });
  EXPECT_THROW((void)ingest(path("m.csv"), options, stopping), Interrupted);
  const std::int64_t num_kept = bank()->info().num_records;
  EXPECT_GE(num_kept, 300) << "what was counted is kept";
  EXPECT_LT(num_kept, 1500);

  options.stop = {};
  SilentProgress silent;
  const IngestReport report = ingest(path("m.csv"), options, silent);
  EXPECT_FALSE(report.fitted_encoders) << "the encoders are frozen since the first run";
  EXPECT_EQ(report.num_unchanged, num_kept);
  EXPECT_EQ(report.num_added, 1500 - num_kept);
  EXPECT_EQ(bank()->info().num_records, 1500);
  EXPECT_THAT(bank()->verify(), SizeIs(0));
}

TEST_F(Ingest, StoppedBeforeItBeganItStillLeavesAWholeBank) {
  write_file_atomically(path("m.csv"), kHeader + rows(0, 20));
  IngestOptions options;
  options.bank_directory = path("bank");
  std::stop_source stop;
  stop.request_stop();
  options.stop = stop.get_token();
  SilentProgress silent;
  EXPECT_THROW((void)ingest(path("m.csv"), options, silent), Interrupted);
  options.stop = {};
  EXPECT_EQ(ingest(path("m.csv"), options, silent).num_added, 20);
}

/// No file of this process may grow beyond `size_bytes` while it lives: what a full disk does.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t size_bytes) {
    ::getrlimit(RLIMIT_FSIZE, &before_);
    handler_ = std::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{size_bytes, before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;
  ~FileSizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_);
  }

 private:
  rlimit before_{};
  void (*handler_)(int) = nullptr;
};

// Reader and workers wait at full queues when the writer fails: all of them must come to an end,
// and what was acknowledged before must be there.
TEST_F(Ingest, AWriteThatFailsEndsEveryThreadAndTheNextRunGoesOn) {
  (void)ingest_rows(kHeader + rows(0, 20));
  write_file_atomically(path("m.csv"), kHeader + rows(0, 4000));
  IngestOptions options;
  options.bank_directory = path("bank");
  options.num_jobs = 3;
  SilentProgress silent;
  {
    const FileSizeLimit full_disk(std::filesystem::file_size(path("bank") / "records/data.mdb") +
                                  (std::size_t{1} << 20));
    expect_error(ErrorKind::kIo, "bank", [&] { (void)ingest(path("m.csv"), options, silent); });
  }
  const std::int64_t num_kept = bank()->info().num_records;
  EXPECT_GE(num_kept, 20);
  EXPECT_LT(num_kept, 4000);
  EXPECT_EQ(ingest(path("m.csv"), options, silent).num_unchanged, num_kept);
  EXPECT_EQ(bank()->info().num_records, 4000);
  EXPECT_THAT(bank()->verify(), SizeIs(0));
}

TEST_F(Ingest, AColumnOfTheUsersNeverClashesWithWhatTheVideoSays) {
  write_clip(path("a.mp4"), 40);
  const std::string header = "id,title,popularity,video,width,height\n";
  EXPECT_EQ(ingest_rows(header + "a,boat,1,a.mp4,,\nb,cake,2,,wide,720\nc,tea,3,a.mp4,thin,99\n")
                .num_added,
            3);
  EXPECT_EQ(stored("a").record.context.count("width"), 0U) << "it is a category here";
  EXPECT_EQ(std::get<double>(stored("a").record.context.at("height")), 48.0);
  EXPECT_EQ(std::get<std::string>(stored("c").record.context.at("width")), "thin");
  EXPECT_EQ(std::get<double>(stored("c").record.context.at("height")), 99.0);
  EXPECT_EQ(ingest_rows("id,title,popularity,video\nd,boat,1,a.mp4\n").num_added, 1)
      << "later manifests need not name the column";
}

TEST_F(Ingest, RefusesOtherSettingsThanTheBanks) {
  IngestOptions options;
  options.popularity_horizon = "7d";
  options.num_frames = 4;
  (void)ingest_rows(kHeader + rows(0, 3), options);
  EXPECT_EQ(ingest_rows(kHeader + rows(0, 3)).num_unchanged, 3) << "not named: the bank's";
  options.num_frames = 5;
  options.frames_given = true;
  expect_error(ErrorKind::kInvalidInput, "--frames \"4\", not \"5\"",
               [&] { (void)ingest_rows(kHeader + rows(0, 3), options); });
  options.frames_given = false;
  options.horizon_given = true;
  options.popularity_horizon = "30d";
  expect_error(ErrorKind::kInvalidInput, "--horizon \"7d\", not \"30d\"",
               [&] { (void)ingest_rows(kHeader + rows(0, 3), options); });
}

TEST_F(Ingest, RefusesOtherEncodersThanTheBanksAndNamesBoth) {
  (void)ingest_rows(kHeader + rows(0, 5));
  const TemporaryDirectory other;
  (void)ingest_text(other.path(), "id,title,popularity\n1,quite other words,2\n");
  const std::string expected = bank()->info().schema.encoders_fingerprint;
  const std::string found = open_made_bank(other.path())->info().schema.encoders_fingerprint;
  ASSERT_NE(expected, found);
  std::filesystem::remove_all(bank::encoders_directory(path("bank")));
  std::filesystem::copy(bank::encoders_directory(other / "bank"),
                        bank::encoders_directory(path("bank")));
  expect_error(ErrorKind::kCorruptData, expected, [&] { (void)ingest_rows(kHeader + rows(0, 6)); });
  expect_error(ErrorKind::kCorruptData, found, [&] { (void)ingest_rows(kHeader + rows(0, 6)); });
  EXPECT_EQ(bank()->info().num_records, 5);
}

TEST_F(Ingest, EncodersOfAFitThatWasKilledAreMadeAnew) {
  std::filesystem::create_directories(bank::encoders_directory(path("bank")));
  write_file_atomically(bank::encoders_directory(path("bank")) / "encoders.json", "{");
  EXPECT_EQ(ingest_rows(kHeader + rows(0, 5)).num_added, 5);
}

TEST_F(Ingest, ANewBankGetsADirectoryOfItsOwn) {
  std::filesystem::create_directories(path("bank/encoders"));
  write_file_atomically(path("bank/encoders/mine.cpp"), "precious");
  write_file_atomically(path("bank/notes.txt"), "precious");
  expect_error(ErrorKind::kInvalidInput, "holds other things (notes.txt)",
               [&] { (void)ingest_rows(kHeader + rows(0, 5)); });
  IngestOptions options;
  options.bank_directory = path("bank");
  expect_error(ErrorKind::kInvalidInput, "holds other things",
               [&] { fit_bank_encoders(path("m.csv"), options); });
  std::filesystem::remove(path("bank/notes.txt"));
  EXPECT_EQ(ingest_rows(kHeader + rows(0, 5)).num_added, 5);
  EXPECT_EQ(read_file(path("bank/encoders/mine.cpp")), "precious");
}

TEST_F(Ingest, ABankWithoutATrainRowCanBeMade) {
  EXPECT_EQ(ingest_rows("id,title,popularity,split\na,a boat,1,test\n").num_added, 1);
  EXPECT_EQ(ingest_rows("id,title,popularity,split\nb,a cake,1,train\n").num_added, 1);
  EXPECT_GT(stored("b").features.text_tokens.num_tokens, 0);
}

TEST_F(Ingest, WritesNothingForAManifestWithAFault) {
  expect_error(ErrorKind::kInvalidInput, "line 4",
               [&] { (void)ingest_rows(kHeader + rows(0, 2) + "2,a,many\n"); });
  EXPECT_FALSE(std::filesystem::exists(path("bank")));
  (void)ingest_rows(kHeader + rows(0, 2));
  expect_error(ErrorKind::kInvalidInput, "line 4",
               [&] { (void)ingest_rows(kHeader + rows(5, 2) + "9,a,-1\n"); });
  EXPECT_EQ(bank()->info().num_records, 2);
}

}  // namespace
}  // namespace mmra::pipeline::testing
