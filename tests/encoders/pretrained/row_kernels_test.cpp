#include "mmra/encoders/pretrained/row_kernels.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "made_model.h"

namespace mmra::encoders {
namespace {

using testing::made_floats;

constexpr std::size_t kLargestRow = 70;  // beyond four vectors of the widest kind

TEST(RowKernels, LayerNormOfEverySize) {
  for (std::size_t size = 1; size <= kLargestRow; ++size) {
    auto x = made_floats(size, 1);
    for (float& value : x) value = value * 3.0F + 100.0F;  // a mean far from zero
    const auto weight = made_floats(size, 2);
    const auto bias = made_floats(size, 3);
    double mean = 0.0;
    for (const float value : x) mean += value;
    mean /= static_cast<double>(size);
    double variance = 0.0;
    for (const float value : x) variance += (value - mean) * (value - mean);
    variance /= static_cast<double>(size);
    std::vector<float> y(size + 1, 7.0F);
    layer_norm_row(x.data(), weight.data(), bias.data(), 1e-3F, y.data(),
                   static_cast<std::int64_t>(size));
    for (std::size_t i = 0; i < size; ++i) {
      EXPECT_NEAR(y[i], (x[i] - mean) / std::sqrt(variance + 1e-3) * weight[i] + bias[i], 1e-4)
          << size;
    }
    EXPECT_EQ(y[size], 7.0F) << "wrote beyond the row";
  }
}

TEST(RowKernels, SoftmaxOfEverySize) {
  for (std::size_t size = 1; size <= kLargestRow; ++size) {
    auto x = made_floats(size, 4);
    for (float& value : x) value *= 40.0F;
    double total = 0.0;
    double largest = -1e30;
    for (const float value : x) largest = std::max(largest, static_cast<double>(value));
    for (const float value : x) total += std::exp((value - largest) * 0.7);
    auto y = x;
    y.push_back(7.0F);
    softmax_row(y.data(), 0.7F, static_cast<std::int64_t>(size));
    for (std::size_t i = 0; i < size; ++i) {
      const double expected = std::exp((x[i] - largest) * 0.7) / total;
      EXPECT_NEAR(y[i], expected, 4e-6 * expected + 1e-37) << size;
    }
    EXPECT_EQ(y[size], 7.0F) << "wrote beyond the row";
  }
}

TEST(RowKernels, SoftmaxOfExtremes) {
  std::vector<float> x(19, -3e38F);
  x[17] = 1e30F;
  softmax_row(x.data(), 1.0F, 19);
  EXPECT_EQ(x[17], 1.0F);
  EXPECT_EQ(x[0], 0.0F);
  std::vector<float> equal(19, -1e30F);
  softmax_row(equal.data(), 1.0F, 19);
  for (const float value : equal) EXPECT_NEAR(value, 1.0 / 19.0, 1e-7);
}

TEST(RowKernels, DotAndAddScaledOfEverySize) {
  for (std::size_t size = 1; size <= kLargestRow; ++size) {
    const auto a = made_floats(size, 5);
    const auto b = made_floats(size, 6);
    double expected = 0.0;
    for (std::size_t i = 0; i < size; ++i) expected += static_cast<double>(a[i]) * b[i];
    EXPECT_NEAR(dot(a.data(), b.data(), static_cast<std::int64_t>(size)), expected, 1e-5);
    auto y = b;
    y.push_back(7.0F);
    add_scaled(y.data(), a.data(), -2.5F, static_cast<std::int64_t>(size));
    for (std::size_t i = 0; i < size; ++i) EXPECT_NEAR(y[i], b[i] - 2.5F * a[i], 1e-6);
    EXPECT_EQ(y[size], 7.0F) << "wrote beyond the row";
  }
}

}  // namespace
}  // namespace mmra::encoders
