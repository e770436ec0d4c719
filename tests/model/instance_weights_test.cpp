#include "mmra/model/instance_weights.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <vector>

namespace mmra::model {
namespace {

using ::testing::DoubleEq;
using ::testing::DoubleNear;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(InstanceWeights, AreTheSoftmaxOfTheScaledSimilarities) {
  const std::vector<std::int32_t> rows{7, 3, 9};
  const std::vector<float> similarities{0.5F, 0.25F, -1.0F};
  for (const double scale : {0.0, 1.0, 8.0}) {
    const double a = std::exp(scale * 0.5);
    const double b = std::exp(scale * 0.25);
    const double c = std::exp(scale * -1.0);
    EXPECT_THAT(instance_weights(rows, similarities, 3, scale),
                ElementsAre(DoubleNear(a / (a + b + c), 1e-15), DoubleNear(b / (a + b + c), 1e-15),
                            DoubleNear(c / (a + b + c), 1e-15)));
  }
}

TEST(InstanceWeights, OfEachQueryAreItsOwn) {
  EXPECT_THAT(instance_weights(std::vector<std::int32_t>{0, 1, 2, 3},
                               std::vector<float>{0.0F, 0.0F, 1.0F, 1.0F}, 2, 1.0),
              ElementsAre(DoubleEq(0.5), DoubleEq(0.5), DoubleEq(0.5), DoubleEq(0.5)));
}

TEST(InstanceWeights, LeaveOutInstancesThatDoNotExist) {
  // Whatever similarity stands beside a missing one.
  const std::vector<double> weights = instance_weights(
      std::vector<std::int32_t>{-1, 4, 5}, std::vector<float>{100.0F, 0.3F, 0.3F}, 3, 1.0);
  EXPECT_THAT(weights, ElementsAre(0.0, DoubleEq(0.5), DoubleEq(0.5)));
}

TEST(InstanceWeights, AreZeroWhereThereIsNoInstance) {
  EXPECT_THAT(instance_weights(std::vector<std::int32_t>{-1, -1, 2, -1},
                               std::vector<float>{0.0F, 0.9F, 0.1F, 0.0F}, 2, 1.0),
              ElementsAre(0.0, 0.0, 1.0, 0.0));
  EXPECT_THAT(instance_weights({}, {}, 0, 1.0), IsEmpty());
}

TEST(InstanceWeights, StayFiniteUnderALargeScale) {
  EXPECT_THAT(
      instance_weights(std::vector<std::int32_t>{0, 1}, std::vector<float>{1.0F, 0.999F}, 2, 1e6),
      ElementsAre(1.0, 0.0));
  EXPECT_THAT(
      instance_weights(std::vector<std::int32_t>{0, 1}, std::vector<float>{-1.0F, -1.0F}, 2, 1e6),
      ElementsAre(0.5, 0.5));
}

TEST(InstanceWeights, SumToOne) {
  std::vector<std::int32_t> rows;
  std::vector<float> similarities;
  for (int i = 0; i < 60; ++i) {
    rows.push_back(i % 7 == 0 ? -1 : i);
    similarities.push_back(std::sin(static_cast<float>(i)));
  }
  const std::vector<double> weights = instance_weights(rows, similarities, 10, 3.0);
  for (std::size_t query = 0; query < 6; ++query) {
    double sum = 0.0;
    for (std::size_t j = 0; j < 10; ++j) sum += weights[query * 10 + j];
    EXPECT_NEAR(sum, 1.0, 1e-14);
  }
}

}  // namespace
}  // namespace mmra::model
