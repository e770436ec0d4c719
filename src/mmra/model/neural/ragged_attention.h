#pragma once

#include <ATen/ATen.h>

#include <vector>

#include "mmra/model/neural/tokens.h"

namespace mmra::model::neural {

/// Equations 2 and 3 for every item of a batch and P polarities at once: O_p = softmax(scale_p ·
/// Q_p K_pᵀ) V_p with the item's own rows. `queries` [N_q × P·d] are Q_0 … Q_{P-1} side by side,
/// `keys_values` [N_k × 2P·d] are K_0 … K_{P-1}, V_0 … V_{P-1}; the result [N_q × P·d] is O_0 …
/// O_{P-1}. Differentiable in both. The same for any number of threads and any company in the
/// batch.
[[nodiscard]] at::Tensor ragged_attention(const RaggedTokens& queries,
                                          const RaggedTokens& keys_values,
                                          const std::vector<double>& scales);

/// Σ softmax(scores) x over each item's rows: [N × d] with scores [N] to [B × d]. Differentiable in
/// both.
[[nodiscard]] at::Tensor ragged_softmax_sum(const RaggedTokens& tokens, const at::Tensor& scores);

}  // namespace mmra::model::neural
