#include "mmra/training/trainer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <stop_token>
#include <string>
#include <vector>

#include "distributed/thread_ranks.h"
#include "expect_error.h"
#include "mmra/core/progress.h"
#include "test_files.h"
#include "training/fake_predictor.h"

namespace mmra::training {
namespace {

using ::testing::ElementsAre;
using testing::expect_error;
using testing::FakePredictor;
using testing::TemporaryDirectory;

constexpr int kTrainRows = 10;
constexpr int kStopRows = 6;
constexpr int kBatch = 4;  // batches of 4, 4 and 2
constexpr int kStepsPerEpoch = 3;
constexpr int kInstances = 2;

/// Row r has the instances 100·r and 100·r + 1 …, so that mixing them up shows.
Examples made_examples(std::int32_t first, int count) {
  Examples examples;
  examples.instances.k = kInstances;
  for (std::int32_t row = first; row < first + count; ++row) {
    examples.rows.push_back(row);
    for (std::int32_t j = 0; j < kInstances; ++j) {
      examples.instances.rows.push_back(100 * row + j);
      examples.instances.similarities.push_back(static_cast<float>(row) +
                                                0.5F * static_cast<float>(j));
    }
  }
  return examples;
}

/// 10 rows to train with, 6 to stop by, one without a label.
struct Data {
  bank::FeatureTable table{0, 0};
  TrainingData data;

  Data() {
    for (int row = 0; row < kTrainRows + kStopRows; ++row) table.append({}, {}, 1 << (row % 7));
    table.append({}, {}, std::nullopt);
    data.features = &table;
    data.train = made_examples(0, kTrainRows);
    data.stop = made_examples(kTrainRows, kStopRows);
  }
  Data(const Data&) = delete;
  Data& operator=(const Data&) = delete;
};

TrainOptions made_options() {
  TrainOptions options;
  options.batch_size = kBatch;
  options.max_epochs = 6;
  options.patience = 6;
  options.run_fingerprint = "run";
  return options;
}

/// How far off the predictions are after epoch 1, 2, 3 …
std::function<double(int)> by_epoch(std::vector<double> offsets) {
  return [offsets = std::move(offsets)](int steps) {
    const auto epoch = static_cast<std::size_t>(steps / kStepsPerEpoch);
    return offsets.at(std::min(std::max<std::size_t>(epoch, 1), offsets.size()) - 1);
  };
}

std::vector<std::int32_t> order_of(const FakePredictor& predictor, int epoch) {
  std::vector<std::int32_t> order;
  for (int step = 0; step < kStepsPerEpoch; ++step) {
    const auto& rows =
        predictor.trained.at(static_cast<std::size_t>((epoch - 1) * kStepsPerEpoch + step))
            .query_rows;
    order.insert(order.end(), rows.begin(), rows.end());
  }
  return order;
}

/// Everything but the seconds, exactly.
void expect_same(const TrainingHistory& actual, const TrainingHistory& expected) {
  EXPECT_EQ(actual.best_epoch, expected.best_epoch);
  ASSERT_EQ(actual.epochs.size(), expected.epochs.size());
  for (std::size_t i = 0; i < expected.epochs.size(); ++i) {
    EXPECT_EQ(actual.epochs[i].epoch, expected.epochs[i].epoch);
    EXPECT_EQ(actual.epochs[i].train_loss, expected.epochs[i].train_loss);
    EXPECT_EQ(actual.epochs[i].stop_nmse, expected.epochs[i].stop_nmse);
    EXPECT_EQ(actual.epochs[i].stop_mae, expected.epochs[i].stop_mae);
  }
}

class Recorder final : public ProgressSink {
 public:
  void begin(std::string_view step, std::optional<std::int64_t> total) override {
    lines.push_back("begin " + std::string(step) + " of " + std::to_string(total.value_or(-1)));
  }
  void advance(std::int64_t done) override { advanced += done; }
  void end() override { lines.emplace_back("end"); }
  void note(std::string_view line) override { lines.emplace_back(line); }

  std::vector<std::string> lines;
  std::int64_t advanced = 0;
};

class Trainer : public ::testing::Test {
 protected:
  TrainingHistory run(FakePredictor& predictor, const TrainOptions& options) {
    SilentProgress silent;
    return train(predictor, data_.data, options, silent);
  }

  Data data_;
  TemporaryDirectory directory_;
};

TEST_F(Trainer, ShowsEveryRowOnceAnEpochWithItsInstancesAndLabel) {
  FakePredictor predictor(by_epoch({1.0}));
  TrainOptions options = made_options();
  options.max_epochs = 2;
  run(predictor, options);
  ASSERT_EQ(predictor.trained.size(), 2U * kStepsPerEpoch);
  for (int epoch = 1; epoch <= 2; ++epoch) {
    std::vector<std::int32_t> rows = order_of(predictor, epoch);
    std::sort(rows.begin(), rows.end());
    EXPECT_EQ(rows, data_.data.train.rows);
  }
  for (std::size_t step = 0; step < predictor.trained.size(); ++step) {
    const model::Batch& batch = predictor.trained[step];
    // The last batch of an epoch is the smaller one, and is kept.
    EXPECT_EQ(batch.query_rows.size(), step % kStepsPerEpoch == 2 ? 2U : 4U);
    EXPECT_EQ(batch.k, kInstances);
    ASSERT_EQ(batch.instance_rows.size(), batch.query_rows.size() * kInstances);
    for (std::size_t i = 0; i < batch.query_rows.size(); ++i) {
      const std::int32_t row = batch.query_rows[i];
      EXPECT_EQ(batch.instance_rows[2 * i], 100 * row);
      EXPECT_EQ(batch.instance_rows[2 * i + 1], 100 * row + 1);
      EXPECT_EQ(batch.similarities[2 * i + 1], static_cast<float>(row) + 0.5F);
      EXPECT_EQ(predictor.trained_targets[step][i], static_cast<float>(row % 7));
    }
  }
}

TEST_F(Trainer, ShufflesByItsSeedAndTheEpoch) {
  const auto orders = [&](std::uint64_t seed) {
    FakePredictor predictor(by_epoch({1.0}));
    TrainOptions options = made_options();
    options.max_epochs = 3;
    options.seed = seed;
    run(predictor, options);
    return std::vector{order_of(predictor, 1), order_of(predictor, 2), order_of(predictor, 3)};
  };
  const auto first = orders(1);
  EXPECT_EQ(orders(1), first);
  EXPECT_NE(orders(2)[0], first[0]);
  EXPECT_NE(orders(1 + (std::uint64_t{1} << 32))[0], first[0]);  // all of the seed counts
  EXPECT_NE(first[0], first[1]);
  EXPECT_NE(first[1], first[2]);
  EXPECT_NE(first[0], data_.data.train.rows);
}

/// A shuffle that favours places would show here: 10 rows, 3000 epochs, about 300 times in each.
TEST_F(Trainer, KeepsTheOrderOfTheRowsWhereItIsToldTo) {
  TrainOptions options = made_options();
  options.shuffle = false;
  FakePredictor predictor(by_epoch({1.0}));
  (void)run(predictor, options);
  EXPECT_EQ(order_of(predictor, 1), data_.data.train.rows);
  EXPECT_EQ(order_of(predictor, 2), data_.data.train.rows);
}

TEST_F(Trainer, PutsEveryRowInEveryPlaceAboutAsOften) {
  FakePredictor predictor(by_epoch({1.0}));
  TrainOptions options = made_options();
  options.max_epochs = 3000;
  options.patience = 3000;
  run(predictor, options);
  std::map<std::pair<std::size_t, std::int32_t>, int> counts;
  for (int epoch = 1; epoch <= 3000; ++epoch) {
    const auto order = order_of(predictor, epoch);
    for (std::size_t place = 0; place < order.size(); ++place) ++counts[{place, order[place]}];
  }
  EXPECT_EQ(counts.size(), 100U);
  for (const auto& [where, count] : counts) EXPECT_NEAR(count, 300, 80);
}

TEST_F(Trainer, RecordsTheMeanLossOfARowAndTheErrorOnTheStoppingRows) {
  FakePredictor predictor(by_epoch({2.0, 0.5}));
  TrainOptions options = made_options();
  options.max_epochs = 2;
  const TrainingHistory history = run(predictor, options);
  ASSERT_EQ(history.epochs.size(), 2U);
  // The stopping rows' labels: 3 4 5 6 0 1.
  const double variance = (9.0 + 16 + 25 + 36 + 0 + 1) / 6 - (19.0 / 6) * (19.0 / 6);
  EXPECT_NEAR(history.epochs[0].stop_nmse, 4.0 / variance, 1e-6);
  EXPECT_NEAR(history.epochs[1].stop_nmse, 0.25 / variance, 1e-6);
  EXPECT_NEAR(history.epochs[1].stop_mae, 0.5, 1e-6);
  EXPECT_NEAR(history.epochs[1].stop_src, 1.0, 1e-12);
  EXPECT_GE(history.epochs[0].seconds, 0.0);
  for (int epoch = 1; epoch <= 2; ++epoch) {
    const auto order = order_of(predictor, epoch);
    EXPECT_NEAR(history.epochs[static_cast<std::size_t>(epoch) - 1].train_loss,
                (4.0 * order[0] + 4.0 * order[4] + 2.0 * order[8]) / 10.0, 1e-12);
  }
}

TEST_F(Trainer, StopsAfterPatienceAndGivesBackTheBest) {
  FakePredictor predictor(by_epoch({5, 3, 4, 3.5, 3.2, 0.1}));
  TrainOptions options = made_options();
  options.patience = 3;
  const TrainingHistory history = run(predictor, options);
  EXPECT_EQ(history.epochs.size(), 5U);  // 3, 4 and 5 were no better than 2
  EXPECT_EQ(history.best_epoch, 2);
  EXPECT_EQ(predictor.steps, 2 * kStepsPerEpoch);
}

TEST_F(Trainer, CountsPatienceFromTheBestEpoch) {
  FakePredictor predictor(by_epoch({5, 6, 4, 4.5, 4.4}));
  TrainOptions options = made_options();
  options.patience = 2;
  const TrainingHistory history = run(predictor, options);
  EXPECT_EQ(history.best_epoch, 3);
  EXPECT_EQ(history.epochs.size(), 5U);
}

TEST_F(Trainer, TakesNoEpochForBetterThatIsOnlyAsGood) {
  FakePredictor predictor(by_epoch({2, 2, 2, 2, 2, 2}));
  TrainOptions options = made_options();
  options.patience = 1;
  const TrainingHistory history = run(predictor, options);
  EXPECT_EQ(history.best_epoch, 1);
  EXPECT_EQ(history.epochs.size(), 2U);
}

TEST_F(Trainer, StopsAtTheLargestNumberOfEpochs) {
  FakePredictor predictor(by_epoch({6, 5, 4, 3, 2, 1}));
  TrainOptions options = made_options();
  options.max_epochs = 4;
  const TrainingHistory history = run(predictor, options);
  EXPECT_EQ(history.epochs.size(), 4U);
  EXPECT_EQ(history.best_epoch, 4);
  EXPECT_EQ(predictor.steps, 4 * kStepsPerEpoch);
}

/// Then nMSE is undefined, and the absolute error decides.
TEST_F(Trainer, StopsByTheAbsoluteErrorWhereTheStoppingLabelsAreAllEqual) {
  data_.data.stop = made_examples(kTrainRows, 1);
  FakePredictor predictor(by_epoch({5, 1, 4, 3}));
  TrainOptions options = made_options();
  options.patience = 2;
  const TrainingHistory history = run(predictor, options);
  EXPECT_TRUE(std::isnan(history.epochs[0].stop_nmse));
  EXPECT_EQ(history.best_epoch, 2);
  EXPECT_EQ(history.epochs.size(), 4U);
}

TEST_F(Trainer, SaysWhatItDoes) {
  FakePredictor predictor(by_epoch({2, 1, 3}));
  TrainOptions options = made_options();
  options.patience = 1;
  Recorder recorder;
  train(predictor, data_.data, options, recorder);
  EXPECT_EQ(recorder.advanced, 3 * kTrainRows);
  using ::testing::AllOf;
  using ::testing::HasSubstr;
  using ::testing::Not;
  EXPECT_THAT(recorder.lines,
              ElementsAre("begin epoch 1 of 10", "end",
                          AllOf(HasSubstr("epoch 1: training loss "), HasSubstr("(best so far)")),
                          "begin epoch 2 of 10", "end", HasSubstr("MAE 1.0000"),
                          "begin epoch 3 of 10", "end", Not(HasSubstr("best"))));
}

TEST_F(Trainer, GivesTheSameAfterAnInterruptionAtAnyStep) {
  const std::vector<double> offsets{5, 4, 6, 3, 7, 8};
  FakePredictor whole(by_epoch(offsets));
  TrainOptions options = made_options();
  options.patience = 2;
  const TrainingHistory expected = run(whole, options);
  ASSERT_EQ(expected.epochs.size(), 6U);
  ASSERT_EQ(expected.best_epoch, 4);

  options.resume = true;
  for (int stop_at = 1; stop_at < 6 * kStepsPerEpoch; ++stop_at) {
    SCOPED_TRACE(stop_at);
    options.checkpoint_directory = directory_ / ("at" + std::to_string(stop_at));
    std::stop_source source;
    options.stop = source.get_token();
    FakePredictor interrupted(by_epoch(offsets));
    interrupted.after_step = [&](int steps) {
      if (steps == stop_at) source.request_stop();
    };
    EXPECT_THROW(run(interrupted, options), Interrupted);
    EXPECT_EQ(interrupted.steps, stop_at);  // not one step more

    options.stop = {};
    FakePredictor resumed(by_epoch(offsets));
    expect_same(run(resumed, options), expected);
    EXPECT_EQ(resumed.steps, whole.steps);
    // The epochs that were left, in the same order.
    const int done = stop_at / kStepsPerEpoch;
    ASSERT_EQ(resumed.trained.size(), static_cast<std::size_t>((6 - done) * kStepsPerEpoch));
    for (int epoch = done + 1; epoch <= 6; ++epoch) {
      EXPECT_EQ(order_of(resumed, epoch - done), order_of(whole, epoch));
    }
  }
}

TEST_F(Trainer, DoesNothingMoreWhereTheRunHadFinished) {
  TrainOptions options = made_options();
  options.checkpoint_directory = directory_.path();
  options.patience = 2;
  options.resume = true;  // nothing there yet: begins
  FakePredictor first(by_epoch({3, 4, 5}));
  const TrainingHistory expected = run(first, options);
  FakePredictor second(by_epoch({3, 4, 5}));
  Recorder recorder;
  expect_same(train(second, data_.data, options, recorder), expected);
  EXPECT_TRUE(second.trained.empty());
  EXPECT_EQ(second.steps, kStepsPerEpoch);  // the best
  EXPECT_THAT(recorder.lines, ElementsAre("resuming after epoch 3"));
}

TEST_F(Trainer, GoesOnWithMoreEpochsWhereTheyWereTheLimit) {
  TrainOptions options = made_options();
  options.checkpoint_directory = directory_.path();
  options.max_epochs = 2;
  FakePredictor first(by_epoch({3, 2, 1}));
  run(first, options);
  options.resume = true;
  options.max_epochs = 3;
  FakePredictor second(by_epoch({3, 2, 1}));
  EXPECT_EQ(run(second, options).best_epoch, 3);
  EXPECT_EQ(second.trained.size(), static_cast<std::size_t>(kStepsPerEpoch));
}

TEST_F(Trainer, BeginsAnewWhereItIsNotToldToResume) {
  TrainOptions options = made_options();
  options.checkpoint_directory = directory_.path();
  options.max_epochs = 2;
  FakePredictor first(by_epoch({3, 2, 1}));
  run(first, options);
  FakePredictor second(by_epoch({3, 2, 1}));
  run(second, options);
  EXPECT_EQ(second.trained.size(), first.trained.size());
}

TEST_F(Trainer, RefusesTheCheckpointOfAnotherRun) {
  TrainOptions options = made_options();
  options.checkpoint_directory = directory_.path();
  FakePredictor predictor(by_epoch({1}));
  run(predictor, options);
  options.resume = true;
  options.run_fingerprint = "another";
  expect_error(ErrorKind::kInvalidInput, "another", [&] { run(predictor, options); });
}

TEST_F(Trainer, StopsBeforeTheFirstStepWhereItWasToldTo) {
  std::stop_source source;
  source.request_stop();
  TrainOptions options = made_options();
  options.stop = source.get_token();
  options.checkpoint_directory = directory_ / "checkpoint";
  FakePredictor predictor(by_epoch({1}));
  EXPECT_THROW(run(predictor, options), Interrupted);
  EXPECT_TRUE(predictor.trained.empty());
  EXPECT_FALSE(std::filesystem::exists(directory_ / "checkpoint"));
}

TEST_F(Trainer, RefusesDataAndOptionsThatCannotBe) {
  FakePredictor predictor(by_epoch({1}));
  const auto expect_refused = [&](ErrorKind kind, const std::string& part, auto&& fault) {
    const TrainingData good = data_.data;
    TrainOptions options = made_options();
    fault(data_.data, options);
    expect_error(kind, part, [&] { run(predictor, options); });
    data_.data = good;
  };
  const ErrorKind invalid = ErrorKind::kInvalidInput;
  expect_refused(invalid, "got 0, 6, 6 and 1", [](auto&, auto& o) { o.batch_size = 0; });
  expect_refused(invalid, "got 4, 0, 6 and 1", [](auto&, auto& o) { o.max_epochs = 0; });
  expect_refused(invalid, "got 4, 6, -1 and 1", [](auto&, auto& o) { o.patience = -1; });
  expect_refused(invalid, "got 4, 6, 6 and 0", [](auto&, auto& o) { o.num_micro_batches = 0; });
  expect_refused(invalid, "no training rows", [](auto& d, auto&) { d.train = {}; });
  expect_refused(invalid, "no rows that decide", [](auto& d, auto&) { d.stop = {}; });
  expect_refused(invalid, "row 16 of the training rows",
                 [](auto& d, auto&) { d.train.rows[3] = 16; });
  expect_refused(invalid, "row 17 of the rows that decide",
                 [](auto& d, auto&) { d.stop.rows[0] = 17; });
  expect_refused(invalid, "row -1", [](auto& d, auto&) { d.stop.rows[0] = -1; });
  expect_refused(ErrorKind::kInternal, "have 19 instances",
                 [](auto& d, auto&) { d.train.instances.rows.pop_back(); });
  expect_refused(ErrorKind::kInternal, "k = 3", [](auto& d, auto&) { d.stop.instances.k = 3; });
  expect_refused(ErrorKind::kInternal, "features", [](auto& d, auto&) { d.features = nullptr; });
  EXPECT_TRUE(predictor.trained.empty());
}

/// Each rank a thread, with a predictor and options of its own.
class TrainerOfRanks : public Trainer {
 protected:
  struct Rank {
    FakePredictor predictor{by_epoch({3.0, 2.0, 1.0, 2.0, 0.5, 0.6})};
    TrainOptions options = made_options();
    TrainingHistory history;
    bool interrupted = false;
  };
  static constexpr std::size_t kRanks = 3;
  static constexpr int kMicroBatches = 5;

  void run_all() {
    testing::run_on_threads(kRanks, [&](distributed::Communicator& ranks) {
      Rank& own = ranks_[static_cast<std::size_t>(ranks.rank())];
      own.options.ranks = &ranks;
      own.options.num_micro_batches = kMicroBatches;
      try {
        own.history = run(own.predictor, own.options);
      } catch (const Interrupted&) {
        own.interrupted = true;
      }
    });
  }

  Rank ranks_[kRanks];
};

TEST_F(TrainerOfRanks, MeasuresInSharesAndEndsAlikeEverywhere) {
  Rank alone;
  alone.history = run(alone.predictor, alone.options);
  run_all();
  std::size_t num_predicted = 0;
  for (const Rank& rank : ranks_) {
    expect_same(rank.history, alone.history);
    EXPECT_NE(rank.predictor.ranks, nullptr);
    EXPECT_EQ(rank.predictor.divided_into, kMicroBatches);
    EXPECT_EQ(rank.predictor.steps, alone.predictor.steps) << "the best epoch's";
    EXPECT_EQ(rank.predictor.trained.size(), alone.predictor.trained.size());
    for (const model::Batch& batch : rank.predictor.predicted) {
      num_predicted += batch.query_rows.size();
    }
  }
  EXPECT_EQ(num_predicted, alone.history.epochs.size() * kStopRows) << "each row on one rank";
}

TEST_F(TrainerOfRanks, GoesOnFromTheFirstsCheckpointThoughOthersSeeNone) {
  Rank alone;
  alone.history = run(alone.predictor, alone.options);
  Rank first;
  first.options.checkpoint_directory = directory_ / "checkpoint";
  first.options.max_epochs = 2;
  (void)run(first.predictor, first.options);
  for (Rank& rank : ranks_) {
    rank.options.resume = true;
    rank.options.checkpoint_directory = directory_ / "elsewhere";
  }
  ranks_[0].options.checkpoint_directory = directory_ / "checkpoint";
  run_all();
  for (const Rank& rank : ranks_) {
    expect_same(rank.history, alone.history);
    EXPECT_EQ(rank.predictor.trained.size(), 4U * kStepsPerEpoch);
  }
  EXPECT_FALSE(std::filesystem::exists(directory_ / "elsewhere")) << "the first alone writes";
}

TEST_F(TrainerOfRanks, StopsWhereOneOfThemIsAskedTo) {
  std::stop_source stop;
  ranks_[1].options.stop = stop.get_token();
  ranks_[1].predictor.after_step = [&](int steps) {
    if (steps == 4) stop.request_stop();
  };
  run_all();
  for (const Rank& rank : ranks_) {
    EXPECT_TRUE(rank.interrupted);
    EXPECT_EQ(rank.predictor.steps, 4);
  }
}

TEST(PredictAll, GoesThroughTheRowsInOrder) {
  const Data data;
  const bank::FeatureTable other{0, 0};
  FakePredictor predictor([](int) { return 0.25; });
  const std::vector<float> predictions =
      predict_all(predictor, data.table, other, data.data.train, 4);
  ASSERT_EQ(predictions.size(), 10U);
  for (std::size_t i = 0; i < 10; ++i) {
    EXPECT_EQ(predictions[i], static_cast<float>(i % 7) + 0.25F);
  }
  ASSERT_EQ(predictor.predicted.size(), 3U);
  EXPECT_THAT(predictor.predicted[2].query_rows, ElementsAre(8, 9));
  EXPECT_THAT(predictor.predicted[2].instance_rows, ElementsAre(800, 801, 900, 901));
  EXPECT_EQ(predictor.predicted[0].queries, &data.table);
  EXPECT_EQ(predictor.predicted[0].memory, &other);
}

TEST(PredictAll, OfNoRowsIsEmptyAndOfNoBatchAnError) {
  const Data data;
  FakePredictor predictor([](int) { return 0.0; });
  EXPECT_TRUE(predict_all(predictor, data.table, data.table, {}, 4).empty());
  expect_error(ErrorKind::kInvalidInput, "at least one row",
               [&] { (void)predict_all(predictor, data.table, data.table, data.data.train, 0); });
  Examples broken = data.data.train;
  broken.instances.similarities.pop_back();
  expect_error(ErrorKind::kInternal, "instances",
               [&] { (void)predict_all(predictor, data.table, data.table, broken, 4); });
}

}  // namespace
}  // namespace mmra::training
