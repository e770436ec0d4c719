#include "mmra/hub/pull.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "expect_error.h"
#include "hub/fake_hub.h"
#include "mmra/core/files.h"
#include "mmra/hub/catalogue.h"
#include "mmra/hub/digest.h"
#include "mmra/hub/model_cache.h"
#include "test_files.h"

namespace mmra::hub {
namespace {

namespace fs = std::filesystem;
using testing::add_model;
using ::testing::ElementsAre;
using testing::expect_error;
using testing::FakeHub;
using ::testing::HasSubstr;
using testing::made_bytes;
using testing::TemporaryDirectory;

class Watch final : public ProgressSink {
 public:
  void begin(std::string_view step, std::optional<std::int64_t> total) override {
    steps.emplace_back(std::string(step) + " " + std::to_string(total.value_or(-1)));
  }
  void advance(std::int64_t done) override { advanced += done; }
  void end() override {}
  void note(std::string_view line) override { notes.emplace_back(line); }

  std::vector<std::string> steps;
  std::vector<std::string> notes;
  std::int64_t advanced = 0;
};

class PullTest : public ::testing::Test {
 protected:
  PullTest() {
    ::setenv("no_proxy", "127.0.0.1", 1);
    options_.endpoint = hub_.url();
    options_.wait = [](std::chrono::milliseconds, const std::stop_token&) {};
  }

  PullResult run(const PullRequest& request) {
    return pull(request, models_.path(), options_, watch_, stop_.get_token());
  }

  void add_paper() {
    for (const CataloguePart& part : find_set("paper")->parts) {
      add_model(hub_, part.repository, name_of(part.role));
    }
  }

  [[nodiscard]] std::vector<std::string> files_in(const std::string& part) const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(models_ / part)) {
      names.push_back(entry.path().filename().string());
    }
    std::sort(names.begin(), names.end());
    return names;
  }

  FakeHub hub_;
  HubOptions options_;
  Watch watch_;
  std::stop_source stop_;
  TemporaryDirectory models_;
};

TEST_F(PullTest, BringsASetAsHuggingFaceLaysItOut) {
  add_paper();
  const PullResult result = run({.name = "paper"});
  EXPECT_EQ(result.set, "paper");
  EXPECT_EQ(result.directory, models_ / "paper");
  ASSERT_EQ(result.parts.size(), 4U);
  EXPECT_THAT(files_in("paper/captioner"),
              ElementsAre("config.json", "generation_config.json", "mmra.json", "model.safetensors",
                          "preprocessor_config.json", "tokenizer.json", "vocab.txt"));
  EXPECT_THAT(files_in("paper/visual"), ElementsAre("config.json", "mmra.json", "model.safetensors",
                                                    "preprocessor_config.json"));
  EXPECT_THAT(files_in("paper/text"), ElementsAre("config.json", "mmra.json", "model.safetensors",
                                                  "tokenizer.json", "vocab.txt"));
  const PartManifest retrieval = read_part_manifest(models_ / "paper/retrieval");
  EXPECT_EQ(retrieval.repository, "WhereIsAI/UAE-Large-V1");
  EXPECT_EQ(retrieval.revision, testing::kFirstCommit);
  EXPECT_EQ(retrieval.settings, find_set("paper")->parts[3].settings);
  ASSERT_EQ(retrieval.files.size(), 4U);
  for (const FileRecord& file : retrieval.files) {
    const FileDigest digest = digest_of_file(models_ / "paper/retrieval" / file.name);
    EXPECT_EQ(digest.bytes, file.bytes);
    EXPECT_EQ(digest.sha256, file.sha256);
  }
  EXPECT_EQ(watch_.steps.size(), 4U);
}

TEST_F(PullTest, ASecondOneAsksNobody) {
  add_paper();
  (void)run({.name = "paper"});
  const std::size_t asked = hub_.hub_requests().size();
  const PullResult again = run({.name = "paper"});
  EXPECT_EQ(hub_.hub_requests().size(), asked);
  for (const PulledPart& part : again.parts) {
    EXPECT_TRUE(part.was_there);
    EXPECT_EQ(part.downloaded_bytes, 0);
    EXPECT_GT(part.bytes, 3000);
  }
}

TEST_F(PullTest, GoesOnWhereItWasStopped) {
  add_paper();
  hub_.add_fault({});
  hub_.add_fault({.cut_after = 1000});
  options_.wait = [this](std::chrono::milliseconds, const std::stop_token&) {
    stop_.request_stop();
  };
  EXPECT_THROW((void)run({.name = "paper"}), Interrupted);
  EXPECT_TRUE(fs::exists(models_ / "paper/captioner/mmra.json"));
  EXPECT_FALSE(fs::exists(models_ / "paper/visual/mmra.json"));
  EXPECT_EQ(fs::file_size(models_ / "paper/visual/model.safetensors.part"), 1000U);
  stop_ = std::stop_source();
  const PullResult result = run({.name = "paper"});
  EXPECT_TRUE(result.parts[0].was_there);
  EXPECT_EQ(result.parts[1].downloaded_bytes, 2000);
  EXPECT_THAT(files_in("paper/visual"), ElementsAre("config.json", "mmra.json", "model.safetensors",
                                                    "preprocessor_config.json"));
}

TEST_F(PullTest, SharesFilesThatTwoSetsHave) {
  add_paper();
  add_model(hub_, "BAAI/bge-small-en-v1.5", "retrieval");
  add_model(hub_, "sentence-transformers/all-MiniLM-L6-v2", "text");
  (void)run({.name = "paper"});
  const std::size_t stored = hub_.store_requests().size();
  const PullResult small = run({.name = "paper-small"});
  EXPECT_EQ(hub_.store_requests().size(), stored + 2) << "weights were got twice";
  struct stat first {};
  struct stat second {};
  ASSERT_EQ(::stat((models_ / "paper/visual/model.safetensors").c_str(), &first), 0);
  ASSERT_EQ(::stat((models_ / "paper-small/visual/model.safetensors").c_str(), &second), 0);
  EXPECT_EQ(first.st_ino, second.st_ino);
  EXPECT_LT(small.parts[1].downloaded_bytes, 3000);
  fs::remove_all(models_ / "paper");
  EXPECT_EQ(find_cached_part(models_ / "paper-small", Role::kVisual)->is_whole, true);
}

TEST_F(PullTest, DoesNotShareAFileThatHasBeenChanged) {
  add_paper();
  add_model(hub_, "BAAI/bge-small-en-v1.5", "retrieval");
  add_model(hub_, "sentence-transformers/all-MiniLM-L6-v2", "text");
  (void)run({.name = "paper"});
  write_file_atomically(models_ / "paper/visual/model.safetensors", std::string(3000, 'x'));
  (void)run({.name = "paper-small"});
  EXPECT_NE(read_file(models_ / "paper-small/visual/model.safetensors"), std::string(3000, 'x'));
}

TEST_F(PullTest, BringsAnyRepositoryWithWhatItSaysOfItself) {
  add_model(hub_, "me/mine", "text");
  hub_.add_file("me/mine", "modules.json",
                R"([{"type": "sentence_transformers.models.Transformer"},
                    {"type": "sentence_transformers.models.Pooling"}])");
  hub_.add_file("me/mine", "1_Pooling/config.json", R"({"pooling_mode_cls_token": true})");
  hub_.add_file("me/mine", "sentence_bert_config.json", R"({"max_seq_length": 77})");
  const PullResult result =
      run({.name = "me/mine", .role = Role::kRetrieval, .prompt = "query: {text}"});
  EXPECT_EQ(result.directory, models_ / "mine");
  EXPECT_EQ(result.parts.at(0).manifest.settings,
            (PartSettings{Pooling::kCls, false, "query: {text}", 77}));
  EXPECT_THAT(watch_.notes, ElementsAre());
}

TEST_F(PullTest, SaysWhatItAssumes) {
  add_model(hub_, "me/mine", "text");
  const PullResult result = run({.name = "me/mine", .role = Role::kText, .into = "set"});
  EXPECT_EQ(result.directory, models_ / "set");
  EXPECT_EQ(result.parts.at(0).manifest.settings.pooling, Pooling::kMean);
  EXPECT_THAT(watch_.notes, ElementsAre(HasSubstr("the mean over its tokens is assumed")));
  (void)run(
      {.name = "me/mine", .role = Role::kRetrieval, .into = "set", .pooling = Pooling::kClsAvg});
  EXPECT_EQ(read_part_manifest(models_ / "set/retrieval").settings.pooling, Pooling::kClsAvg);
  EXPECT_EQ(watch_.notes.size(), 1U);
}

TEST_F(PullTest, PinsARevisionAndUpdatesWhenAsked) {
  const std::string second(40, '2');
  add_model(hub_, "me/mine", "visual");
  const std::string old = made_bytes(3000, 11);
  hub_.add_file("me/mine", "model.safetensors", old, true);
  hub_.commit("me/mine", second);
  hub_.add_file("me/mine", "model.safetensors", made_bytes(3000, 12), true);
  const fs::path weights = models_ / "mine/visual/model.safetensors";

  const std::string pinned = "me/mine@" + testing::kFirstCommit;
  (void)run({.name = pinned, .role = Role::kVisual});
  EXPECT_EQ(read_file(weights), old);
  EXPECT_TRUE(run({.name = pinned, .role = Role::kVisual}).parts.at(0).was_there);
  EXPECT_TRUE(run({.name = "me/mine", .role = Role::kVisual}).parts.at(0).was_there);
  expect_error(ErrorKind::kInvalidInput, "@" + testing::kFirstCommit,
               [&] { (void)run({.name = "me/mine@" + second, .role = Role::kVisual}); });
  expect_error(ErrorKind::kInvalidInput, "@" + testing::kFirstCommit,
               [&] { (void)run({.name = "me/mine@main", .role = Role::kVisual}); });
  EXPECT_EQ(read_file(weights), old);

  const PullResult result = run({.name = "me/mine", .role = Role::kVisual, .update = true});
  EXPECT_EQ(result.parts.at(0).manifest.revision, second);
  EXPECT_EQ(read_file(weights), made_bytes(3000, 12));
  const std::size_t stored = hub_.store_requests().size();
  EXPECT_TRUE(run({.name = "me/mine@main", .role = Role::kVisual}).parts.at(0).was_there);
  EXPECT_TRUE(
      run({.name = "me/mine", .role = Role::kVisual, .update = true}).parts.at(0).was_there);
  EXPECT_EQ(hub_.store_requests().size(), stored);
}

TEST_F(PullTest, AnUpdateLeavesNoFileOfTheOldModel) {
  hub_.add_file("me/mine", "config.json", "{}");
  hub_.add_file("me/mine", "preprocessor_config.json", "{}");
  hub_.add_file("me/mine", "model.safetensors.index.json",
                R"({"weight_map": {"a": "model-1.safetensors"}})");
  hub_.add_file("me/mine", "model-1.safetensors", made_bytes(500, 1), true);
  (void)run({.name = "me/mine", .role = Role::kVisual});
  hub_.commit("me/mine", std::string(40, '2'));
  hub_.add_file("me/mine", "model.safetensors", made_bytes(500, 2), true);
  (void)run({.name = "me/mine", .role = Role::kVisual, .update = true});
  EXPECT_THAT(files_in("mine/visual"), ElementsAre("config.json", "mmra.json", "model.safetensors",
                                                   "preprocessor_config.json"));
}

TEST_F(PullTest, BringsShards) {
  hub_.add_file("me/big", "config.json", "{}");
  hub_.add_file("me/big", "preprocessor_config.json", "{}");
  hub_.add_file("me/big", "model.safetensors.index.json",
                R"({"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}})");
  hub_.add_file("me/big", "model-1.safetensors", made_bytes(500, 1), true);
  hub_.add_file("me/big", "model-2.safetensors", made_bytes(600, 2), true);
  hub_.add_file("me/big", "model-3.safetensors", made_bytes(700, 3), true);
  const PullResult result = run({.name = "me/big", .role = Role::kVisual});
  EXPECT_THAT(files_in("big/visual"),
              ElementsAre("config.json", "mmra.json", "model-1.safetensors", "model-2.safetensors",
                          "model.safetensors.index.json", "preprocessor_config.json"));
  EXPECT_EQ(result.parts.at(0).manifest.files.size(), 5U);
}

TEST_F(PullTest, TakesTheHubsConversionOfPickles) {
  hub_.add_file("me/old", "config.json", "{}");
  hub_.add_file("me/old", "vocab.txt", "[PAD]");
  hub_.add_file("me/old", "pytorch_model.bin", "a pickle", true);
  expect_error(ErrorKind::kUnsupported, "only pytorch_model.bin, a pickle, which is never read",
               [&] { (void)run({.name = "me/old", .role = Role::kText}); });
  EXPECT_FALSE(fs::exists(models_ / "old"));
  hub_.add_conversion("me/old", 4, "model.safetensors", "tensors");
  const PullResult result = run({.name = "me/old", .role = Role::kText});
  EXPECT_EQ(result.parts.at(0).manifest.revision, std::string(39, 'c') + "4");
  EXPECT_EQ(read_file(models_ / "old/text/model.safetensors"), "tensors");
  EXPECT_THAT(watch_.notes, ::testing::Contains(HasSubstr("the hub's own conversion, refs/pr/4")));
}

TEST_F(PullTest, ARevisionThatWasAskedForIsNotReplaced) {
  hub_.add_file("me/old", "config.json", "{}");
  hub_.add_file("me/old", "pytorch_model.bin", "a pickle", true);
  hub_.add_conversion("me/old", 4, "model.safetensors", "tensors");
  expect_error(ErrorKind::kUnsupported, "no model.safetensors",
               [&] { (void)run({.name = "me/old@main", .role = Role::kText}); });
}

TEST_F(PullTest, GetsWhatItCanBeforeItSaysWhatItCannot) {
  add_paper();
  hub_.set_status("Salesforce/blip-image-captioning-base", 404, "RepoNotFound");
  expect_error(ErrorKind::kNotFound, "blip-image-captioning-base",
               [&] { (void)run({.name = "paper"}); });
  EXPECT_TRUE(fs::exists(models_ / "paper/retrieval/mmra.json"));
}

TEST_F(PullTest, LeavesAModelOfOnesOwn) {
  add_paper();
  make_directories(models_ / "paper/text");
  write_file_atomically(models_ / "paper/text/config.json", "mine");
  const PullResult result = run({.name = "paper"});
  EXPECT_EQ(read_file(models_ / "paper/text/config.json"), "mine");
  EXPECT_TRUE(result.parts.at(2).was_there);
  EXPECT_THAT(watch_.notes, ElementsAre(HasSubstr("holds a model of your own")));
  expect_error(ErrorKind::kInvalidInput, "--update replaces it", [&] {
    (void)run({.name = "WhereIsAI/UAE-Large-V1", .role = Role::kText, .into = "paper"});
  });
}

TEST_F(PullTest, RefusesWhatCannotBe) {
  const auto expect_wrong = [&](const PullRequest& request, const std::string& part) {
    expect_error(ErrorKind::kInvalidInput, part, [&] { (void)run(request); });
  };
  expect_wrong({.name = "papers"}, "neither a set (paper, paper-small");
  expect_wrong({.name = "../../etc/passwd"}, "neither a set");
  expect_wrong({.name = "me/mine@"}, "neither a set");
  expect_wrong({.name = "me/mine"}, "--as captioner, visual, text or retrieval");
  expect_wrong({.name = "paper", .role = Role::kText}, "--as");
  expect_wrong({.name = "me/mine", .role = Role::kText, .into = "../x"}, "a set's name");
  expect_wrong({.name = "me/mine", .role = Role::kText, .into = "builtin"}, "builtin");
  expect_wrong({.name = "me/mine", .role = Role::kText, .prompt = "none"}, "{text}");
  EXPECT_TRUE(hub_.hub_requests().empty());
}

TEST_F(PullTest, KeepsASecondOneOut) {
  add_model(hub_, "me/mine", "visual");
  make_directories(models_ / "mine/visual");
  const int other = ::open((models_ / "mine/visual").c_str(), O_RDONLY | O_DIRECTORY);
  ASSERT_EQ(::flock(other, LOCK_EX | LOCK_NB), 0);
  expect_error(ErrorKind::kIo, "another pull into",
               [&] { (void)run({.name = "me/mine", .role = Role::kVisual}); });
  ::close(other);
  (void)run({.name = "me/mine", .role = Role::kVisual});
  EXPECT_TRUE(fs::exists(models_ / "mine/visual/mmra.json"));
}

}  // namespace
}  // namespace mmra::hub
