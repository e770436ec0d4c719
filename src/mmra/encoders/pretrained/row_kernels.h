#pragma once

#include <cstdint>

// Loops over a row of float32, for the processor's widest vectors (AVX-512, AVX2 with FMA, or the
// baseline), chosen at run time. They neither allocate nor throw and run on the calling thread.

namespace mmra::encoders {

/// y = (x − mean) / √(variance + epsilon) · weight + bias, the variance that of the population.
/// `y` may be `x`.
void layer_norm_row(const float* x, const float* weight, const float* bias, float epsilon, float* y,
                    std::int64_t size) noexcept;

/// x ← softmax(scale · x); size ≥ 1.
void softmax_row(float* x, float scale, std::int64_t size) noexcept;

[[nodiscard]] float dot(const float* a, const float* b, std::int64_t size) noexcept;

/// y ← y + factor · x.
void add_scaled(float* y, const float* x, float factor, std::int64_t size) noexcept;

}  // namespace mmra::encoders
