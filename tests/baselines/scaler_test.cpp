#include "mmra/baselines/scaler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "expect_error.h"
#include "test_files.h"

namespace mmra::baselines {
namespace {

using ::testing::ElementsAre;
using testing::expect_error;
using ::testing::FloatNear;

constexpr float kMissing = std::numeric_limits<float>::quiet_NaN();

TEST(Scaler, StandardisesEachColumnOverTheRowsThatHaveIt) {
  FeatureMatrix matrix{4, 3, {1, 7, kMissing, 3, 7, kMissing, 5, 7, kMissing, kMissing, 7, 2}};
  const Scaler scaler = Scaler::fit(matrix);
  scaler.apply(matrix);
  const float unit = std::sqrt(1.5F);  // of 1, 3, 5: mean 3, standard deviation √(8/3)
  EXPECT_THAT(matrix.row(0), ElementsAre(FloatNear(-unit, 1e-6F), 0, 0));
  EXPECT_THAT(matrix.row(2), ElementsAre(FloatNear(unit, 1e-6F), 0, 0));
  EXPECT_THAT(matrix.row(3), ElementsAre(0, 0, 0)) << "missing is the mean; one value is no spread";
}

TEST(Scaler, AColumnThatNobodyHasIsZero) {
  FeatureMatrix matrix{1, 1, {kMissing}};
  const Scaler scaler = Scaler::fit(matrix);
  FeatureMatrix other{1, 1, {3}};
  scaler.apply(other);
  EXPECT_EQ(other.values[0], 3.0F);
}

TEST(Scaler, AConstantWithRoundingIsNotBlownUp) {
  FeatureMatrix matrix{3, 1, {0.1F, 0.1F, 0.1F}};
  const Scaler scaler = Scaler::fit(matrix);
  scaler.apply(matrix);
  for (const float value : matrix.values) EXPECT_LT(std::abs(value), 1e-6F);
}

TEST(Scaler, ComesBackFromAFileAndRefusesWhatIsNoScale) {
  const testing::TemporaryDirectory directory;
  FeatureMatrix matrix{3, 2, {1, 2, 3, 5, 9, 4}};
  const Scaler scaler = Scaler::fit(matrix);
  std::vector<NamedTensor> tensors;
  scaler.append_to(tensors);
  write_safetensors(directory / "s", tensors);
  const SafetensorsFile file(directory / "s");
  FeatureMatrix again = matrix;
  Scaler::read(file, 2).apply(again);
  scaler.apply(matrix);
  EXPECT_EQ(again.values, matrix.values);
  expect_error(ErrorKind::kCorruptData, "scaler.mean", [&] { (void)Scaler::read(file, 3); });

  for (const float scale : {0.0F, -1.0F, kMissing}) {
    const std::vector<float> mean = {0.0F};
    const std::vector<float> scales = {scale};
    const std::vector<NamedTensor> wrong = {float_tensor("scaler.mean", mean),
                                            float_tensor("scaler.scale", scales)};
    write_safetensors(directory / "w", wrong);
    expect_error(ErrorKind::kCorruptData, "scaler.scale",
                 [&] { (void)Scaler::read(SafetensorsFile(directory / "w"), 1); });
  }
}

TEST(Scaler, RefusesRowsOfAnotherWidth) {
  FeatureMatrix matrix{1, 2, {1, 2}};
  FeatureMatrix other{1, 3, {1, 2, 3}};
  expect_error(ErrorKind::kInvalidInput, "fitted on 2", [&] { Scaler::fit(matrix).apply(other); });
}

}  // namespace
}  // namespace mmra::baselines
