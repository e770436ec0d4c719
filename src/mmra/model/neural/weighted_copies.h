#pragma once

#include <ATen/ATen.h>

namespace mmra::model::neural {

/// tanh(w_bl x_b + bias): each row x_b as often as it has weights, [B × L], [B × d] and [d] to [B ×
/// L × d]. Differentiable in all three, in one pass over the result: by LibTorch's operators it is
/// five. The same for any number of threads.
[[nodiscard]] at::Tensor tanh_of_weighted_copies(const at::Tensor& weights, const at::Tensor& x,
                                                 const at::Tensor& bias);

}  // namespace mmra::model::neural
