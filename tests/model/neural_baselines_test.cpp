// The neural baselines behind the interface of all predictors, through their library.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "expect_error.h"
#include "mmra/core/files.h"
#include "mmra/core/safetensors.h"
#include "mmra/model/neural_library.h"
#include "model/made_batch.h"
#include "model/small_models.h"
#include "test_files.h"

namespace mmra::model {
namespace {

using testing::expect_error;
using testing::kTextDim;
using testing::kVisualDim;
using testing::made_batch;
using testing::made_table;
using testing::made_targets;
using testing::small_baseline;
using testing::TemporaryDirectory;

bool is_variational(NeuralBaseline kind) {
  return kind == NeuralBaseline::kMassl || kind == NeuralBaseline::kHmmved;
}

using Parameters = std::tuple<NeuralBaseline, Variant>;

std::string name_of_case(const ::testing::TestParamInfo<Parameters>& each) {
  return std::string(name_of(std::get<0>(each.param))) + "_" +
         std::string(name_of(std::get<1>(each.param)));
}

class EachNeuralBaseline : public ::testing::TestWithParam<Parameters> {
 protected:
  [[nodiscard]] NeuralBaseline kind() const { return std::get<0>(GetParam()); }
  [[nodiscard]] bool is_released() const { return std::get<1>(GetParam()) == Variant::kReleased; }
  [[nodiscard]] NeuralBaselineConfig config() const {
    return small_baseline(kind(), std::get<1>(GetParam()));
  }

  /// Of its 12 queries numbers 4 and 9 have no video, 6 no title.
  bank::FeatureTable table_ = made_table(40, kVisualDim, kTextDim, 4, 6, 1);
  Batch batch_ = made_batch(table_, 12, 2, 2);
  std::vector<float> targets_ = made_targets(12);
  TemporaryDirectory directory_;
};

INSTANTIATE_TEST_SUITE_P(All, EachNeuralBaseline,
                         ::testing::Combine(::testing::ValuesIn(all_neural_baselines().begin(),
                                                                all_neural_baselines().end()),
                                            ::testing::Values(Variant::kPaper, Variant::kReleased)),
                         name_of_case);

TEST_P(EachNeuralBaseline, PredictsTheSameEachTimeItIsAsked) {
  const auto network = make_neural_baseline(config(), 1);
  EXPECT_EQ(network->predict(batch_), network->predict(batch_));
}

TEST_P(EachNeuralBaseline, LearnsFromABatch) {
  NeuralBaselineConfig own = config();
  own.kld_weight = 0.01;
  own.disagreement = 0.0;
  own.gradient_clip = 1.0;
  own.learning_rate = 1e-2;
  const auto network = make_neural_baseline(own, 1);
  double first = 0.0;
  double last = 0.0;
  for (int step = 0; step < 100; ++step) {
    const double loss = network->train_step(batch_, targets_);
    if (step < 20) first += loss / 20.0;
    if (step >= 80) last += loss / 20.0;
  }
  EXPECT_LT(last, 0.5 * first);
}

/// Of those whose predictions are what a training step computes: no z is drawn, nothing dropped.
TEST(NeuralBaselines, ReportTheSquaredErrorInLog2Units) {
  const bank::FeatureTable table = made_table(40, kVisualDim, kTextDim, 4, 6, 1);
  const Batch batch = made_batch(table, 12, 2, 2);
  const std::vector<float> targets = made_targets(12);
  for (const NeuralBaseline kind : all_neural_baselines()) {
    if (is_variational(kind)) continue;
    const auto network = make_neural_baseline(small_baseline(kind, Variant::kPaper), 1);
    const std::vector<float> predictions = network->predict(batch);
    double expected = 0.0;
    for (std::size_t i = 0; i < targets.size(); ++i) {
      expected += std::pow(predictions[i] - targets[i], 2) / static_cast<double>(targets.size());
    }
    EXPECT_NEAR(network->train_step(batch, targets), expected, 1e-4 * expected) << name_of(kind);
  }
}

TEST_P(EachNeuralBaseline, IsDeterministicInItsSeed) {
  NeuralBaselineConfig own = config();
  own.dropout_input = 0.2;
  own.dropout_hidden = 0.3;
  const auto run = [&](std::uint64_t seed) {
    own.seed = seed;
    const auto network = make_neural_baseline(own, 1);
    network->see_unlabelled(table_, {20, 21, 22, 23, 24});
    for (int step = 0; step < 5; ++step) network->train_step(batch_, targets_);
    return network->predict(batch_);
  };
  EXPECT_EQ(run(7), run(7));
  EXPECT_NE(run(7), run(8));
}

TEST_P(EachNeuralBaseline, SavesAndLoadsWhatItPredictsWith) {
  NeuralBaselineConfig own = config();
  own.ema_decay = 0.9;
  const auto network = make_neural_baseline(own, 1);
  for (int step = 0; step < 5; ++step) network->train_step(batch_, targets_);
  network->save(directory_.path());
  EXPECT_EQ(load_neural_baseline(directory_.path(), 1)->predict(batch_), network->predict(batch_));
}

TEST_P(EachNeuralBaseline, GoesOnFromItsTrainingStateBitForBit) {
  NeuralBaselineConfig own = config();
  own.dropout_hidden = 0.3;
  own.ema_decay = 0.99;
  own.weight_decay = 0.1;
  own.gradient_clip = 1.0;
  const std::vector<std::int32_t> unlabelled{20, 21, 22, 23, 24, 25};
  const auto network = make_neural_baseline(own, 1);
  network->see_unlabelled(table_, unlabelled);
  for (int step = 0; step < 3; ++step) network->train_step(batch_, targets_);
  network->keep_best();
  const std::vector<float> best = network->predict(batch_);
  for (int step = 0; step < 3; ++step) network->train_step(batch_, targets_);
  network->save_training_state(directory_ / "state.safetensors");

  own.seed = 99;  // weights and random state must come from the file
  const auto resumed = make_neural_baseline(own, 1);
  resumed->see_unlabelled(table_, unlabelled);
  resumed->load_training_state(directory_ / "state.safetensors");
  for (int step = 0; step < 4; ++step) {
    EXPECT_EQ(resumed->train_step(batch_, targets_), network->train_step(batch_, targets_));
  }
  resumed->save(directory_ / "resumed");
  network->save(directory_ / "network");
  EXPECT_EQ(read_file(directory_ / "resumed/model.safetensors"),
            read_file(directory_ / "network/model.safetensors"));
  EXPECT_NE(network->predict(batch_), best);
  network->restore_best();
  EXPECT_EQ(network->predict(batch_), best);
}

TEST_P(EachNeuralBaseline, RefusesAFileThatIsDamagedOrOfAnotherNetwork) {
  make_neural_baseline(config(), 1)->save(directory_.path());
  const auto refuse = [&](ErrorKind error, const std::string& part) {
    expect_error(error, part, [&] { (void)load_neural_baseline(directory_.path(), 1); });
  };
  NeuralBaselineConfig other = config();
  other.text_dim = kTextDim + 6;
  save_config(other, directory_ / "config.json");
  refuse(ErrorKind::kCorruptData, "has the shape");
  other = config();
  other.kind = kind() == NeuralBaseline::kClstm ? NeuralBaseline::kHmmved : NeuralBaseline::kClstm;
  save_config(other, directory_ / "config.json");
  refuse(ErrorKind::kCorruptData, "its format is \"mmra-" + std::string(name_of(kind())) + "-1\"");
  save_config(config(), directory_ / "config.json");
  const std::string bytes = read_file(directory_ / "model.safetensors");
  write_file_atomically(directory_ / "model.safetensors", bytes.substr(0, bytes.size() / 2));
  refuse(ErrorKind::kCorruptData, "model.safetensors");
  std::filesystem::remove(directory_ / "model.safetensors");
  refuse(ErrorKind::kNotFound, "model.safetensors");
  std::filesystem::remove(directory_ / "config.json");
  refuse(ErrorKind::kNotFound, "config.json");
}

TEST_P(EachNeuralBaseline, RefusesABatchThatDoesNotFit) {
  const auto network = make_neural_baseline(config(), 1);
  const bank::FeatureTable other = made_table(40, kVisualDim + 1, kTextDim, 4, 6, 1);
  const Batch of_other = made_batch(other, 3, 2, 2);
  expect_error(ErrorKind::kInvalidInput, "of 12 dimensions, the queries have 13",
               [&] { (void)network->predict(of_other); });
  Batch outside = batch_;
  outside.query_rows[0] = 40;
  expect_error(ErrorKind::kInvalidInput, "row 40", [&] { (void)network->predict(outside); });
  std::vector<float> infinite = targets_;
  infinite[3] = INFINITY;
  expect_error(ErrorKind::kInvalidInput, "diverged at step 1",
               [&] { network->train_step(batch_, infinite); });
}

/// Retrieval is not theirs: instances, even none at all, change nothing.
TEST_P(EachNeuralBaseline, DoesNotLookAtInstances) {
  const auto network = make_neural_baseline(config(), 1);
  const std::vector<float> before = network->predict(batch_);
  Batch without = batch_;
  without.memory = nullptr;
  without.k = 0;
  without.instance_rows.clear();
  without.similarities.clear();
  EXPECT_EQ(network->predict(without), before);
}

TEST_P(EachNeuralBaseline, TrainsWithoutAModality) {
  for (const bool visual : {true, false}) {
    NeuralBaselineConfig own = config();
    (visual ? own.without_visual : own.without_text) = true;
    const auto network = make_neural_baseline(own, 1);
    for (int step = 0; step < 3; ++step) network->train_step(batch_, targets_);
    for (const float value : network->predict(batch_)) EXPECT_TRUE(std::isfinite(value));
    network->save(directory_ / "less");
    const SafetensorsFile file(directory_ / "less" / std::string("model.safetensors"));
    for (const auto& [name, unused] : file.tensors()) {
      EXPECT_THAT(name, ::testing::Not(::testing::HasSubstr(visual ? "visual" : "text")));
    }
  }
}

/// A bank without an encoder of a modality, and one whose rows all lack it.
TEST_P(EachNeuralBaseline, TrainsOnTitlesAloneAndOnVideosAlone) {
  for (const bool visual : {true, false}) {
    for (const int dim : {0, 5}) {
      NeuralBaselineConfig own = config();
      (visual ? own.visual_dim : own.text_dim) = dim;
      bank::FeatureTable table(own.visual_dim, own.text_dim);
      for (std::size_t row = 0; row < 12; ++row) {
        const bool other_present =
            (visual ? table_.text_tokens(row) : table_.visual_tokens(row)).num_tokens > 0;
        EXPECT_TRUE(other_present || row == 4 || row == 6 || row == 9);
        table.append(visual ? bank::TokenView{0, dim, {}} : table_.visual_tokens(row),
                     visual ? table_.text_tokens(row) : bank::TokenView{0, dim, {}}, 3.0);
      }
      const Batch batch = made_batch(table, 12, 1, 2);
      const auto network = make_neural_baseline(own, 1);
      for (int step = 0; step < 3; ++step) network->train_step(batch, targets_);
      for (const float value : network->predict(batch)) EXPECT_TRUE(std::isfinite(value));
    }
  }
}

TEST(ProductOfExperts, LeavesOutWhatARowLacksInThePaperVariant) {
  // Where neither video nor title is there, z is the prior's and all rows get the same.
  for (const NeuralBaseline kind : {NeuralBaseline::kMassl, NeuralBaseline::kHmmved}) {
    bank::FeatureTable table(kVisualDim, kTextDim);
    for (int row = 0; row < 2; ++row) testing::append_row(table, 0, {}, 0, {}, 3.0);
    const auto network = make_neural_baseline(small_baseline(kind, Variant::kPaper), 1);
    const std::vector<float> values = network->predict(made_batch(table, 2, 1, 2));
    EXPECT_TRUE(std::isfinite(values[0]));
    EXPECT_EQ(values[0], values[1]);
  }
}

class Transduction : public ::testing::Test {
 protected:
  static NeuralBaselineConfig config(NeuralBaseline kind, Variant variant) {
    NeuralBaselineConfig config = small_baseline(kind, variant);
    config.smoothness = 1.0;
    config.disagreement = 10.0;
    return config;
  }
  std::vector<float> train(const NeuralBaselineConfig& config, const bank::FeatureTable& unlabelled,
                           const std::vector<std::int32_t>& rows) const {
    const auto network = make_neural_baseline(config, 1);
    if (!rows.empty()) network->see_unlabelled(unlabelled, rows);
    for (int step = 0; step < 4; ++step) network->train_step(batch_, targets_);
    return network->predict(batch_);
  }

  bank::FeatureTable table_ = made_table(40, kVisualDim, kTextDim, 4, 6, 1);
  Batch batch_ = made_batch(table_, 12, 2, 2);
  std::vector<float> targets_ = made_targets(12);
};

TEST_F(Transduction, IsTmallsAlone) {
  for (const NeuralBaseline kind : all_neural_baselines()) {
    const NeuralBaselineConfig own = config(kind, Variant::kPaper);
    const bool differs = train(own, table_, {20, 21, 22, 23}) != train(own, table_, {});
    EXPECT_EQ(differs, kind == NeuralBaseline::kTmall) << name_of(kind);
  }
}

TEST_F(Transduction, NeverReadsALabel) {
  bank::FeatureTable secret(kVisualDim, kTextDim);
  for (std::size_t row = 0; row < table_.num_rows(); ++row) {
    secret.append(table_.visual_tokens(row), table_.text_tokens(row), std::nullopt);
  }
  const NeuralBaselineConfig own = config(NeuralBaseline::kTmall, Variant::kPaper);
  EXPECT_EQ(train(own, table_, {20, 21, 22, 23}), train(own, secret, {20, 21, 22, 23}));
}

}  // namespace
}  // namespace mmra::model
