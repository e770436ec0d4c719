#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "expect_error.h"
#include "made_model.h"
#include "mmra/pipeline/train.h"
#include "test_files.h"

namespace mmra::pipeline::testing {
namespace {

using bank::Split;
using mmra::testing::expect_error;
using mmra::testing::TemporaryDirectory;

// So many instances that every row that may be retrieved is.
constexpr int kEveryRow = 80;
constexpr Split kSplits[] = {Split::kTrain, Split::kValid, Split::kTest};

void multiply_popularity(bank::Record& record) { record.popularity = *record.popularity * 64.0; }
void divide_popularity(bank::Record& record) { record.popularity = *record.popularity / 64.0; }

class Evaluate : public ::testing::Test {
 protected:
  void SetUp() override { make_bank_with_visual_tokens(directory_.path(), 80, 4); }
  void train(Protocol protocol) const {
    TrainRequest request = small_request(directory_.path());
    request.rules.protocol = protocol;
    request.config.k = kEveryRow;
    (void)train_silently(request);
  }
  [[nodiscard]] std::vector<float> predictions(Split split) const {
    return evaluate_silently(directory_.path(), split).predictions;
  }
  /// The predictions for `split` where the labels that `choose` picks are others.
  [[nodiscard]] std::vector<float> predictions_with_other_labels(
      Split split, const std::function<bool(const bank::Record&)>& choose) const {
    change_records(directory_.path(), choose, multiply_popularity);
    std::vector<float> changed = predictions(split);
    change_records(directory_.path(), choose, divide_popularity);
    return changed;
  }

  TemporaryDirectory directory_;
};

// What a prediction may know is seen from outside: labels of rows that it may not retrieve can be
// anything without its changing by a bit.
void expect_predictions_to_depend_on(
    const std::vector<Split>& allowed, const std::function<std::vector<float>(Split)>& predict,
    const std::function<std::vector<float>(Split, Split)>& predict_with_others) {
  for (const Split split : kSplits) {
    const std::vector<float> before = predict(split);
    for (const Split changed : kSplits) {
      const bool may_depend = std::find(allowed.begin(), allowed.end(), changed) != allowed.end();
      EXPECT_EQ(predict_with_others(split, changed) != before, may_depend)
          << "predictions of " << bank::name_of(split) << ", labels of " << bank::name_of(changed);
    }
    EXPECT_EQ(predict(split), before) << "the labels are back";
  }
}

class EvaluateBy : public Evaluate, public ::testing::WithParamInterface<Protocol> {
 protected:
  void SetUp() override {
    Evaluate::SetUp();
    train(GetParam());
  }
};

TEST_P(EvaluateBy, RetrievesFromTheSplitsOfItsProtocolAlone) {
  const std::vector<Split> allowed = GetParam() == Protocol::kHonest
                                         ? std::vector<Split>{Split::kTrain}
                                         : std::vector<Split>{Split::kTrain, Split::kValid};
  expect_predictions_to_depend_on(
      allowed, [&](Split split) { return predictions(split); },
      [&](Split split, Split changed) {
        return predictions_with_other_labels(
            split, [&](const bank::Record& record) { return record.split == changed; });
      });
}

TEST_P(EvaluateBy, NoRowRetrievesItself) {
  for (const Split split : {Split::kTrain, Split::kValid}) {
    const EvaluationReport before = evaluate_silently(directory_.path(), split);
    for (const std::size_t i : {std::size_t{0}, std::size_t{3}, before.ids.size() - 1}) {
      const std::vector<float> after = predictions_with_other_labels(
          split, [&](const bank::Record& record) { return record.id == before.ids[i]; });
      EXPECT_EQ(after.at(i), before.predictions[i]) << before.ids[i];
      const bool others_may_see_it = split == Split::kTrain || GetParam() == Protocol::kAuthors;
      EXPECT_EQ(after != before.predictions, others_may_see_it) << before.ids[i];
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Protocols, EvaluateBy,
                         ::testing::Values(Protocol::kHonest, Protocol::kAuthors),
                         [](const auto& protocol) { return name_of(protocol.param); });

// Popularity is that of seven days: a row's label is known when the next one is posted.
constexpr Duration kDaysApart{std::int64_t{8} * 24 * 3'600'000};

TEST_F(Evaluate, NoRowSeesALaterOne) {
  const auto number_of = [](const std::string& id) { return std::stoi(id.substr(1)); };
  change_records(
      directory_.path(), [](const auto&) { return true; },
      [&](bank::Record& record) {
        record.posted_at = Timestamp{kDaysApart.ms * number_of(record.id)};
      });
  train(Protocol::kHonest);
  const EvaluationReport before = evaluate_silently(directory_.path(), Split::kTest);
  constexpr int kBorder = 40;
  const std::vector<float> after = predictions_with_other_labels(
      Split::kTest, [&](const bank::Record& record) { return number_of(record.id) >= kBorder; });
  int num_changed = 0;
  for (std::size_t i = 0; i < before.ids.size(); ++i) {
    const bool changed = after[i] != before.predictions[i];
    EXPECT_FALSE(changed && number_of(before.ids[i]) <= kBorder) << before.ids[i];
    num_changed += changed ? 1 : 0;
  }
  EXPECT_GT(num_changed, 0) << "later rows do see them";
}

/// Row v<i> was posted eight days after the one before.
void post_by_number(const std::filesystem::path& directory) {
  change_records(
      directory, [](const auto&) { return true; },
      [](bank::Record& record) {
        record.posted_at = Timestamp{kDaysApart.ms * std::stoi(record.id.substr(1))};
      });
}

TEST_F(Evaluate, TheAuthorsProtocolKnowsNoTime) {
  train(Protocol::kAuthors);
  const std::vector<float> before = predictions(Split::kTest);
  post_by_number(directory_.path());
  EXPECT_EQ(predictions(Split::kTest), before);
}

TEST_F(Evaluate, TheChronologicalProtocolDividesByTime) {
  post_by_number(directory_.path());
  change_records(
      directory_.path(), [](const auto& record) { return record.id == "v79"; },
      [](bank::Record& record) { record.posted_at.reset(); });
  train(Protocol::kChronological);
  // 79 rows have a time: v0 … v62 train, v63 … v70 validation, v71 … v78 test.
  const auto expect_ids = [&](Split split, int first, int last) {
    const EvaluationReport report = evaluate_silently(directory_.path(), split);
    std::vector<std::string> expected;
    for (int i = first; i <= last; ++i) expected.push_back("v" + std::to_string(i));
    EXPECT_THAT(report.ids, ::testing::UnorderedElementsAreArray(expected));
  };
  expect_ids(Split::kTrain, 0, 62);
  expect_ids(Split::kValid, 63, 70);
  expect_ids(Split::kTest, 71, 78);
  const TrainingCard card = load_training_card(directory_ / "model");
  EXPECT_EQ(card.num_train, 63);
  // What comes later does not move the borders of a model that there is.
  change_records(
      directory_.path(), [](const auto& record) { return record.id == "v79"; },
      [](bank::Record& record) { record.posted_at = Timestamp{79 * kDaysApart.ms}; });
  expect_ids(Split::kTrain, 0, 62);
  expect_ids(Split::kTest, 71, 79);
}

TEST_F(Evaluate, TheChronologicalProtocolRetrievesFromEarlierTrainRowsAlone) {
  post_by_number(directory_.path());
  train(Protocol::kChronological);
  const auto changed = [&](Split split, int border) {
    const EvaluationReport before = evaluate_silently(directory_.path(), split);
    const std::vector<float> after = predictions_with_other_labels(
        split,
        [&](const bank::Record& record) { return std::stoi(record.id.substr(1)) >= border; });
    std::vector<int> numbers;
    for (std::size_t i = 0; i < after.size(); ++i) {
      if (after[i] != before.predictions[i]) numbers.push_back(std::stoi(before.ids[i].substr(1)));
    }
    return numbers;
  };
  EXPECT_THAT(changed(Split::kTest, 64), ::testing::IsEmpty()) << "not train: v64 and later";
  EXPECT_THAT(changed(Split::kTest, 40), ::testing::Not(::testing::IsEmpty()));
  EXPECT_THAT(changed(Split::kTrain, 40), ::testing::Each(::testing::Gt(40)));
}

TEST_F(Evaluate, TheChronologicalProtocolNeedsTimesThatDiffer) {
  TrainRequest request = small_request(directory_.path());
  request.rules.protocol = Protocol::kChronological;
  expect_error(ErrorKind::kInvalidInput, "posted_at, and the bank has none",
               [&] { (void)train_silently(request); });
  change_records(
      directory_.path(), [](const auto&) { return true; },
      [](bank::Record& record) { record.posted_at = Timestamp{5000}; });
  expect_error(ErrorKind::kInvalidInput, "cannot be divided by time: 80 % of 80",
               [&] { (void)train_silently(request); });
}

TEST_F(Evaluate, RandomInstancesAreThoseOfTheTraining) {
  TrainRequest request = small_request(directory_.path());
  request.rules.instances = retrieval::Choice::kRandom;
  const TrainSummary summary = train_silently(request);
  EXPECT_EQ(summary.card.rules.instances, retrieval::Choice::kRandom);
  const EvaluationReport valid = evaluate_silently(directory_.path(), Split::kValid);
  EXPECT_EQ(valid.metrics.nmse, summary.valid.nmse);
  (void)train_silently(small_request(directory_.path(), "similar"));
  EXPECT_NE(evaluate_silently(directory_.path(), Split::kTest, "similar").predictions,
            predictions(Split::kTest));
}

TEST_F(Evaluate, DroppedNearDuplicatesAreNeitherTrainedOnNorRetrieved) {
  // A dozen different titles in all: whatever is in train is in test too, but for one row.
  change_records(
      directory_.path(), [](const auto& record) { return record.id == "v0"; },
      [](bank::Record& record) { record.title = "of its own"; });
  TrainRequest request = small_request(directory_.path());
  request.rules.drop_near_duplicates = true;
  expect_error(ErrorKind::kInvalidInput, "labelled rows in the split \"train\"",
               [&] { (void)train_silently(request); });
}

TEST_F(Evaluate, ScoresEveryLabelledRowOfTheSplit) {
  train(Protocol::kHonest);
  change_records(
      directory_.path(), [](const auto& record) { return record.id == "v4"; },
      [](bank::Record& record) { record.popularity.reset(); });
  SilentProgress silent;
  const EvaluationReport report =
      evaluate_model(directory_ / "bank", directory_ / "model", Split::kTest, 4, 1, {}, silent);
  EXPECT_EQ(report.ids.size(), 15U) << "v4 has no label any more";
  EXPECT_EQ(report.metrics.n, 15U);
  EXPECT_EQ(report.mean_of_train.n, 15U);
  ASSERT_TRUE(report.batch_means.has_value());
  double squares = 0.0;
  double absolute = 0.0;
  double mean = 0.0;
  for (const float target : report.targets) mean += target / 15.0;
  double variance = 0.0;
  std::size_t covered = 0;
  ASSERT_EQ(report.half_widths.size(), 15U);
  for (std::size_t i = 0; i < report.targets.size(); ++i) {
    const double error = static_cast<double>(report.predictions[i]) - report.targets[i];
    squares += error * error;
    absolute += std::abs(error);
    variance += (report.targets[i] - mean) * (report.targets[i] - mean);
    covered += std::abs(error) <= report.half_widths[i] ? 1U : 0U;
    const auto record = open_made_bank(directory_.path())->find(report.ids[i]);
    EXPECT_NEAR(report.targets[i], bank::log2_popularity(*record->popularity), 1e-5);
    EXPECT_EQ(record->split, Split::kTest);
  }
  EXPECT_NEAR(report.metrics.nmse, squares / variance, 1e-4);
  EXPECT_NEAR(report.metrics.mae, absolute / 15.0, 1e-4);
  EXPECT_NEAR(report.interval_coverage, static_cast<double>(covered) / 15.0, 1e-9);
}

TEST_F(Evaluate, TheNumberOfThreadsDecidesNothing) {
  train(Protocol::kHonest);
  SilentProgress silent;
  const EvaluationReport two =
      evaluate_model(directory_ / "bank", directory_ / "model", Split::kTest, 0, 2, {}, silent);
  EXPECT_EQ(two.predictions, predictions(Split::kTest));
}

TEST_F(Evaluate, RefusesASplitWithoutLabels) {
  train(Protocol::kHonest);
  change_records(
      directory_.path(), [](const auto& record) { return record.split == Split::kTest; },
      [](bank::Record& record) { record.popularity.reset(); });
  expect_error(ErrorKind::kInvalidInput, "\"test\"", [&] { (void)predictions(Split::kTest); });
}

TEST_F(Evaluate, RefusesFeaturesOfOtherDims) {
  train(Protocol::kHonest);
  const TemporaryDirectory other;
  make_bank_with_visual_tokens(other.path(), 80, 5);  // the same encoders and the same name
  std::filesystem::copy(directory_ / "model", other / "model",
                        std::filesystem::copy_options::recursive);
  expect_error(ErrorKind::kInvalidInput, "visual",
               [&] { (void)evaluate_silently(other.path(), Split::kTest); });
}

TEST_F(Evaluate, RefusesABankThatLacksTheFeaturesMadeElsewhere) {
  train(Protocol::kHonest);
  const TemporaryDirectory other;
  (void)ingest_text(other.path(), made_manifest(80));
  std::filesystem::copy(directory_ / "model", other / "model",
                        std::filesystem::copy_options::recursive);
  expect_error(ErrorKind::kInvalidInput, "trained with the encoders builtin+visual features",
               [&] { (void)evaluate_silently(other.path(), Split::kTest); });
}

TEST_F(Evaluate, NamesAFileOfTheModelThatIsMissing) {
  train(Protocol::kHonest);
  for (const char* file : {"calibration.json", "config.json", "model.safetensors"}) {
    std::filesystem::rename(directory_ / "model" / file, directory_ / "away");
    expect_error(ErrorKind::kNotFound, file, [&] { (void)predictions(Split::kTest); });
    write_file_atomically(directory_ / "model" / file, "");
    expect_error(ErrorKind::kCorruptData, file, [&] { (void)predictions(Split::kTest); });
    std::filesystem::rename(directory_ / "away", directory_ / "model" / file);
  }
}

}  // namespace
}  // namespace mmra::pipeline::testing
