#pragma once

#include <ATen/ATen.h>

namespace mmra::model::neural {

/// L − factor · R of a matrix [L, R], [rows × 2d] to [rows × d]. Differentiable, in one pass each
/// way: with slices, LibTorch's gradient of a large weight is several copies of it.
[[nodiscard]] at::Tensor left_minus_right(const at::Tensor& matrix, double factor);

}  // namespace mmra::model::neural
