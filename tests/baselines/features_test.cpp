#include "mmra/baselines/features.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "expect_error.h"
#include "made_rows.h"

namespace mmra::baselines::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::IsNan;

std::vector<Float16Bits> halves(const std::vector<float>& values) {
  std::vector<Float16Bits> bits;
  for (const float value : values) bits.push_back(float_to_half(value));
  return bits;
}

/// A row of two frames [1 2] [3 4] and two words [10] [20]; one without a title; one without video.
bank::FeatureTable three_rows() {
  bank::FeatureTable table(2, 1);
  const auto frames = halves({1, 2, 3, 4});
  const auto words = halves({10, 20});
  table.append({2, 2, frames}, {2, 1, words}, std::nullopt);
  table.append({2, 2, frames}, {0, 1, {}}, std::nullopt);
  table.append({0, 2, {}}, {2, 1, words}, std::nullopt);
  return table;
}

BaselineConfig config_of_three_rows() {
  BaselineConfig config;
  config.kind = Kind::kSvr;
  config.visual_dim = 2;
  config.text_dim = 1;
  return config;
}

TEST(PooledFeatures, AreTheFirstFrameAndTheMeanOfTheWords) {
  const bank::FeatureTable table = three_rows();
  const FeatureMatrix matrix = pooled_features(rows_of(table, 0, 3, 1), config_of_three_rows());
  ASSERT_EQ(matrix.width, 3U);
  EXPECT_THAT(matrix.row(0), ElementsAre(1, 2, 15));
  EXPECT_THAT(matrix.row(1), ElementsAre(1, 2, IsNan()));
  EXPECT_THAT(matrix.row(2), ElementsAre(IsNan(), IsNan(), 15));
}

TEST(FlattenedFeatures, AreFilledUpAndCutOff) {
  const bank::FeatureTable table = three_rows();
  const model::Batch batch = rows_of(table, 0, 3, 1);
  EXPECT_EQ(most_frames(batch), 2);
  EXPECT_EQ(most_frames(rows_of(table, 2, 3, 1)), 0);
  const FeatureMatrix matrix = flattened_features(batch, config_of_three_rows(), 3);
  EXPECT_THAT(matrix.row(0), ElementsAre(1, 2, 3, 4, IsNan(), IsNan(), 15));
  EXPECT_THAT(flattened_features(batch, config_of_three_rows(), 1).row(0), ElementsAre(1, 2, 15));
  EXPECT_THAT(flattened_features(batch, config_of_three_rows(), 0).row(2), ElementsAre(15));
}

TEST(PooledFeatures, LeaveOutWhatTheConfigLeavesOut) {
  const bank::FeatureTable table = three_rows();
  BaselineConfig config = config_of_three_rows();
  config.without_visual = true;
  EXPECT_THAT(pooled_features(rows_of(table, 0, 1, 1), config).row(0), ElementsAre(15));
  config = config_of_three_rows();
  config.without_text = true;
  EXPECT_THAT(pooled_features(rows_of(table, 0, 1, 1), config).row(0), ElementsAre(1, 2));
}

TEST(PooledFeatures, NeedSomethingToLookAt) {
  bank::FeatureTable table(0, 0);
  table.append({0, 0, {}}, {0, 0, {}}, std::nullopt);
  BaselineConfig config = config_of_three_rows();
  config.visual_dim = 0;
  config.text_dim = 0;
  mmra::testing::expect_error(ErrorKind::kInvalidInput, "svr has no features",
                              [&] { (void)pooled_features(rows_of(table, 0, 1, 1), config); });
}

}  // namespace
}  // namespace mmra::baselines::testing
