#pragma once

#include <cstdint>

#include "mmra/model/neural/bfloat16_rows.h"

namespace mmra::model::neural {

/// A matrix of bfloat16 somewhere in memory, row-major or, with `transposed`, the transpose of one
/// that is. `stride`: elements from one row of the row-major one to the next.
struct BFloat16Matrix {
  const BFloat16Bits* data = nullptr;
  std::int64_t rows = 0;  ///< as it is multiplied
  std::int64_t columns = 0;
  std::int64_t stride = 0;
  bool transposed = false;
};

/// c = activation(a b + bias), c [a.rows × b.columns] of float32, its rows `c_stride` apart; `bias`
/// [b.columns] or null. Sums are float32. By oneDNN, which makes a program for each shape that it
/// sees first: shapes should be few. Where the processor has no bfloat16 products, factors are
/// widened and multiplied as float32. On LibTorch's threads. Throws Error{kInternal} where oneDNN
/// fails.
void multiply(const BFloat16Matrix& a, const BFloat16Matrix& b, const float* bias,
              Activation activation, float* c, std::int64_t c_stride);

/// The same without the processor's products.
void multiply_widened(const BFloat16Matrix& a, const BFloat16Matrix& b, const float* bias,
                      Activation activation, float* c, std::int64_t c_stride);

}  // namespace mmra::model::neural
