#include "mmra/model/neural/bfloat16_rows.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <vector>

#include "mmra/core/vectorised.h"

namespace mmra::model::neural {
namespace {

/// Rows that one thread sums up, whatever the number of threads.
constexpr std::int64_t kRowsOfSum = 64;

MMRA_VECTORISED void add_range(const float* __restrict x, float* __restrict sums,
                               std::int64_t size) {
  for (std::int64_t i = 0; i < size; ++i) sums[i] += x[i];
}

MMRA_VECTORISED void relu_gradient(const float* __restrict dy, const float* __restrict y,
                                   float* __restrict g, std::int64_t size) {
  for (std::int64_t i = 0; i < size; ++i) g[i] = y[i] > 0.0F ? dy[i] : 0.0F;
}

MMRA_VECTORISED void tanh_gradient(const float* __restrict dy, const float* __restrict y,
                                   float* __restrict g, std::int64_t size) {
  for (std::int64_t i = 0; i < size; ++i) g[i] = dy[i] * (1.0F - y[i] * y[i]);
}

/// Calls `body` for ranges of rows, large enough to be worth a thread.
template <typename Body>
void for_rows(std::int64_t rows, std::int64_t columns, const Body& body) {
  constexpr std::int64_t kElements = 1 << 16;
  at::parallel_for(0, rows, kElements / std::max<std::int64_t>(1, columns) + 1, body);
}

}  // namespace

void round_rows(RowBlock<const float> from, RowBlock<BFloat16Bits> to) {
  for_rows(from.rows, from.columns, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t r = first; r < last; ++r) {
      round_to_bfloat16(from.data + r * from.stride, to.data + r * to.stride, from.columns);
    }
  });
}

void copy_rows(RowBlock<const BFloat16Bits> from, RowBlock<BFloat16Bits> to) {
  for_rows(from.rows, from.columns, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t r = first; r < last; ++r) {
      std::copy_n(from.data + r * from.stride, from.columns, to.data + r * to.stride);
    }
  });
}

void widen_rows(RowBlock<const BFloat16Bits> from, RowBlock<float> to) {
  for_rows(from.rows, from.columns, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t r = first; r < last; ++r) {
      widen_bfloat16(from.data + r * from.stride, to.data + r * to.stride, from.columns);
    }
  });
}

void round_gradient(RowBlock<const float> dy, const float* y, Activation activation,
                    RowBlock<BFloat16Bits> to, float* column_sums) {
  const std::int64_t width = dy.columns;
  const std::int64_t num_parts = (dy.rows + kRowsOfSum - 1) / kRowsOfSum;
  std::vector<float> sums(column_sums == nullptr ? 0 : num_parts * width, 0.0F);
  constexpr std::int64_t kElements = 1 << 15;
  const std::int64_t grain = kElements / std::max<std::int64_t>(1, kRowsOfSum * width) + 1;
  at::parallel_for(0, num_parts, grain, [&](std::int64_t first, std::int64_t last) {
    std::vector<float> row(static_cast<std::size_t>(width));
    for (std::int64_t part = first; part < last; ++part) {
      const std::int64_t end = std::min(dy.rows, (part + 1) * kRowsOfSum);
      for (std::int64_t r = part * kRowsOfSum; r < end; ++r) {
        const float* gradient = dy.data + r * dy.stride;
        if (activation != Activation::kNone) {
          const auto by = activation == Activation::kRelu ? relu_gradient : tanh_gradient;
          by(gradient, y + r * width, row.data(), width);
          gradient = row.data();
        }
        round_to_bfloat16(gradient, to.data + r * to.stride, width);
        if (column_sums != nullptr) add_range(gradient, sums.data() + part * width, width);
      }
    }
  });
  if (column_sums == nullptr) return;
  for (std::int64_t part = 0; part < num_parts; ++part) {
    add_range(sums.data() + part * width, column_sums, width);
  }
}

}  // namespace mmra::model::neural
