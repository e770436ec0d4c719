#include "mmra/plus/neighbours.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>

namespace mmra::plus::testing {
namespace {

std::vector<std::size_t> rows_of(const std::vector<Neighbour>& neighbours) {
  std::vector<std::size_t> rows;
  rows.reserve(neighbours.size());
  for (const Neighbour& neighbour : neighbours) rows.push_back(neighbour.row);
  return rows;
}

TEST(Nearest, AreTheBestThatAreAdmittedTiesByRow) {
  const std::vector<float> similarities = {0.5F, 0.9F, 0.5F, 0.1F, 0.9F, 0.5F};
  const auto all = [](std::size_t) { return true; };
  EXPECT_EQ(rows_of(nearest(similarities, 4, all)), (std::vector<std::size_t>{1, 4, 0, 2}));
  EXPECT_EQ(rows_of(nearest(similarities, 10, all)), (std::vector<std::size_t>{1, 4, 0, 2, 5, 3}));
  const auto but_the_best = [](std::size_t row) { return row != 1; };
  EXPECT_EQ(rows_of(nearest(similarities, 2, but_the_best)), (std::vector<std::size_t>{4, 0}));
  EXPECT_TRUE(nearest(similarities, 2, [](std::size_t) { return false; }).empty());
}

TEST(NeighbourStatistics, AreMissingWhereThereIsNone) {
  std::array<float, kNeighbourWidth> values{};
  neighbour_statistics({}, {}, 3.0, values);
  for (const float value : values) EXPECT_TRUE(std::isnan(value));
}

TEST(NeighbourStatistics, OfOneNeighbourAreItsLabel) {
  const std::vector<Neighbour> one = {{3, 0.8F}};
  const std::vector<float> label = {7.0F};
  std::array<float, kNeighbourWidth> values{};
  neighbour_statistics(one, label, 3.0, values);
  for (std::size_t i = 0; i < 3; ++i) EXPECT_FLOAT_EQ(values[i], 0.8F);
  for (std::size_t i = 3; i < 7; ++i) EXPECT_FLOAT_EQ(values[i], 7.0F);
  EXPECT_FLOAT_EQ(values[7], 0.0F);
  EXPECT_FLOAT_EQ(values[8], 1.0F);
  for (std::size_t i = 9; i < 14; ++i) EXPECT_FLOAT_EQ(values[i], 7.0F);
  const double z = std::pow(0.8, 4);
  EXPECT_NEAR(values[14], 4.0 * z / (z + 0.05), 1e-5);
}

TEST(NeighbourWeights, SumToOneAndFollowTheSimilarity) {
  const std::vector<Neighbour> three = {{0, 0.9F}, {1, 0.8F}, {2, 0.2F}};
  const auto weights = neighbour_weights(three, 2);
  ASSERT_EQ(weights.size(), 2U);
  EXPECT_NEAR(weights[0] + weights[1], 1.0, 1e-12);
  EXPECT_NEAR(weights[0] / weights[1], std::exp(kNeighbourScale * (0.9F - 0.8F)), 1e-4);
}

}  // namespace
}  // namespace mmra::plus::testing
