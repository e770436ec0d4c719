#include "mmra/pipeline/train.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <string>

#include "distributed/thread_ranks.h"
#include "expect_error.h"
#include "made_model.h"
#include "mmra/core/error.h"
#include "mmra/core/threads.h"
#include "mmra/pipeline/predict.h"
#include "test_files.h"

namespace mmra::pipeline::testing {
namespace {

using mmra::testing::expect_error;
using mmra::testing::TemporaryDirectory;
using ::testing::HasSubstr;

class Train : public ::testing::Test {
 protected:
  void SetUp() override { make_bank_with_visual_tokens(directory_.path(), 80, 4); }
  [[nodiscard]] std::string weights(const std::string& model) const {
    return read_file(directory_ / model / "model.safetensors");
  }

  TemporaryDirectory directory_;
};

TEST_F(Train, WritesAModelThatSaysWhatItWasMadeFrom) {
  TrainRequest request = small_request(directory_.path());
  request.interval_level = 0.6;
  const TrainSummary summary = train_silently(request);
  EXPECT_EQ(summary.history.epochs.size(), 2U);
  EXPECT_EQ(summary.valid.n, 16U);
  EXPECT_EQ(summary.calibrated.n, 8U);
  EXPECT_EQ(summary.calibration.num_rows, 8);
  EXPECT_EQ(summary.calibration.level, 0.6);
  const TrainingCard card = load_training_card(request.model_directory);
  EXPECT_EQ(card.encoders_name, "builtin+visual features");
  EXPECT_EQ(card.popularity_unit, "likes");
  EXPECT_EQ(card.popularity_horizon, "7d");
  EXPECT_EQ(card.k, 3);
  EXPECT_EQ(card.rules.protocol, Protocol::kHonest);
  EXPECT_EQ(card.num_train, 48);
  EXPECT_EQ(card.num_stop, 8);
  EXPECT_EQ(card.num_calibration, 8);
  const model::MmraConfig config = model::load_config(request.model_directory / "config.json");
  EXPECT_EQ(config.visual_dim, 4);
  EXPECT_EQ(config.text_dim, 512);
  const auto metrics = nlohmann::json::parse(read_file(request.model_directory / "metrics.json"));
  EXPECT_EQ(metrics["valid"]["n"], 16);
  EXPECT_FALSE(std::filesystem::exists(request.model_directory / "checkpoint"));
  EXPECT_EQ(read_file(request.model_directory / "encoders/encoders.json"),
            read_file(directory_ / "bank/encoders/encoders.json"));
}

TEST_F(Train, MakesMorePassesOverFewRows) {
  TrainRequest request = small_request(directory_.path());
  const auto num_epochs = [&](int least_steps) {
    request.least_steps = least_steps;
    request.model_directory = directory_ / ("model-" + std::to_string(least_steps));
    return train_silently(request).history.epochs.size();
  };
  // 48 train rows in batches of 16: two epochs are six steps.
  EXPECT_EQ(num_epochs(6), 2U);
  EXPECT_EQ(num_epochs(7), 4U);
  EXPECT_EQ(num_epochs(18), 6U);
}

TEST_F(Train, LabelStatisticsAreThoseOfTrainAlone) {
  (void)train_silently(small_request(directory_.path()));
  double sum = 0.0;
  double squares = 0.0;
  int count = 0;
  open_made_bank(directory_.path())->for_each([&](const bank::Record& record) {
    if (record.split == bank::Split::kTrain) {
      const double label = bank::log2_popularity(*record.popularity);
      sum += label;
      squares += label * label;
      ++count;
    }
    return true;
  });
  const model::MmraConfig config = model::load_config(directory_ / "model/config.json");
  const double mean = sum / count;
  EXPECT_NEAR(config.label_mean, mean, 1e-5);
  EXPECT_NEAR(config.label_std, std::sqrt(squares / count - mean * mean), 1e-5);
}

TEST_F(Train, NeverLooksAtTestRows) {
  for (const Protocol protocol : {Protocol::kHonest, Protocol::kAuthors}) {
    TrainRequest request = small_request(directory_.path(), "before-" + name_of(protocol));
    request.rules.protocol = protocol;
    (void)train_silently(request);
  }
  change_records(
      directory_.path(), [](const auto& record) { return record.split == bank::Split::kTest; },
      [](bank::Record& record) { record.popularity = 1e6; });
  for (const Protocol protocol : {Protocol::kHonest, Protocol::kAuthors}) {
    TrainRequest request = small_request(directory_.path(), "after-" + name_of(protocol));
    request.rules.protocol = protocol;
    (void)train_silently(request);
    EXPECT_EQ(weights("after-" + name_of(protocol)), weights("before-" + name_of(protocol)));
    EXPECT_EQ(read_file(directory_ / ("after-" + name_of(protocol)) / "calibration.json"),
              read_file(directory_ / ("before-" + name_of(protocol)) / "calibration.json"));
  }
  EXPECT_NE(weights("before-honest"), weights("before-authors"));
}

TEST_F(Train, EveryVariantAndAblationTrainsEvaluatesAndPredicts) {
  const std::pair<const char*, void (*)(model::MmraConfig&)> cases[] = {
      {"released", [](model::MmraConfig& config) { config.variant = model::Variant::kReleased; }},
      {"retrieval", [](model::MmraConfig& config) { config.without.retrieval = true; }},
      {"positive", [](model::MmraConfig& config) { config.without.positive_attention = true; }},
      {"negative", [](model::MmraConfig& config) { config.without.negative_attention = true; }},
      {"visual", [](model::MmraConfig& config) { config.without.visual = true; }},
      {"text", [](model::MmraConfig& config) { config.without.text = true; }},
      {"positive,visual", [](model::MmraConfig& config) {
         config.without.positive_attention = true;
         config.without.visual = true;
       }}};
  for (const auto& [name, change] : cases) {
    SCOPED_TRACE(name);
    TrainRequest request = small_request(directory_.path(), name);
    request.max_epochs = 1;
    change(request.config);
    (void)train_silently(request);
    const EvaluationReport report = evaluate_silently(directory_.path(), bank::Split::kTest, name);
    EXPECT_EQ(report.predictions.size(), 16U);
    for (const float prediction : report.predictions) EXPECT_TRUE(std::isfinite(prediction));
    PredictionEngine engine(directory_ / "bank", request.model_directory, 1);
    Query query;
    query.id = "v4";
    const Prediction prediction = engine.predict(query, {});
    EXPECT_TRUE(std::isfinite(prediction.log2_popularity));
    EXPECT_LE(prediction.interval_low, prediction.popularity);
  }
}

TEST_F(Train, RunsWhereRowsLackAModality) {
  const TemporaryDirectory other;
  for (const int shade : {20, 120, 220}) {
    write_clip(other / (std::to_string(shade) + ".mp4"), shade);
  }
  IngestOptions options;
  options.num_frames = 2;
  const auto video = [](int row) -> std::string {
    if (row < 0) return ",video";
    return row % 3 == 0 ? "," + std::to_string(20 + row % 9 / 3 * 100) + ".mp4" : ",";
  };
  (void)ingest_text(other.path(), made_manifest(80, video), options);
  (void)train_silently(small_request(other.path()));
  EXPECT_EQ(evaluate_silently(other.path(), bank::Split::kTest).metrics.n, 16U);
}

TEST_F(Train, RefusesTooFewRowsAndLeavesNoDirectory) {
  const TrainRequest request = small_request(directory_.path());
  change_records(
      directory_.path(), [](const auto& record) { return record.split == bank::Split::kValid; },
      [](bank::Record& record) { record.popularity.reset(); });
  expect_error(ErrorKind::kInvalidInput, "0 labelled rows in the split \"valid\"",
               [&] { (void)train_silently(request); });
  change_records(
      directory_.path(), [](const auto& record) { return record.id != "v0"; },
      [](bank::Record& record) { record.split = bank::Split::kTest; });
  expect_error(ErrorKind::kInvalidInput, "1 labelled rows in the split \"train\"",
               [&] { (void)train_silently(request); });
  EXPECT_FALSE(std::filesystem::exists(request.model_directory));
}

TEST_F(Train, RefusesADirectoryThatHoldsAModelOrIsAFile) {
  const TrainRequest request = small_request(directory_.path());
  (void)train_silently(request);
  const std::string before = weights("model");
  expect_error(ErrorKind::kInvalidInput, "finished model", [&] { (void)train_silently(request); });
  TrainRequest resumed = request;
  resumed.resume = true;
  expect_error(ErrorKind::kInvalidInput, "finished model", [&] { (void)train_silently(resumed); });
  EXPECT_EQ(weights("model"), before);
  write_file_atomically(directory_ / "file", "x");
  expect_error(ErrorKind::kInvalidInput, "is a file",
               [&] { (void)train_silently(small_request(directory_.path(), "file")); });
}

// As a full disk or a kill between two of its files leaves it.
TEST_F(Train, WhatIsLeftOfAModelIsWrittenOver) {
  std::filesystem::create_directory(directory_ / "torn");
  write_file_atomically(directory_ / "torn/unfinished", "");
  write_file_atomically(directory_ / "torn/config.json", "{");
  (void)train_silently(small_request(directory_.path(), "torn"));
  (void)train_silently(small_request(directory_.path(), "fresh"));
  EXPECT_EQ(read_file(directory_ / "torn/config.json"),
            read_file(directory_ / "fresh/config.json"));
  EXPECT_FALSE(std::filesystem::exists(directory_ / "torn/unfinished"));
}

TEST_F(Train, AModelGetsADirectoryOfItsOwn) {
  std::filesystem::create_directory(directory_ / "mine");
  write_file_atomically(directory_ / "mine/config.json", "precious");
  for (const char* name : {"bank", "mine"}) {
    TrainRequest request = small_request(directory_.path(), name);
    for (const bool resume : {false, true}) {
      request.resume = resume;
      expect_error(ErrorKind::kInvalidInput, "holds other things",
                   [&] { (void)train_silently(request); });
    }
  }
  EXPECT_EQ(read_file(directory_ / "mine/config.json"), "precious");
  EXPECT_FALSE(std::filesystem::exists(directory_ / "bank/checkpoint"));
  std::filesystem::create_directory(directory_ / "empty");
  EXPECT_NO_THROW((void)train_silently(small_request(directory_.path(), "empty")));
}

TEST_F(Train, ABankThatIsNotThereLeavesNoDirectory) {
  TrainRequest request = small_request(directory_.path());
  request.bank_directory = directory_ / "nowhere";
  expect_error(ErrorKind::kNotFound, "nowhere", [&] { (void)train_silently(request); });
  EXPECT_FALSE(std::filesystem::exists(request.model_directory));
}

TEST_F(Train, AStoppedRunIsResumedAndEndsLikeAnUninterruptedOne) {
  TrainRequest request = small_request(directory_.path(), "whole");
  request.max_epochs = 4;
  (void)train_silently(request);

  request.model_directory = directory_ / "stopped";
  std::stop_source stop;
  request.stop = stop.get_token();
  StopAfterAnEpoch progress(stop);
  EXPECT_THROW((void)train_model(request, progress), Interrupted);
  expect_error(ErrorKind::kNotFound, "not a finished model",
               [&] { (void)load_training_card(request.model_directory); });

  request.stop = {};
  expect_error(ErrorKind::kInvalidInput, "--resume", [&] { (void)train_silently(request); });
  request.resume = true;
  TrainRequest other = request;
  other.config.learning_rate = 0.5;
  expect_error(ErrorKind::kInvalidInput, "other data", [&] { (void)train_silently(other); });
  EXPECT_EQ(train_silently(request).history.epochs.size(), 4U);
  EXPECT_EQ(weights("stopped"), weights("whole"));
}

TEST_F(Train, RunsSideBySideEndLikeOneAlone) {
  constexpr std::size_t kNumRuns = 6;
  (void)train_silently(small_request(directory_.path(), "alone"));
  parallel_for(kNumRuns, 1, static_cast<int>(kNumRuns), [&](std::size_t run, std::size_t) {
    (void)train_silently(small_request(directory_.path(), "run-" + std::to_string(run)));
  });
  for (std::size_t run = 0; run < kNumRuns; ++run) {
    EXPECT_EQ(weights("run-" + std::to_string(run)), weights("alone")) << run;
  }
}

TEST_F(Train, TwoThreadsGiveTheSameEveryTime) {
  for (const char* model : {"once", "again"}) {
    TrainRequest request = small_request(directory_.path(), model);
    request.num_threads = 2;
    (void)train_silently(request);
  }
  EXPECT_EQ(weights("again"), weights("once"));
}

TEST_F(Train, OfSeveralRanksEndsLikeOneAlone) {
  constexpr int kRanks = 3;
  TrainRequest request_alone = small_request(directory_.path(), "alone");
  request_alone.num_micro_batches = kRanks;
  const TrainSummary alone = train_silently(request_alone);
  TrainSummary together;
  mmra::testing::run_on_threads(kRanks, [&](distributed::Communicator& ranks) {
    TrainRequest request = small_request(directory_.path(), "together");
    request.num_micro_batches = kRanks;
    request.ranks = &ranks;
    const TrainSummary summary = train_silently(request);
    if (ranks.is_first()) together = summary;
  });
  ASSERT_EQ(together.history.epochs.size(), alone.history.epochs.size());
  for (std::size_t i = 0; i < alone.history.epochs.size(); ++i) {
    const double expected = alone.history.epochs[i].train_loss;
    EXPECT_NEAR(together.history.epochs[i].train_loss, expected, 1e-12 * expected);
  }
  EXPECT_NEAR(together.valid.nmse, alone.valid.nmse, 1e-4);
  EXPECT_TRUE(std::filesystem::exists(directory_ / "together/training.json"));
}

TEST_F(Train, WhatIsFittedAtOnceSaysThatItHasNoSteps) {
  mmra::testing::run_on_threads(2, [&](distributed::Communicator& ranks) {
    TrainRequest request = small_request(directory_.path());
    request.model = "ridge";
    request.ranks = &ranks;
    expect_error(ErrorKind::kUnsupported, "without mpirun", [&] { (void)train_silently(request); });
  });
}

TEST_F(Train, ResumeRefusesABankThatHasChanged) {
  TrainRequest request = small_request(directory_.path());
  std::stop_source stop;
  request.stop = stop.get_token();
  StopAfterAnEpoch progress(stop);
  EXPECT_THROW((void)train_model(request, progress), Interrupted);
  change_records(
      directory_.path(), [](const auto& record) { return record.id == "v0"; },
      [](bank::Record& record) { record.popularity = 12345; });
  request.stop = {};
  request.resume = true;
  expect_error(ErrorKind::kInvalidInput, "other data", [&] { (void)train_silently(request); });
}

}  // namespace
}  // namespace mmra::pipeline::testing
