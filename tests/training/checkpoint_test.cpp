#include "mmra/training/checkpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "expect_error.h"
#include "mmra/core/files.h"
#include "test_files.h"
#include "training/fake_predictor.h"

namespace mmra::training {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;
using testing::expect_error;
using testing::FakePredictor;
using testing::TemporaryDirectory;

FakePredictor made_predictor(int steps = 0) {
  FakePredictor predictor([](int) { return 0.0; });
  predictor.steps = steps;
  return predictor;
}

TrainingHistory made_history(int num_epochs) {
  TrainingHistory history;
  for (int epoch = 1; epoch <= num_epochs; ++epoch) {
    history.epochs.push_back({epoch, 1.0 / (3 * epoch), 0.1 * epoch, std::sqrt(epoch),
                              epoch == 1 ? std::nan("") : 0.25, 1e-3 * epoch});
  }
  history.best_epoch = num_epochs;
  return history;
}

std::set<std::string> names_in(const fs::path& directory) {
  std::set<std::string> names;
  for (const auto& entry : fs::directory_iterator(directory)) names.insert(entry.path().filename());
  return names;
}

class CheckpointTest : public ::testing::Test {
 protected:
  void save(int epochs, int steps) {
    checkpoint_.save(made_predictor(steps), made_history(epochs));
  }
  void expect_refused(ErrorKind kind, const std::string& part) {
    FakePredictor predictor = made_predictor(77);
    expect_error(kind, part, [&] { (void)checkpoint_.load(predictor); });
    EXPECT_EQ(predictor.steps, 77);
  }

  TemporaryDirectory parent_;
  fs::path directory_ = parent_ / "checkpoint";
  fs::path file_ = directory_ / "checkpoint.json";
  Checkpoint checkpoint_{directory_, "the run"};
};

TEST_F(CheckpointTest, ComesBackWithHistoryAndState) {
  EXPECT_FALSE(checkpoint_.exists());
  save(3, 42);
  EXPECT_TRUE(checkpoint_.exists());
  FakePredictor predictor = made_predictor();
  const TrainingHistory history = checkpoint_.load(predictor);
  EXPECT_EQ(predictor.steps, 42);
  const TrainingHistory expected = made_history(3);
  EXPECT_EQ(history.best_epoch, 3);
  ASSERT_EQ(history.epochs.size(), 3U);
  for (std::size_t i = 0; i < 3; ++i) {
    const EpochRecord& actual = history.epochs[i];
    EXPECT_EQ(actual.epoch, expected.epochs[i].epoch);
    EXPECT_EQ(actual.train_loss, expected.epochs[i].train_loss);  // exactly
    EXPECT_EQ(actual.stop_nmse, expected.epochs[i].stop_nmse);
    EXPECT_EQ(actual.stop_mae, expected.epochs[i].stop_mae);
    EXPECT_EQ(actual.seconds, expected.epochs[i].seconds);
  }
  EXPECT_TRUE(std::isnan(history.epochs[0].stop_src));
  EXPECT_EQ(history.epochs[1].stop_src, 0.25);
}

TEST_F(CheckpointTest, KeepsTheLastStateOnly) {
  for (int epoch = 1; epoch <= 3; ++epoch) save(epoch, epoch);
  EXPECT_EQ(names_in(directory_),
            (std::set<std::string>{"checkpoint.json", "state-3.safetensors"}));
}

TEST_F(CheckpointTest, LeavesFilesThatAreNotItsOwn) {
  make_directories(directory_);
  write_file_atomically(directory_ / "notes.txt", "mine");
  save(1, 1);
  save(2, 2);
  EXPECT_TRUE(fs::exists(directory_ / "notes.txt"));
}

TEST_F(CheckpointTest, WithoutADirectoryKeepsNothing) {
  const Checkpoint nowhere("", "run");
  nowhere.save(made_predictor(), made_history(1));
  EXPECT_FALSE(nowhere.exists());
}

/// Killed after the state of epoch 2 was written and before checkpoint.json was replaced.
TEST_F(CheckpointTest, OfTheEpochBeforeHoldsBetweenItsTwoFiles) {
  save(1, 10);
  made_predictor(20).save_training_state(directory_ / "state-2.safetensors");
  FakePredictor predictor = made_predictor();
  EXPECT_EQ(checkpoint_.load(predictor).epochs.size(), 1U);
  EXPECT_EQ(predictor.steps, 10);
  // The epoch is done again and saved over what lay there.
  save(2, 21);
  EXPECT_EQ(checkpoint_.load(predictor).epochs.size(), 2U);
  EXPECT_EQ(predictor.steps, 21);
}

/// Killed before the states of earlier epochs were removed.
TEST_F(CheckpointTest, IgnoresAndLaterRemovesStatesOfEarlierEpochs) {
  save(2, 20);
  made_predictor(10).save_training_state(directory_ / "state-1.safetensors");
  FakePredictor predictor = made_predictor();
  EXPECT_EQ(checkpoint_.load(predictor).epochs.size(), 2U);
  EXPECT_EQ(predictor.steps, 20);
  save(3, 30);
  EXPECT_EQ(names_in(directory_).count("state-1.safetensors"), 0U);
}

TEST_F(CheckpointTest, OutlivesKillsAtAnyMoment) {
  for (int round = 0; round < 12; ++round) {
    fs::remove_all(directory_);
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      for (int epoch = 1; epoch < 100000; ++epoch) save(epoch, 7 * epoch);
      ::_exit(0);
    }
    while (!checkpoint_.exists()) ::usleep(200);
    ::usleep(static_cast<useconds_t>(700 * round));
    ::kill(child, SIGKILL);
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status));
    FakePredictor predictor = made_predictor();
    const TrainingHistory history = checkpoint_.load(predictor);
    EXPECT_EQ(predictor.steps, 7 * static_cast<int>(history.epochs.size()));
  }
}

TEST_F(CheckpointTest, OfAnotherRunIsRefused) {
  save(1, 1);
  FakePredictor predictor = made_predictor(5);
  expect_error(ErrorKind::kInvalidInput, "(the run, expected other)",
               [&] { (void)Checkpoint(directory_, "other").load(predictor); });
  EXPECT_EQ(predictor.steps, 5);
}

TEST_F(CheckpointTest, CutAnywhereIsRefused) {
  save(2, 1);
  const std::string text = read_file(file_);
  for (std::size_t size = 0; size + 2 < text.size(); size += 5) {
    SCOPED_TRACE(size);
    write_file_atomically(file_, text.substr(0, size));
    expect_refused(ErrorKind::kCorruptData, file_.string());
  }
}

TEST_F(CheckpointTest, NeedsEveryKeyAndItsType) {
  save(2, 1);
  const Json good = Json::parse(read_file(file_));
  const auto expect_damaged = [&](const Json& json) {
    write_file_atomically(file_, json.dump());
    expect_refused(ErrorKind::kCorruptData, file_.string());
  };
  for (const auto& [key, value] : good.items()) {
    SCOPED_TRACE(key);
    Json json = good;
    json.erase(key);
    expect_damaged(json);
    json = good;
    json[key] = Json::object({{"a", Json::array()}});
    expect_damaged(json);
  }
  for (const auto& [key, value] : good.at("epochs")[1].items()) {
    SCOPED_TRACE(key);
    Json json = good;
    json["epochs"][1].erase(key);
    expect_damaged(json);
    json = good;
    json["epochs"][1][key] = "1";
    expect_damaged(json);
  }
  expect_damaged(Json::array());
  expect_damaged(nullptr);
}

TEST_F(CheckpointTest, TakesNoOtherValueForAWholeNumber) {
  save(2, 1);
  const Json good = Json::parse(read_file(file_));
  for (const Json& value : {Json(1.0), Json(1e300), Json(true)}) {
    SCOPED_TRACE(value.dump());
    for (const char* place : {"/format_version", "/best_epoch", "/epochs/0/epoch"}) {
      Json json = good;
      json[Json::json_pointer(place)] = value;
      write_file_atomically(file_, json.dump());
      expect_refused(ErrorKind::kCorruptData, "expected a whole number; remove ");
    }
  }
}

TEST_F(CheckpointTest, NeedsEpochsThatFollowEachOther) {
  save(2, 1);
  const Json good = Json::parse(read_file(file_));
  const auto expect_damaged = [&](auto&& fault) {
    Json json = good;
    fault(json);
    write_file_atomically(file_, json.dump());
    expect_refused(ErrorKind::kCorruptData, "remove " + directory_.string());
  };
  expect_damaged([](Json& json) { json["epochs"] = Json::array(); });
  expect_damaged([](Json& json) { json["epochs"].erase(0); });
  expect_damaged([](Json& json) { json["epochs"][1]["epoch"] = 1; });
  expect_damaged([](Json& json) { json["best_epoch"] = 0; });
  expect_damaged([](Json& json) { json["best_epoch"] = 3; });
}

TEST_F(CheckpointTest, OfALaterProgramIsSaidToBeOne) {
  save(1, 1);
  Json json = Json::parse(read_file(file_));
  json["format_version"] = 2;
  write_file_atomically(file_, json.dump());
  expect_refused(ErrorKind::kUnsupported, "format version 2, this program reads 1; remove ");
}

TEST_F(CheckpointTest, WithoutItsStateIsRefused) {
  save(1, 1);
  fs::remove(directory_ / "state-1.safetensors");
  expect_refused(ErrorKind::kNotFound, "state-1.safetensors");
}

TEST_F(CheckpointTest, ThatDoesNotExistCannotBeLoaded) {
  expect_refused(ErrorKind::kNotFound, "checkpoint.json");
}

}  // namespace
}  // namespace mmra::training
