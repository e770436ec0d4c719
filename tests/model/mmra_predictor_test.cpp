#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <fstream>
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
using testing::kInstances;
using testing::kTextDim;
using testing::kVisualDim;
using testing::made_batch;
using testing::made_table;
using testing::made_targets;
using testing::single;
using testing::small_mmra;
using testing::TemporaryDirectory;

class EachVariant : public ::testing::TestWithParam<Variant> {
 protected:
  bank::FeatureTable table_ = made_table(40, kVisualDim, kTextDim, 4, 6, 1);
  Batch batch_ = made_batch(table_, 12, kInstances, 2);
  TemporaryDirectory directory_;

  void expect_to_go_on(Precision precision);
};

INSTANTIATE_TEST_SUITE_P(Mmra, EachVariant, ::testing::Values(Variant::kPaper, Variant::kReleased),
                         [](const auto& each) { return std::string(name_of(each.param)); });

TEST_P(EachVariant, PredictsEveryRowAsIfItWereAlone) {
  const auto network = make_mmra(small_mmra(GetParam()), 2);
  const std::vector<float> together = network->predict(batch_);
  ASSERT_EQ(together.size(), batch_.query_rows.size());
  bool differ = false;
  for (std::size_t i = 0; i < together.size(); ++i) {
    ASSERT_TRUE(std::isfinite(together[i]));
    EXPECT_NEAR(network->predict(single(batch_, i)).at(0), together[i], 2e-5) << "row " << i;
    differ = differ || std::abs(together[i] - together[0]) > 1e-3F;
  }
  EXPECT_TRUE(differ);
}

TEST_P(EachVariant, LearnsABatchByHeart) {
  const auto network = make_mmra(small_mmra(GetParam()), 2);
  const std::vector<float> targets = made_targets(batch_.query_rows.size());
  const double first = network->train_step(batch_, targets);
  double last = first;
  for (int step = 0; step < 300; ++step) last = network->train_step(batch_, targets);
  EXPECT_LT(last, 0.05 * first);
}

TEST_P(EachVariant, ReportsTheLossBeforeTheStepInLog2Units) {
  const auto network = make_mmra(small_mmra(GetParam()), 1);
  const std::vector<float> targets = made_targets(batch_.query_rows.size());
  const std::vector<float> predictions = network->predict(batch_);
  double expected = 0.0;
  for (std::size_t i = 0; i < targets.size(); ++i) {
    expected += std::pow(predictions[i] - targets[i], 2) / static_cast<double>(targets.size());
  }
  EXPECT_NEAR(network->train_step(batch_, targets), expected, 1e-4 * expected);
}

TEST_P(EachVariant, IsDeterministicInItsSeed) {
  MmraConfig config = small_mmra(GetParam());
  config.dropout_input = 0.2;
  config.dropout_hidden = 0.3;
  config.token_dropout = 0.2;
  const std::vector<float> targets = made_targets(batch_.query_rows.size());
  const auto run = [&](std::uint64_t seed) {
    config.seed = seed;
    const auto network = make_mmra(config, 2);
    for (int step = 0; step < 5; ++step) network->train_step(batch_, targets);
    return network->predict(batch_);
  };
  EXPECT_EQ(run(7), run(7));
  EXPECT_NE(run(7), run(8));
}

TEST_P(EachVariant, SavesAndLoadsWhatItPredictsWith) {
  MmraConfig config = small_mmra(GetParam());
  config.ema_decay = 0.9;
  const auto network = make_mmra(config, 2);
  for (int step = 0; step < 5; ++step) {
    network->train_step(batch_, made_targets(batch_.query_rows.size()));
  }
  network->save(directory_.path());
  EXPECT_EQ(load_mmra(directory_.path(), 2)->predict(batch_), network->predict(batch_));
}

TEST_P(EachVariant, GoesOnFromItsTrainingStateBitForBit) { expect_to_go_on(Precision::kFloat32); }

TEST_P(EachVariant, GoesOnFromItsTrainingStateBitForBitInBFloat16) {
  expect_to_go_on(Precision::kBFloat16);
}

void EachVariant::expect_to_go_on(Precision precision) {
  MmraConfig config = small_mmra(GetParam());
  config.precision = precision;
  config.width = 20;
  config.mlp_hidden = {20};
  config.dropout_hidden = 0.3;
  config.token_dropout = 0.2;
  config.ema_decay = 0.99;
  config.weight_decay = 0.1;
  config.gradient_clip = 1.0;
  const std::vector<float> targets = made_targets(batch_.query_rows.size());
  const auto network = make_mmra(config, 1);
  for (int step = 0; step < 3; ++step) network->train_step(batch_, targets);
  network->keep_best();
  const std::vector<float> best = network->predict(batch_);
  for (int step = 0; step < 3; ++step) network->train_step(batch_, targets);
  network->save_training_state(directory_ / "state.safetensors");

  config.seed = 99;  // weights and random state must come from the file
  const auto resumed = make_mmra(config, 1);
  resumed->load_training_state(directory_ / "state.safetensors");
  for (int step = 0; step < 4; ++step) {
    EXPECT_EQ(resumed->train_step(batch_, targets), network->train_step(batch_, targets));
  }
  EXPECT_EQ(resumed->predict(batch_), network->predict(batch_));
  EXPECT_NE(resumed->predict(batch_), best);
  resumed->restore_best();
  EXPECT_EQ(resumed->predict(batch_), best);
}

TEST_P(EachVariant, RefusesAFileOfAnotherNetwork) {
  make_mmra(small_mmra(GetParam()), 1)->save(directory_.path());
  MmraConfig wider = small_mmra(GetParam());
  wider.mlp_hidden = {10};
  save_config(wider, directory_ / "config.json");
  expect_error(ErrorKind::kCorruptData, "has the shape [9",
               [&] { (void)load_mmra(directory_.path(), 1); });
  wider.mlp_hidden = {9, 9};
  save_config(wider, directory_ / "config.json");
  expect_error(ErrorKind::kCorruptData, "tensor \"prediction",
               [&] { (void)load_mmra(directory_.path(), 1); });
}

TEST_P(EachVariant, RefusesAFileWithATensorTooMany) {
  MmraConfig config = small_mmra(GetParam());
  make_mmra(config, 1)->save(directory_.path());
  config.without.retrieval = true;
  make_mmra(config, 1)->save(directory_ / "less");
  std::filesystem::copy_file(directory_ / "model.safetensors",
                             directory_ / "less" / std::string("model.safetensors"),
                             std::filesystem::copy_options::overwrite_existing);
  EXPECT_THROW((void)load_mmra(directory_ / "less", 1), Error);
}

TEST_P(EachVariant, RefusesATruncatedOrMissingFile) {
  make_mmra(small_mmra(GetParam()), 1)->save(directory_.path());
  const std::string bytes = read_file(directory_ / "model.safetensors");
  write_file_atomically(directory_ / "model.safetensors", bytes.substr(0, bytes.size() / 2));
  expect_error(ErrorKind::kCorruptData, "model.safetensors",
               [&] { (void)load_mmra(directory_.path(), 1); });
  std::filesystem::remove(directory_ / "model.safetensors");
  expect_error(ErrorKind::kNotFound, "model.safetensors",
               [&] { (void)load_mmra(directory_.path(), 1); });
  expect_error(ErrorKind::kNotFound, "config.json",
               [&] { (void)load_mmra(directory_ / "nowhere", 1); });
}

TEST_P(EachVariant, RefusesABatchThatDoesNotFit) {
  const auto network = make_mmra(small_mmra(GetParam()), 1);
  const bank::FeatureTable other = made_table(40, kVisualDim + 1, kTextDim, 4, 6, 1);
  const Batch of_other = made_batch(other, 3, kInstances, 2);
  expect_error(ErrorKind::kInvalidInput, "of 12 dimensions, the queries have 13",
               [&] { (void)network->predict(of_other); });
  Batch outside = batch_;
  outside.instance_rows[0] = 40;
  expect_error(ErrorKind::kInvalidInput, "row 40", [&] { (void)network->predict(outside); });
  Batch short_of_instances = batch_;
  short_of_instances.instance_rows.pop_back();
  expect_error(ErrorKind::kInvalidInput, "got 47 and 48",
               [&] { (void)network->predict(short_of_instances); });
  expect_error(ErrorKind::kInvalidInput, "1 targets", [&] { network->train_step(batch_, {1.0F}); });
}

TEST_P(EachVariant, SaysSoWhereItDiverges) {
  const auto network = make_mmra(small_mmra(GetParam()), 1);
  std::vector<float> targets = made_targets(batch_.query_rows.size());
  const std::vector<float> before = network->predict(batch_);
  targets[3] = INFINITY;
  expect_error(ErrorKind::kInvalidInput, "diverged at step 1",
               [&] { network->train_step(batch_, targets); });
  EXPECT_EQ(network->predict(batch_), before);
}

/// Everything that Table 3 leaves out, and pairs of it.
class EachAblation : public ::testing::TestWithParam<std::tuple<Variant, int>> {};

INSTANTIATE_TEST_SUITE_P(Mmra, EachAblation,
                         ::testing::Combine(::testing::Values(Variant::kPaper, Variant::kReleased),
                                            ::testing::Range(0, 32)));

TEST_P(EachAblation, TrainsAndPredictsWithoutParts) {
  const auto [variant, bits] = GetParam();
  MmraConfig config = small_mmra(variant);
  config.without = {(bits & 1) != 0, (bits & 2) != 0, (bits & 4) != 0, (bits & 8) != 0,
                    (bits & 16) != 0};
  if (config.without.visual && config.without.text) {
    expect_error(ErrorKind::kInvalidInput, "no input", [&] { (void)make_mmra(config, 1); });
    return;
  }
  const bank::FeatureTable table = made_table(40, kVisualDim, kTextDim, 4, 6, 1);
  const Batch batch = made_batch(table, 12, kInstances, 2);
  const auto network = make_mmra(config, 1);
  const std::vector<float> targets = made_targets(12);
  const double first = network->train_step(batch, targets);
  double last = first;
  for (int step = 0; step < 40; ++step) last = network->train_step(batch, targets);
  EXPECT_LT(last, first);
  for (const float value : network->predict(batch)) EXPECT_TRUE(std::isfinite(value));
}

TEST(MmraWithout, ChangesTheWeightsThatThereAre) {
  const TemporaryDirectory directory;
  const auto names = [&](const Without& without) {
    MmraConfig config = small_mmra(Variant::kPaper);
    config.without = without;
    make_mmra(config, 1)->save(directory.path());
    std::string all;
    const SafetensorsFile file(directory / "model.safetensors");
    for (const auto& [name, tensor] : file.tensors()) all += name + "\n";
    return all;
  };
  using ::testing::HasSubstr;
  using ::testing::Not;
  EXPECT_THAT(names({}), ::testing::AllOf(HasSubstr("positive_text"), HasSubstr("negative_visual"),
                                          HasSubstr("retrieved_"), HasSubstr("input_visual"),
                                          HasSubstr("label.weight")));
  Without without;
  without.retrieval = true;
  EXPECT_THAT(names(without),
              ::testing::AllOf(Not(HasSubstr("retrieved_")), Not(HasSubstr("label")),
                               Not(HasSubstr("no_instance"))));
  without = {};
  without.positive_attention = true;
  EXPECT_THAT(names(without),
              ::testing::AllOf(Not(HasSubstr("positive")), HasSubstr("negative_text")));
  without = {};
  without.negative_attention = true;
  EXPECT_THAT(names(without),
              ::testing::AllOf(HasSubstr("positive_text"), Not(HasSubstr("negative"))));
  without = {};
  without.visual = true;
  EXPECT_THAT(names(without), ::testing::AllOf(Not(HasSubstr("visual")), HasSubstr("input_text")));
  without = {};
  without.text = true;
  EXPECT_THAT(names(without), ::testing::AllOf(Not(HasSubstr("text")), HasSubstr("input_visual")));
}

TEST(MmraOfABankWithoutAnEncoder, UsesTheAbsentTokenForEveryRow) {
  MmraConfig config = small_mmra(Variant::kPaper);
  config.visual_dim = 0;
  std::mt19937 random(3);
  bank::FeatureTable table(0, kTextDim);
  for (int row = 0; row < 10; ++row) {
    testing::append_row(table, 0, {}, 3, testing::made_tokens(random, 3, kTextDim), 8.0);
  }
  const Batch batch = made_batch(table, 4, kInstances, 1);
  const auto network = make_mmra(config, 1);
  EXPECT_GT(network->train_step(batch, {1, 2, 3, 4}), 0.0);
  for (const float value : network->predict(batch)) EXPECT_TRUE(std::isfinite(value));
}

TEST(MmraPadding, NeverMatters) {
  // The same rows beside a row with far longer items: more padding, the same predictions.
  for (const Variant variant : {Variant::kPaper, Variant::kReleased}) {
    std::mt19937 random(5);
    bank::FeatureTable table = made_table(40, kVisualDim, kTextDim, 4, 6, 1);
    testing::append_row(table, 9, testing::made_tokens(random, 9, kVisualDim), 30,
                        testing::made_tokens(random, 30, kTextDim), 3.0);
    Batch batch = made_batch(table, 6, kInstances, 2);
    for (std::int32_t& row : batch.instance_rows) row = row == 40 ? 0 : row;
    const auto network = make_mmra(small_mmra(variant), 1);
    const std::vector<float> alone = network->predict(batch);
    batch.query_rows.push_back(40);
    batch.instance_rows.insert(batch.instance_rows.end(), kInstances, 40);
    batch.similarities.insert(batch.similarities.end(), kInstances, 0.5F);
    const std::vector<float> padded = network->predict(batch);
    for (std::size_t i = 0; i < alone.size(); ++i) EXPECT_NEAR(padded[i], alone[i], 2e-5);
  }
}

}  // namespace
}  // namespace mmra::model
