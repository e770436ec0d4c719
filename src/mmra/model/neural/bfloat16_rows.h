#pragma once

#include <cstdint>

#include "mmra/core/bfloat16.h"

namespace mmra::model::neural {

// Rows of float32 to rows of bfloat16 (its bits, to nearest even) and back, for the processor's
// widest vectors, on LibTorch's threads.

/// What is done to each element of a layer's output.
enum class Activation { kNone, kRelu, kTanh };

/// A block of `columns` of rows that are `stride` elements apart.
template <typename T>
struct RowBlock {
  T* data = nullptr;
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  std::int64_t stride = 0;
};

void round_rows(RowBlock<const float> from, RowBlock<BFloat16Bits> to);
void copy_rows(RowBlock<const BFloat16Bits> from, RowBlock<BFloat16Bits> to);
/// Exact.
void widen_rows(RowBlock<const BFloat16Bits> from, RowBlock<float> to);

/// g = dy · activation'(x) by the layer's output y, rounded; and its sums over the rows, before
/// rounding, added to `column_sums` [columns] unless that is null. The sums are the same for any
/// number of threads. `y` is not looked at without an activation.
void round_gradient(RowBlock<const float> dy, const float* y, Activation activation,
                    RowBlock<BFloat16Bits> to, float* column_sums);

}  // namespace mmra::model::neural
