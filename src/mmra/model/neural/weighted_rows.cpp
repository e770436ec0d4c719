#include "mmra/model/neural/weighted_rows.h"

#include <ATen/Dispatch.h>
#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>

namespace mmra::model::neural {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::tensor_list;

/// Compressed rows, as tensors because autograd keeps tensors.
struct Compressed {
  at::Tensor begin;    ///< int64 [rows + 1]
  at::Tensor columns;  ///< int64 [entries]
  at::Tensor weights;  ///< of x's type [entries]
};

template <typename T>
at::Tensor to_tensor(const std::vector<T>& values, at::ScalarType type) {
  return at::tensor(at::ArrayRef<T>(values), at::TensorOptions().dtype(type));
}

Compressed transposed(const std::vector<std::int64_t>& begin,
                      const std::vector<std::int64_t>& columns, const std::vector<double>& weights,
                      std::int64_t num_columns, at::ScalarType type) {
  std::vector<std::int64_t> begin_out(static_cast<std::size_t>(num_columns) + 1, 0);
  for (const std::int64_t column : columns) ++begin_out[static_cast<std::size_t>(column) + 1];
  for (std::size_t c = 1; c < begin_out.size(); ++c) begin_out[c] += begin_out[c - 1];
  std::vector<std::int64_t> next(begin_out.begin(), begin_out.end() - 1);
  std::vector<std::int64_t> rows_out(columns.size());
  std::vector<double> weights_out(columns.size());
  for (std::size_t row = 0; row + 1 < begin.size(); ++row) {
    for (std::int64_t e = begin[row]; e < begin[row + 1]; ++e) {
      const std::int64_t slot = next[columns[e]]++;
      rows_out[slot] = static_cast<std::int64_t>(row);
      weights_out[slot] = weights[e];
    }
  }
  return {to_tensor(begin_out, at::kLong), to_tensor(rows_out, at::kLong),
          to_tensor(weights_out, type)};
}

at::Tensor multiply(const Compressed& matrix, const at::Tensor& x) {
  const at::Tensor dense = x.contiguous();
  const std::int64_t num_rows = matrix.begin.numel() - 1;
  const std::int64_t width = dense.size(1);
  at::Tensor result = at::zeros({num_rows, width}, dense.options().requires_grad(false));
  const auto* begin = matrix.begin.data_ptr<std::int64_t>();
  const auto* columns = matrix.columns.data_ptr<std::int64_t>();
  const std::int64_t num_entries = matrix.columns.numel();
  AT_DISPATCH_FLOATING_TYPES(dense.scalar_type(), "weighted_rows", [&] {
    const auto* weights = matrix.weights.data_ptr<scalar_t>();
    const auto* from = dense.data_ptr<scalar_t>();
    auto* to = result.data_ptr<scalar_t>();
    // Multiplications a row, so that small products stay on one thread.
    const std::int64_t work = 1 + width * num_entries / std::max<std::int64_t>(1, num_rows);
    at::parallel_for(0, num_rows, at::internal::GRAIN_SIZE / work + 1,
                     [&](std::int64_t first, std::int64_t last) {
                       for (std::int64_t row = first; row < last; ++row) {
                         scalar_t* out = to + row * width;
                         for (std::int64_t e = begin[row]; e < begin[row + 1]; ++e) {
                           const scalar_t* in = from + columns[e] * width;
                           const scalar_t weight = weights[e];
                           for (std::int64_t c = 0; c < width; ++c) out[c] += weight * in[c];
                         }
                       }
                     });
  });
  return result;
}

// Compiled for several processors; the loader takes the best one that is there. Without FMA, so
// that sums are the same on all of them.
#define MMRA_DEFINE_ADD_SCALED(T)                                                   \
  __attribute__((target_clones("avx2", "default"))) void add_scaled(                \
      const float* __restrict x, T factor, std::int64_t size, T* __restrict to) {   \
    for (std::int64_t i = 0; i < size; ++i) to[i] += factor * static_cast<T>(x[i]); \
  }
MMRA_DEFINE_ADD_SCALED(float)
MMRA_DEFINE_ADD_SCALED(double)
#undef MMRA_DEFINE_ADD_SCALED

/// dX = Sᵀ dY.
class Times : public torch::autograd::Function<Times> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& begin,
                            const at::Tensor& columns, const at::Tensor& weights,
                            const at::Tensor& back_begin, const at::Tensor& back_columns,
                            const at::Tensor& back_weights) {
    context->save_for_backward({back_begin, back_columns, back_weights});
    return multiply({begin, columns, weights}, x);
  }

  static tensor_list backward(AutogradContext* context, const tensor_list& gradients) {
    const auto saved = context->get_saved_variables();
    const at::Tensor none;
    return {
        multiply({saved[0], saved[1], saved[2]}, gradients[0]), none, none, none, none, none, none};
  }
};

}  // namespace

at::Tensor WeightedRows::times(const at::Tensor& x) const {
  TORCH_CHECK(x.dim() == 2 && x.size(0) == num_columns_, "weighted rows of ", num_columns_,
              " columns times ", x.sizes());
  const Compressed forward{to_tensor(row_begin_, at::kLong), to_tensor(columns_, at::kLong),
                           to_tensor(weights_, x.scalar_type())};
  if (!x.requires_grad()) return multiply(forward, x);
  const Compressed back = transposed(row_begin_, columns_, weights_, num_columns_, x.scalar_type());
  return Times::apply(x, forward.begin, forward.columns, forward.weights, back.begin, back.columns,
                      back.weights);
}

at::Tensor WeightedRows::times_halves(std::span<const Float16Bits* const> rows, std::int64_t width,
                                      at::ScalarType dtype) const {
  TORCH_CHECK(static_cast<std::int64_t>(rows.size()) == num_columns_, "weighted rows of ",
              num_columns_, " columns times ", rows.size(), " rows");
  at::Tensor result = at::zeros({num_rows(), width}, dtype);
  const auto size = static_cast<std::size_t>(width);
  AT_DISPATCH_FLOATING_TYPES(dtype, "weighted_halves", [&] {
    auto* to = result.data_ptr<scalar_t>();
    const std::int64_t work = 1 + width * static_cast<std::int64_t>(columns_.size()) /
                                      std::max<std::int64_t>(1, num_rows());
    at::parallel_for(0, num_rows(), at::internal::GRAIN_SIZE / work + 1,
                     [&](std::int64_t first, std::int64_t last) {
                       std::vector<float> row(size);
                       for (std::int64_t r = first; r < last; ++r) {
                         for (std::int64_t e = row_begin_[r]; e < row_begin_[r + 1]; ++e) {
                           halves_to_floats({rows[columns_[e]], size}, row);
                           add_scaled(row.data(), static_cast<scalar_t>(weights_[e]), width,
                                      to + r * width);
                         }
                       }
                     });
  });
  return result;
}

}  // namespace mmra::model::neural
