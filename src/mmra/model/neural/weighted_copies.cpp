#include "mmra/model/neural/weighted_copies.h"

#include <ATen/Dispatch.h>
#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>

namespace mmra::model::neural {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::tensor_list;

// Compiled for several processors; the loader takes the best one that is there. Without FMA, so
// that results are the same on all of them.
#define MMRA_VECTORISED __attribute__((target_clones("avx2", "default")))

#define MMRA_DEFINE_ROWS(T)                                                                        \
  MMRA_VECTORISED void weigh_row(T weight, const T* __restrict x, const T* __restrict bias,        \
                                 T* __restrict to, std::int64_t d) {                               \
    for (std::int64_t c = 0; c < d; ++c) to[c] = weight * x[c] + bias[c];                          \
  }                                                                                                \
  /* g = dy (1 − y²); adds g to `bias`, weight · g to `x_gradient`; gives Σ g x. */           \
  MMRA_VECTORISED T backward_of_row(T weight, const T* __restrict dy, const T* __restrict y,       \
                                    const T* __restrict x, T* __restrict bias,                     \
                                    T* __restrict x_gradient, std::int64_t d) {                    \
    T sums[8] = {};                                                                                \
    std::int64_t c = 0;                                                                            \
    for (; c + 8 <= d; c += 8) {                                                                   \
      for (int lane = 0; lane < 8; ++lane) {                                                       \
        const std::int64_t i = c + lane;                                                           \
        const T g = dy[i] * (T(1) - y[i] * y[i]);                                                  \
        bias[i] += g;                                                                              \
        x_gradient[i] += weight * g;                                                               \
        sums[lane] += g * x[i];                                                                    \
      }                                                                                            \
    }                                                                                              \
    T sum =                                                                                        \
        ((sums[0] + sums[4]) + (sums[2] + sums[6])) + ((sums[1] + sums[5]) + (sums[3] + sums[7])); \
    for (; c < d; ++c) {                                                                           \
      const T g = dy[c] * (T(1) - y[c] * y[c]);                                                    \
      bias[c] += g;                                                                                \
      x_gradient[c] += weight * g;                                                                 \
      sum += g * x[c];                                                                             \
    }                                                                                              \
    return sum;                                                                                    \
  }

MMRA_DEFINE_ROWS(float)
MMRA_DEFINE_ROWS(double)
#undef MMRA_DEFINE_ROWS
#undef MMRA_VECTORISED

class WeightedCopies : public torch::autograd::Function<WeightedCopies> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& weights,
                            const at::Tensor& rows, const at::Tensor& bias) {
    const at::Tensor w = weights.contiguous();
    const at::Tensor x = rows.contiguous();
    const std::int64_t length = w.size(1);
    const std::int64_t d = x.size(1);
    at::Tensor y = at::empty({w.size(0), length, d}, x.options().requires_grad(false));
    AT_DISPATCH_FLOATING_TYPES(x.scalar_type(), "weighted_copies", [&] {
      const auto* from = x.data_ptr<scalar_t>();
      const auto* weight = w.data_ptr<scalar_t>();
      const auto* b = bias.data_ptr<scalar_t>();
      auto* to = y.data_ptr<scalar_t>();
      at::parallel_for(0, w.size(0), 1, [&](std::int64_t first, std::int64_t last) {
        for (std::int64_t i = first * length; i < last * length; ++i) {
          weigh_row(weight[i], from + i / length * d, b, to + i * d, d);
        }
      });
    });
    y.tanh_();
    context->save_for_backward({w, x, y});
    return y;
  }

  static tensor_list backward(AutogradContext* context, const tensor_list& gradients) {
    const auto saved = context->get_saved_variables();
    const at::Tensor& w = saved[0];
    const at::Tensor& x = saved[1];
    const at::Tensor upstream = gradients[0].contiguous();
    const std::int64_t length = w.size(1);
    const std::int64_t d = x.size(1);
    at::Tensor w_gradient = at::empty_like(w);
    at::Tensor x_gradient = at::zeros_like(x);
    // A row of sums for each x, so that the sum of all does not depend on the threads.
    at::Tensor bias = at::zeros_like(x);
    AT_DISPATCH_FLOATING_TYPES(x.scalar_type(), "weighted_copies_backward", [&] {
      const auto* dy = upstream.data_ptr<scalar_t>();
      const auto* y = saved[2].data_ptr<scalar_t>();
      const auto* from = x.data_ptr<scalar_t>();
      const auto* weight = w.data_ptr<scalar_t>();
      auto* gw = w_gradient.data_ptr<scalar_t>();
      auto* gx = x_gradient.data_ptr<scalar_t>();
      auto* gb = bias.data_ptr<scalar_t>();
      at::parallel_for(0, w.size(0), 1, [&](std::int64_t first, std::int64_t last) {
        for (std::int64_t i = first * length; i < last * length; ++i) {
          const std::int64_t row = i / length * d;
          gw[i] =
              backward_of_row(weight[i], dy + i * d, y + i * d, from + row, gb + row, gx + row, d);
        }
      });
    });
    return {w_gradient, x_gradient, bias.sum(0)};
  }
};

}  // namespace

at::Tensor tanh_of_weighted_copies(const at::Tensor& weights, const at::Tensor& x,
                                   const at::Tensor& bias) {
  return WeightedCopies::apply(weights, x, bias);
}

}  // namespace mmra::model::neural
