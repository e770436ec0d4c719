// Steps that several ranks take together, behind the interface of all predictors.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "distributed/thread_ranks.h"
#include "expect_error.h"
#include "mmra/core/files.h"
#include "mmra/model/neural_library.h"
#include "model/made_batch.h"
#include "model/small_models.h"
#include "test_files.h"

namespace mmra::model {
namespace {

using distributed::Communicator;
using testing::kInstances;
using testing::kTextDim;
using testing::kVisualDim;
using testing::made_batch;
using testing::made_table;
using testing::made_targets;
using testing::run_on_threads;
using testing::TemporaryDirectory;

struct Case {
  std::string name;
  std::function<std::unique_ptr<IterativePredictor>(int num_threads, double dropout)> make;
};

constexpr double kDropout = 0.3;
constexpr int kMicroBatches = 4;
constexpr int kBFloat16Width = 32;  ///< narrower layers are computed in float32

/// `rate`: of everything that is drawn at random.
MmraConfig mmra_config(Variant variant, double rate = kDropout) {
  MmraConfig config = testing::small_mmra(variant);
  config.dropout_input = rate;
  config.dropout_hidden = rate;
  config.token_dropout = rate;
  return config;
}

NeuralBaselineConfig baseline_config(NeuralBaseline kind, Variant variant, double rate = kDropout) {
  NeuralBaselineConfig config = testing::small_baseline(kind, variant);
  config.dropout_input = rate;
  config.dropout_hidden = rate;
  return config;
}

Case of_mmra(Variant variant) {
  return {"mmra_" + std::string(name_of(variant)),
          [=](int threads, double rate) { return make_mmra(mmra_config(variant, rate), threads); }};
}

Case of_mmra_in_bfloat16() {
  return {"mmra_paper_bfloat16", [](int threads, double rate) {
            MmraConfig config = mmra_config(Variant::kPaper, rate);
            config.width = kBFloat16Width;
            config.precision = Precision::kBFloat16;
            return make_mmra(config, threads);
          }};
}

Case of_baseline(NeuralBaseline kind, Variant variant) {
  return {std::string(name_of(kind)) + "_" + std::string(name_of(variant)),
          [=](int threads, double rate) {
            return make_neural_baseline(baseline_config(kind, variant, rate), threads);
          }};
}

/// What four steps give.
struct Outcome {
  std::vector<double> losses;
  std::vector<float> predictions;
};

/// HMMVED and MASSL sample latent values, by micro-batches other ones than whole.
bool draws_nothing(const std::string& name) {
  return name.find("hmmved") == std::string::npos && name.find("massl") == std::string::npos;
}

class EachDivisible : public ::testing::TestWithParam<Case> {
 protected:
  [[nodiscard]] Outcome train(IterativePredictor& predictor) const {
    Outcome outcome;
    // The last batch has fewer rows than there are micro-batches.
    for (const int num_rows : {12, 11, 12, 2}) {
      const Batch batch = made_batch(table_, num_rows, kInstances, 2);
      outcome.losses.push_back(predictor.train_step(batch, made_targets(batch.query_rows.size())));
    }
    outcome.predictions = predictor.predict(made_batch(table_, 12, kInstances, 5));
    return outcome;
  }
  [[nodiscard]] Outcome train_divided(Communicator* ranks, int num_threads = 1) const {
    const auto predictor = GetParam().make(num_threads, kDropout);
    predictor->divide_steps(kMicroBatches, ranks);
    return train(*predictor);
  }

  /// Of its 12 queries numbers 4 and 9 have no video, 6 no title.
  bank::FeatureTable table_ = made_table(40, kVisualDim, kTextDim, 4, 6, 1);
};

INSTANTIATE_TEST_SUITE_P(All, EachDivisible,
                         ::testing::Values(of_mmra(Variant::kPaper), of_mmra(Variant::kReleased),
                                           of_mmra_in_bfloat16(),
                                           of_baseline(NeuralBaseline::kClstm, Variant::kPaper),
                                           of_baseline(NeuralBaseline::kClstm, Variant::kReleased),
                                           of_baseline(NeuralBaseline::kCban, Variant::kPaper),
                                           of_baseline(NeuralBaseline::kCban, Variant::kReleased),
                                           of_baseline(NeuralBaseline::kMassl, Variant::kPaper),
                                           of_baseline(NeuralBaseline::kHmmved, Variant::kPaper)),
                         [](const auto& each) { return each.param.name; });

TEST_P(EachDivisible, GivesTheBitsOfOneProcessOnAnyNumberOfRanks) {
  const Outcome alone = train_divided(nullptr);
  for (const int size : {2, 3, 4}) {
    SCOPED_TRACE(size);
    std::vector<Outcome> outcomes(static_cast<std::size_t>(size));
    run_on_threads(size, [&](Communicator& ranks) {
      outcomes[static_cast<std::size_t>(ranks.rank())] = train_divided(&ranks);
    });
    for (const Outcome& outcome : outcomes) {
      EXPECT_EQ(outcome.predictions, alone.predictions);
      for (std::size_t i = 0; i < alone.losses.size(); ++i) {
        EXPECT_DOUBLE_EQ(outcome.losses[i], alone.losses[i]) << i;
      }
    }
  }
}

TEST_P(EachDivisible, GivesTheSameBitsOnAnyNumberOfThreads) {
  const Outcome alone = train_divided(nullptr, 1);
  for (const int num_threads : {2, 3, 4}) {
    const Outcome outcome = train_divided(nullptr, num_threads);
    EXPECT_EQ(outcome.losses, alone.losses) << num_threads;
    EXPECT_EQ(outcome.predictions, alone.predictions) << num_threads;
  }
}

TEST_P(EachDivisible, IsTheWholeStepButForRoundingWhereNothingIsDrawn) {
  const auto whole = GetParam().make(1, 0.0);
  const auto divided = GetParam().make(1, 0.0);
  if (!draws_nothing(GetParam().name)) GTEST_SKIP() << "it draws latent values";
  divided->divide_steps(kMicroBatches, nullptr);
  const Outcome of_whole = train(*whole);
  const Outcome of_divided = train(*divided);
  for (std::size_t i = 0; i < of_whole.losses.size(); ++i) {
    EXPECT_NEAR(of_divided.losses[i], of_whole.losses[i], 1e-4 * (1.0 + of_whole.losses[i])) << i;
  }
  for (std::size_t i = 0; i < of_whole.predictions.size(); ++i) {
    EXPECT_NEAR(of_divided.predictions[i], of_whole.predictions[i], 1e-3) << i;
  }
}

TEST_P(EachDivisible, AStateOfSeveralRanksIsOneOfAProcessAlone) {
  const TemporaryDirectory directory;
  const Batch batch = made_batch(table_, 12, kInstances, 2);
  const std::vector<float> targets(12, 6.0F);
  run_on_threads(2, [&](Communicator& ranks) {
    const auto predictor = GetParam().make(1, kDropout);
    predictor->divide_steps(kMicroBatches, &ranks);
    (void)predictor->train_step(batch, targets);
    predictor->save_training_state(directory / ("state-" + std::to_string(ranks.rank())));
  });
  // The generators too: whoever saves, any number of ranks draws on from it.
  EXPECT_EQ(read_file(directory / "state-0"), read_file(directory / "state-1"));
  const auto start = [&](int num_threads) {
    auto predictor = GetParam().make(num_threads, kDropout);
    predictor->divide_steps(kMicroBatches, nullptr);
    return predictor;
  };
  const auto alone = start(1);
  (void)alone->train_step(batch, targets);
  const auto resumed = start(2);
  resumed->load_training_state(directory / "state-0");
  EXPECT_EQ(resumed->train_step(batch, targets), alone->train_step(batch, targets));
}

TEST(SharedSteps, ModelsThatCompareRowsSayThatTheyCannot) {
  run_on_threads(2, [&](Communicator& ranks) {
    for (const auto& [kind, variant] : {std::pair(NeuralBaseline::kTmall, Variant::kPaper),
                                        std::pair(NeuralBaseline::kTmall, Variant::kReleased),
                                        std::pair(NeuralBaseline::kMassl, Variant::kReleased),
                                        std::pair(NeuralBaseline::kHmmved, Variant::kReleased)}) {
      const auto predictor = make_neural_baseline(baseline_config(kind, variant), 1);
      testing::expect_error(ErrorKind::kUnsupported, "without mpirun",
                            [&] { predictor->divide_steps(kMicroBatches, &ranks); });
    }
  });
}

TEST(SharedSteps, ModelsThatCompareRowsComputeStepsWholeInOneProcess) {
  const bank::FeatureTable table = made_table(40, kVisualDim, kTextDim, 4, 6, 1);
  const Batch batch = made_batch(table, 8, kInstances, 2);
  const auto make = [] {
    return make_neural_baseline(baseline_config(NeuralBaseline::kMassl, Variant::kReleased), 1);
  };
  const auto whole = make();
  const auto divided = make();
  divided->divide_steps(kMicroBatches, nullptr);
  const std::vector<float> targets(8, 5.0F);
  for (int step = 0; step < 2; ++step) {
    EXPECT_EQ(divided->train_step(batch, targets), whole->train_step(batch, targets));
  }
}

TEST(SharedSteps, ThereMustBeAMicroBatchForEachRank) {
  run_on_threads(3, [](Communicator& ranks) {
    const auto predictor = make_mmra(mmra_config(Variant::kPaper), 1);
    testing::expect_error(ErrorKind::kInvalidInput, "3 ranks",
                          [&] { predictor->divide_steps(2, &ranks); });
  });
}

TEST(SharedSteps, ADivergedStepFailsOnAllRanks) {
  const bank::FeatureTable table = made_table(40, kVisualDim, kTextDim, 4, 6, 1);
  const Batch batch = made_batch(table, 8, kInstances, 2);
  std::vector<float> targets(8, 5.0F);
  targets[7] = std::numeric_limits<float>::infinity();  // of the last rank
  run_on_threads(3, [&](Communicator& ranks) {
    const auto predictor = make_mmra(mmra_config(Variant::kPaper), 1);
    predictor->divide_steps(kMicroBatches, &ranks);
    testing::expect_error(ErrorKind::kInvalidInput, "diverged",
                          [&] { (void)predictor->train_step(batch, targets); });
  });
}

}  // namespace
}  // namespace mmra::model
