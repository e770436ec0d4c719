#include "mmra/core/float16.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <vector>

namespace mmra {
namespace {

TEST(Float16, EveryHalfSurvivesTheRoundTrip) {
  for (int bits = 0; bits < 0x10000; ++bits) {
    const auto half = static_cast<Float16Bits>(bits);
    const float value = half_to_float(half);
    if (std::isnan(value)) {
      EXPECT_TRUE(std::isnan(half_to_float(float_to_half(value))));
    } else {
      ASSERT_EQ(float_to_half(value), half) << value;
    }
  }
}

TEST(Float16, RoundsToNearestEvenAtTheBoundaries) {
  EXPECT_EQ(float_to_half(65519.0F), 0x7BFF);                    // below the midpoint to 65536
  EXPECT_EQ(float_to_half(65520.0F), 0x7C00);                    // the midpoint goes to infinity
  EXPECT_EQ(float_to_half(1.0F + 0x1p-11F), 0x3C00);             // tie to even: down
  EXPECT_EQ(float_to_half(1.0F + 0x1p-10F + 0x1p-11F), 0x3C02);  // tie to even: up
  EXPECT_EQ(float_to_half(0x1p-25F), 0x0000);                    // half the smallest: tie to zero
  EXPECT_EQ(float_to_half(0x1.8p-25F), 0x0001);
  EXPECT_EQ(float_to_half(-0.0F), 0x8000);
}

TEST(Float16, SpansEqualSingleValues) {
  std::mt19937 random(1);
  std::normal_distribution<float> normal(0.0F, 100.0F);
  std::vector<float> values(1003);
  for (float& value : values) value = normal(random);
  values[5] = std::numeric_limits<float>::infinity();
  values[6] = 1e-6F;
  std::vector<Float16Bits> halves(values.size());
  floats_to_halves(values, halves);
  std::vector<float> back(values.size());
  halves_to_floats(halves, back);
  for (std::size_t i = 0; i < values.size(); ++i) {
    ASSERT_EQ(halves[i], float_to_half(values[i])) << values[i];
    ASSERT_EQ(back[i], half_to_float(halves[i]));
  }
}

}  // namespace
}  // namespace mmra
