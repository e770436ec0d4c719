#include "mmra/retrieval/spreading.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <random>

#include "mmra/core/vectorised.h"

namespace mmra::retrieval {
namespace {

// So many vectors say how those of a table are.
constexpr std::size_t kSampled = 256;
// The largest component over what all would be if they were alike: 3 to 3.5 of normal ones, in some
// hundreds to thousands of dimensions. Codes are off in proportion to it.
constexpr double kPeakWorthRotating = 5.0;

/// In place and not scaled: values [size], a power of two.
MMRA_VECTORISED void transform(float* values, std::size_t size) {
  for (std::size_t half = 1; half < size; half *= 2) {
    for (std::size_t begin = 0; begin < size; begin += 2 * half) {
      for (std::size_t i = begin; i < begin + half; ++i) {
        const float a = values[i];
        const float b = values[i + half];
        values[i] = a + b;
        values[i + half] = a - b;
      }
    }
  }
}

void rotate(std::span<float> part, std::span<const float> factors) {
  for (std::size_t i = 0; i < part.size(); ++i) part[i] *= factors[i];
  transform(part.data(), part.size());
}

/// Plus or minus what makes the transform one that keeps lengths.
std::vector<float> drawn_factors(std::size_t size, std::mt19937& random) {
  const auto scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(size)));
  std::vector<float> factors(size);
  for (float& factor : factors) factor = random() % 2 == 0 ? scale : -scale;
  return factors;
}

}  // namespace

Spreading::Spreading(std::size_t dim) : dim_(dim), length_(std::bit_floor(dim)) {
  std::mt19937 random(1);
  of_the_first_ = drawn_factors(length_, random);
  if (length_ < dim_) of_the_last_ = drawn_factors(length_, random);
  // The factors are rounded, so are the products with them and the sums of each step: each changes
  // a vector by a part of its length in 2²⁴ at most.
  const int num_roundings = static_cast<int>(std::bit_width(length_)) + 2;
  const double of_a_vector = (length_ < dim_ ? 2 : 1) * num_roundings * 0x1.0p-24 * 1.01;
  error_ = 2.0 * of_a_vector + of_a_vector * of_a_vector;
}

void Spreading::apply(std::span<const float> vector, std::span<float> to) const {
  std::copy(vector.begin(), vector.end(), to.begin());
  if (length_ == 0) return;
  rotate(to.first(length_), of_the_first_);
  if (length_ < dim_) rotate(to.last(length_), of_the_last_);
}

bool Spreading::is_worth_it(std::span<const float> vectors, std::size_t dim) {
  const std::size_t num_vectors = dim == 0 ? 0 : vectors.size() / dim;
  const std::size_t num_sampled = std::min(num_vectors, kSampled);
  double sum = 0.0;
  std::size_t num_counted = 0;
  for (std::size_t i = 0; i < num_sampled; ++i) {
    const auto vector = vectors.subspan(i * num_vectors / num_sampled * dim, dim);
    double squares = 0.0;
    double peak = 0.0;
    for (const float value : vector) {
      squares += static_cast<double>(value) * value;
      peak = std::max(peak, static_cast<double>(std::abs(value)));
    }
    if (squares == 0.0) continue;
    sum += peak * std::sqrt(static_cast<double>(dim) / squares);
    ++num_counted;
  }
  return sum > kPeakWorthRotating * static_cast<double>(num_counted);
}

}  // namespace mmra::retrieval
