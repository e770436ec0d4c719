#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "mmra/core/float16.h"

namespace mmra {

/// Tokens of one modality of one item, row-major [num_tokens × dim], float32. Empty (0 tokens)
/// where the modality is missing; `dim` is then still the encoder's.
struct TokenMatrix {
  int num_tokens = 0;
  int dim = 0;
  std::vector<float> values;

  [[nodiscard]] std::span<const float> token(int index) const {
    return {values.data() + static_cast<std::size_t>(index) * dim, static_cast<std::size_t>(dim)};
  }
};

/// The same, as stored: float16 bits, row-major [num_tokens × dim].
struct HalfTokenMatrix {
  int num_tokens = 0;
  int dim = 0;
  std::vector<Float16Bits> values;
};

[[nodiscard]] inline HalfTokenMatrix to_half(const TokenMatrix& tokens) {
  HalfTokenMatrix half{tokens.num_tokens, tokens.dim, {}};
  half.values.resize(tokens.values.size());
  floats_to_halves(tokens.values, half.values);
  return half;
}

}  // namespace mmra
