#include "mmra/model/neural/matrix_halves.h"

#include <ATen/Dispatch.h>
#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>

namespace mmra::model::neural {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::tensor_list;

/// Rows that are worth a thread.
std::int64_t grain(std::int64_t columns) {
  return at::internal::GRAIN_SIZE / std::max<std::int64_t>(1, columns) + 1;
}

class LeftMinusRight : public torch::autograd::Function<LeftMinusRight> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& matrix, double factor) {
    const at::Tensor both = matrix.contiguous();
    const std::int64_t d = both.size(1) / 2;
    at::Tensor result = at::empty({both.size(0), d}, both.options().requires_grad(false));
    AT_DISPATCH_FLOATING_TYPES(both.scalar_type(), "left_minus_right", [&] {
      const auto* from = both.data_ptr<scalar_t>();
      auto* to = result.data_ptr<scalar_t>();
      const auto by = static_cast<scalar_t>(factor);
      at::parallel_for(0, both.size(0), grain(d), [&](std::int64_t first, std::int64_t last) {
        for (std::int64_t r = first; r < last; ++r) {
          const scalar_t* left = from + r * 2 * d;
          for (std::int64_t c = 0; c < d; ++c) to[r * d + c] = left[c] - by * left[d + c];
        }
      });
    });
    context->saved_data["factor"] = factor;
    return result;
  }

  static tensor_list backward(AutogradContext* context, const tensor_list& gradients) {
    const at::Tensor upstream = gradients[0].contiguous();
    const std::int64_t d = upstream.size(1);
    at::Tensor result = at::empty({upstream.size(0), 2 * d}, upstream.options());
    AT_DISPATCH_FLOATING_TYPES(upstream.scalar_type(), "left_minus_right_backward", [&] {
      const auto* from = upstream.data_ptr<scalar_t>();
      auto* to = result.data_ptr<scalar_t>();
      const auto by = static_cast<scalar_t>(-context->saved_data["factor"].toDouble());
      at::parallel_for(0, upstream.size(0), grain(d), [&](std::int64_t first, std::int64_t last) {
        for (std::int64_t r = first; r < last; ++r) {
          scalar_t* left = to + r * 2 * d;
          for (std::int64_t c = 0; c < d; ++c) {
            left[c] = from[r * d + c];
            left[d + c] = by * from[r * d + c];
          }
        }
      });
    });
    return {result, at::Tensor()};
  }
};

}  // namespace

at::Tensor left_minus_right(const at::Tensor& matrix, double factor) {
  return LeftMinusRight::apply(matrix, factor);
}

}  // namespace mmra::model::neural
