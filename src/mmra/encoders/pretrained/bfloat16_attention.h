#pragma once

#include <cstddef>
#include <cstdint>

#include "mmra/encoders/pretrained/rows.h"

// Attention of one head in bfloat16, by AVX-512's product of pairs (vdpbf16ps). What is multiplied
// (queries, keys, values, e^score) is bfloat16; sums and softmax are float32. Only where
// has_bfloat16_products(). Functions neither allocate nor throw and run on the calling thread.

namespace mmra::encoders {

/// One head's part of a sequence: all its keys, and some of its queries.
struct BFloat16Head {
  ConstBFloat16Rows queries;  ///< [num_queries × head_dim]
  ConstBFloat16Rows keys;     ///< [num_keys × head_dim], num_keys ≥ 1
  ConstBFloat16Rows values;   ///< [num_keys × head_dim]
  BFloat16Rows output;        ///< [num_queries × head_dim]
  /// Query i sees this many keys, and `visible_step` · i more (1 where attention is causal, else
  /// 0).
  std::int64_t first_visible = 0;
  std::int64_t visible_step = 0;
};

/// How many floats of scratch attend_head() needs.
[[nodiscard]] std::size_t attend_head_scratch(std::int64_t num_keys,
                                              std::int64_t head_dim) noexcept;

/// output = softmax(scale · Q Kᵀ) V. A query's result does not depend on which others are with it.
void attend_head(const BFloat16Head& head, float scale, float* scratch) noexcept;

}  // namespace mmra::encoders
