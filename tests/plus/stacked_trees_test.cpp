#include "mmra/plus/stacked_trees.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "mmra/core/error.h"

namespace mmra::plus::testing {
namespace {

TEST(PairedGain, IsTheMeanDifferenceWithItsError) {
  const std::vector<double> with = {1.0, 2.0, 3.0, 4.0};
  const std::vector<double> without = {2.0, 2.0, 5.0, 5.0};
  const PairedGain gain = paired_gain(with, without);
  EXPECT_DOUBLE_EQ(gain.mean, 1.0);
  EXPECT_NEAR(gain.standard_error, std::sqrt((0.0 + 1.0 + 1.0 + 0.0) / 3.0 / 4.0), 1e-12);
}

TEST(SelectParts, KeepsTheColumnsOfTheParts) {
  const FeatureMatrix features{2, 3, {1, 2, 3, 4, 5, 6}};
  const std::vector<Part> parts = {Part::kKernel, Part::kKeys, Part::kContext};
  Parts kept;
  kept.keys = false;
  const FeatureMatrix selected = select_parts(features, parts, kept);
  EXPECT_EQ(selected.width, 2U);
  EXPECT_EQ(selected.values, (std::vector<float>{1, 3, 4, 6}));
}

struct MadeFeatures {
  FeatureMatrix features{300, 2, {}};
  std::vector<float> targets;
  std::vector<std::int32_t> folds;
};

MadeFeatures make_features(bool signal) {
  std::mt19937 random(5);
  std::normal_distribution<float> normal;
  MadeFeatures made;
  for (int i = 0; i < 300; ++i) {
    made.features.values.push_back(normal(random));
    made.features.values.push_back(normal(random));
    const float value = made.features.values[2 * static_cast<std::size_t>(i)];
    made.targets.push_back((signal ? 2.0F * value : 0.0F) + 0.3F * normal(random));
    made.folds.push_back(i % 10);
  }
  return made;
}

TreeSettings quick() {
  TreeSettings settings;
  settings.max_rounds = 200;
  settings.patience = 20;
  settings.learning_rate = 0.1;
  settings.column_share = 1.0;
  return settings;
}

TEST(CrossValidation, GrowsWhileThereIsSomethingToLearn) {
  SilentProgress silent;
  const MadeFeatures made = make_features(true);
  const CrossValidation signal =
      cross_validate(made.features, made.targets, made.folds, quick(), 1, 1, {}, silent);
  EXPECT_GT(signal.num_rounds, 20);
  EXPECT_LT(signal.mean_squared_error, 0.5) << "the labels' variance is 4";
  const MadeFeatures noise = make_features(false);
  const CrossValidation nothing =
      cross_validate(noise.features, noise.targets, noise.folds, quick(), 1, 1, {}, silent);
  EXPECT_LT(nothing.num_rounds, signal.num_rounds);
  EXPECT_EQ(signal.squared_errors.size(), 300U);
}

TEST(CrossValidation, DoesNotDependOnTheThreadsAndStops) {
  SilentProgress silent;
  const MadeFeatures made = make_features(true);
  const auto run = [&](int threads, const std::stop_token& stop) {
    return cross_validate(made.features, made.targets, made.folds, quick(), 1, threads, stop,
                          silent);
  };
  EXPECT_EQ(run(1, {}).squared_errors, run(3, {}).squared_errors);
  std::stop_source stop;
  stop.request_stop();
  EXPECT_THROW((void)run(2, stop.get_token()), Interrupted);
}

}  // namespace
}  // namespace mmra::plus::testing
