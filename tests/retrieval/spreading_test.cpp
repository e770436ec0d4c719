#include "mmra/retrieval/spreading.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "retrieval/memory_table.h"

namespace mmra::retrieval {
namespace {

using testing::random_unit_vector;

std::vector<float> spread(const Spreading& spreading, std::span<const float> vector) {
  std::vector<float> to(vector.size());
  spreading.apply(vector, to);
  return to;
}

double inner_product(std::span<const float> a, std::span<const float> b) {
  double sum = 0.0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += static_cast<double>(a[i]) * b[i];
  return sum;
}

double peak_of(std::span<const float> vector) {
  float peak = 0.0F;
  for (const float value : vector) peak = std::max(peak, std::abs(value));
  return peak * std::sqrt(static_cast<double>(vector.size()) / inner_product(vector, vector));
}

TEST(Spreading, KeepsInnerProductsToWithinItsBound) {
  std::mt19937 random(2);
  for (const int dim : {1, 2, 3, 7, 64, 100, 384, 1023, 1024, 1088}) {
    const Spreading spreading(static_cast<std::size_t>(dim));
    EXPECT_LT(spreading.error(), 1e-5);
    for (int i = 0; i < 20; ++i) {
      const auto a = random_unit_vector(dim, random);
      auto b = random_unit_vector(dim, random);
      for (float& value : b) value *= 3.0F;
      EXPECT_LE(
          std::abs(inner_product(spread(spreading, a), spread(spreading, b)) - inner_product(a, b)),
          3.0 * spreading.error())
          << dim;
    }
  }
}

TEST(Spreading, LeavesNoComponentMuchLargerThanTheOthers) {
  std::mt19937 random(3);
  for (const std::size_t dim : {384U, 1024U, 1088U}) {
    const Spreading spreading(dim);
    for (int i = 0; i < 50; ++i) {
      // One alone, all alike, and a few of many.
      std::vector<float> vector(dim, 0.0F);
      vector[random() % dim] = 1.0F;
      if (i % 3 == 1) std::fill(vector.begin(), vector.end(), 1.0F);
      for (int j = 0; i % 3 == 2 && j < 8; ++j) vector[random() % dim] = -0.5F;
      const double before = peak_of(vector);
      const double after = peak_of(spread(spreading, vector));
      EXPECT_LT(after, 6.0) << dim << ", before " << before;
    }
  }
}

TEST(Spreading, IsWorthItForVectorsOfAFewLargeComponents) {
  std::mt19937 random(5);
  std::vector<float> alike;
  std::vector<float> peaked;
  std::vector<float> zeros(100 * 256, 0.0F);
  for (int i = 0; i < 100; ++i) {
    auto vector = random_unit_vector(256, random);
    alike.insert(alike.end(), vector.begin(), vector.end());
    vector[random() % 256] = 2.0F;
    peaked.insert(peaked.end(), vector.begin(), vector.end());
  }
  EXPECT_FALSE(Spreading::is_worth_it(alike, 256));
  EXPECT_TRUE(Spreading::is_worth_it(peaked, 256));
  EXPECT_FALSE(Spreading::is_worth_it(zeros, 256));
  EXPECT_FALSE(Spreading::is_worth_it({}, 256));
}

}  // namespace
}  // namespace mmra::retrieval
