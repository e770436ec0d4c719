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
  std::function<std::unique_ptr<IterativePredictor>()> make;
};

/// With everything that is drawn at random.
MmraConfig mmra_config(Variant variant) {
  MmraConfig config = testing::small_mmra(variant);
  config.dropout_input = 0.3;
  config.dropout_hidden = 0.3;
  config.token_dropout = 0.3;
  return config;
}

NeuralBaselineConfig baseline_config(NeuralBaseline kind, Variant variant) {
  NeuralBaselineConfig config = testing::small_baseline(kind, variant);
  config.dropout_input = 0.3;
  config.dropout_hidden = 0.3;
  return config;
}

Case of_mmra(Variant variant) {
  return {"mmra_" + std::string(name_of(variant)),
          [=] { return make_mmra(mmra_config(variant), 1); }};
}

Case of_baseline(NeuralBaseline kind, Variant variant) {
  return {std::string(name_of(kind)) + "_" + std::string(name_of(variant)),
          [=] { return make_neural_baseline(baseline_config(kind, variant), 1); }};
}

/// What four steps give.
struct Outcome {
  std::vector<double> losses;
  std::vector<float> predictions;
};

class EachDivisible : public ::testing::TestWithParam<Case> {
 protected:
  [[nodiscard]] Outcome train(Communicator* ranks) const {
    const auto predictor = GetParam().make();
    if (ranks != nullptr) predictor->share_steps(*ranks);
    Outcome outcome;
    // The last batch has fewer rows than there are ranks.
    for (const int num_rows : {12, 11, 12, 2}) {
      const Batch batch = made_batch(table_, num_rows, kInstances, 2);
      outcome.losses.push_back(predictor->train_step(batch, made_targets(batch.query_rows.size())));
    }
    outcome.predictions = predictor->predict(made_batch(table_, 12, kInstances, 5));
    return outcome;
  }

  /// Of its 12 queries numbers 4 and 9 have no video, 6 no title.
  bank::FeatureTable table_ = made_table(40, kVisualDim, kTextDim, 4, 6, 1);
};

INSTANTIATE_TEST_SUITE_P(All, EachDivisible,
                         ::testing::Values(of_mmra(Variant::kPaper), of_mmra(Variant::kReleased),
                                           of_baseline(NeuralBaseline::kClstm, Variant::kPaper),
                                           of_baseline(NeuralBaseline::kClstm, Variant::kReleased),
                                           of_baseline(NeuralBaseline::kCban, Variant::kPaper),
                                           of_baseline(NeuralBaseline::kCban, Variant::kReleased),
                                           of_baseline(NeuralBaseline::kMassl, Variant::kPaper),
                                           of_baseline(NeuralBaseline::kHmmved, Variant::kPaper)),
                         [](const auto& each) { return each.param.name; });

TEST_P(EachDivisible, GivesTheNumbersOfOneProcess) {
  const Outcome alone = train(nullptr);
  for (const int size : {2, 3}) {
    SCOPED_TRACE(size);
    std::vector<Outcome> outcomes(static_cast<std::size_t>(size));
    run_on_threads(size, [&](Communicator& ranks) {
      outcomes[static_cast<std::size_t>(ranks.rank())] = train(&ranks);
    });
    for (const Outcome& outcome : outcomes) {
      for (std::size_t i = 0; i < alone.losses.size(); ++i) {
        EXPECT_NEAR(outcome.losses[i], alone.losses[i], 1e-4 * (1.0 + alone.losses[i])) << i;
      }
      EXPECT_EQ(outcome.predictions, outcomes[0].predictions) << "all ranks have the same weights";
      for (std::size_t i = 0; i < alone.predictions.size(); ++i) {
        EXPECT_NEAR(outcome.predictions[i], alone.predictions[i], 1e-3) << i;
      }
    }
  }
}

TEST_P(EachDivisible, AStateOfSeveralRanksIsOneOfAProcessAlone) {
  const TemporaryDirectory directory;
  const Batch batch = made_batch(table_, 12, kInstances, 2);
  const std::vector<float> targets(12, 6.0F);
  run_on_threads(2, [&](Communicator& ranks) {
    const auto predictor = GetParam().make();
    predictor->share_steps(ranks);
    (void)predictor->train_step(batch, targets);
    predictor->save_training_state(directory / ("state-" + std::to_string(ranks.rank())));
  });
  // The generators too: whoever saves, any number of ranks draws on from it.
  EXPECT_EQ(read_file(directory / "state-0"), read_file(directory / "state-1"));
  const auto alone = GetParam().make();
  (void)alone->train_step(batch, targets);
  const auto resumed = GetParam().make();
  resumed->load_training_state(directory / "state-0");
  EXPECT_NEAR(resumed->train_step(batch, targets), alone->train_step(batch, targets), 1e-3);
}

TEST(SharedSteps, ModelsThatCompareRowsSayThatTheyCannot) {
  run_on_threads(2, [&](Communicator& ranks) {
    for (const auto& [kind, variant] : {std::pair(NeuralBaseline::kTmall, Variant::kPaper),
                                        std::pair(NeuralBaseline::kTmall, Variant::kReleased),
                                        std::pair(NeuralBaseline::kMassl, Variant::kReleased),
                                        std::pair(NeuralBaseline::kHmmved, Variant::kReleased)}) {
      const auto predictor = make_neural_baseline(baseline_config(kind, variant), 1);
      testing::expect_error(ErrorKind::kUnsupported, "without mpirun",
                            [&] { predictor->share_steps(ranks); });
    }
  });
}

TEST(SharedSteps, ADivergedStepFailsOnAllRanks) {
  const bank::FeatureTable table = made_table(40, kVisualDim, kTextDim, 4, 6, 1);
  const Batch batch = made_batch(table, 8, kInstances, 2);
  std::vector<float> targets(8, 5.0F);
  targets[7] = std::numeric_limits<float>::infinity();  // of the last rank
  run_on_threads(3, [&](Communicator& ranks) {
    const auto predictor = make_mmra(mmra_config(Variant::kPaper), 1);
    predictor->share_steps(ranks);
    testing::expect_error(ErrorKind::kInvalidInput, "diverged",
                          [&] { (void)predictor->train_step(batch, targets); });
  });
}

}  // namespace
}  // namespace mmra::model
