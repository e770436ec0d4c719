#include "mmra/evaluation/deciles.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "expect_error.h"

namespace mmra::evaluation {
namespace {

using testing::expect_error;

TEST(Deciles, OfThePredictionSayWhatBecameOfThem) {
  std::vector<float> predictions;
  std::vector<float> targets;
  std::vector<double> half_widths;
  for (int i = 99; i >= 0; --i) {  // 100 rows, from the highest prediction down
    predictions.push_back(static_cast<float>(i));
    targets.push_back(static_cast<float>(i % 2 == 0 ? i + 1 : i - 3));
    half_widths.push_back(i < 50 ? 2.0 : 4.0);
  }
  const std::vector<Group> groups = by_prediction_decile(predictions, targets, half_widths);
  ASSERT_EQ(groups.size(), 10U);
  for (std::size_t g = 0; g < 10; ++g) {
    const double first = 10.0 * static_cast<double>(g);
    EXPECT_EQ(groups[g].n, 10U);
    EXPECT_EQ(groups[g].low, first);
    EXPECT_EQ(groups[g].high, first + 9.0);
    EXPECT_DOUBLE_EQ(groups[g].mean_prediction, first + 4.5);
    EXPECT_DOUBLE_EQ(groups[g].mean_target, first + 3.5) << "+1 and −3 by turns";
    EXPECT_DOUBLE_EQ(groups[g].mae, 2.0);
    EXPECT_DOUBLE_EQ(groups[g].mse, 5.0);
    EXPECT_DOUBLE_EQ(groups[g].coverage, g < 5 ? 0.5 : 1.0);
    EXPECT_DOUBLE_EQ(groups[g].mean_width, g < 5 ? 4.0 : 8.0);
  }
}

TEST(Deciles, OfTheLabelAreOrderedByIt) {
  const std::vector<float> targets{5, 1, 4, 2, 3};
  const std::vector<float> predictions{3, 3, 3, 3, 3};
  const std::vector<Group> groups = by_target_decile(predictions, targets);
  ASSERT_EQ(groups.size(), 5U) << "no more groups than rows";
  for (std::size_t g = 0; g < 5; ++g) {
    EXPECT_EQ(groups[g].low, static_cast<double>(g + 1));
    EXPECT_EQ(groups[g].mae, std::abs(2.0 - static_cast<double>(g)));
    EXPECT_EQ(groups[g].coverage, 0.0);
  }
}

TEST(Deciles, KeepEqualValuesTogether) {
  std::vector<float> predictions(40, 1.0F);
  predictions.resize(50, 2.0F);
  const std::vector<float> targets(50, 0.0F);
  const std::vector<Group> groups = by_prediction_decile(predictions, targets, {});
  ASSERT_EQ(groups.size(), 2U);
  EXPECT_EQ(groups[0].n, 40U);
  EXPECT_EQ(groups[1].n, 10U);
  EXPECT_EQ(groups[1].low, 2.0);
}

TEST(Deciles, HoldEveryRowOnce) {
  for (std::size_t n = 1; n < 60; ++n) {
    std::vector<float> values;
    for (std::size_t i = 0; i < n; ++i) values.push_back(static_cast<float>(i * 7 % 13));
    std::size_t total = 0;
    double previous = -std::numeric_limits<double>::infinity();
    for (const Group& group : by_target_decile(values, values)) {
      EXPECT_GT(group.low, previous);
      EXPECT_GE(group.high, group.low);
      previous = group.high;
      total += group.n;
    }
    EXPECT_EQ(total, n);
  }
}

TEST(Deciles, RefuseRowsThatDoNotFit) {
  const std::vector<float> two{1, 2};
  const std::vector<float> three{1, 2, 3};
  const std::vector<double> one{1};
  expect_error(ErrorKind::kInvalidInput, "got 2, 3 and 0",
               [&] { (void)by_target_decile(two, three); });
  expect_error(ErrorKind::kInvalidInput, "got 0, 0 and 0", [&] { (void)by_target_decile({}, {}); });
  expect_error(ErrorKind::kInvalidInput, "got 2, 2 and 1",
               [&] { (void)by_prediction_decile(two, two, one); });
}

}  // namespace
}  // namespace mmra::evaluation
