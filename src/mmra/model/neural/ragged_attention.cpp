#include "mmra/model/neural/ragged_attention.h"

#include <ATen/Dispatch.h>
#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <cmath>

namespace mmra::model::neural {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::tensor_list;

/// A block of a row-major matrix.
template <typename T>
struct Block {
  T* data;
  std::int64_t rows;
  std::int64_t stride;

  [[nodiscard]] T* row(std::int64_t r) const { return data + r * stride; }
};

// Compiled for several processors; the loader takes the best one that is there.
#define MMRA_VECTORISED __attribute__((target_clones("arch=haswell", "default")))

// Products of two blocks of d columns, or of a small matrix w (x.rows × y.rows) and a block. The
// inner product keeps eight sums, so that it can be vectorised without changing the order of sums.
#define MMRA_DEFINE_PRODUCTS(T)                                                                   \
  MMRA_VECTORISED void scores_of(Block<const T> x, Block<const T> y, std::int64_t d, T* scores) { \
    for (std::int64_t i = 0; i < x.rows; ++i) {                                                   \
      for (std::int64_t j = 0; j < y.rows; ++j) {                                                 \
        const T* __restrict a = x.row(i);                                                         \
        const T* __restrict b = y.row(j);                                                         \
        T sums[8] = {};                                                                           \
        std::int64_t c = 0;                                                                       \
        for (; c + 8 <= d; c += 8) {                                                              \
          for (int lane = 0; lane < 8; ++lane) sums[lane] += a[c + lane] * b[c + lane];           \
        }                                                                                         \
        T sum = ((sums[0] + sums[4]) + (sums[2] + sums[6])) +                                     \
                ((sums[1] + sums[5]) + (sums[3] + sums[7]));                                      \
        for (; c < d; ++c) sum += a[c] * b[c];                                                    \
        scores[i * y.rows + j] = sum;                                                             \
      }                                                                                           \
    }                                                                                             \
  }                                                                                               \
  /* out += w y, w [out.rows × y.rows] */                                                        \
  MMRA_VECTORISED void add_weighted(const T* w, Block<const T> y, std::int64_t d, Block<T> out) { \
    for (std::int64_t i = 0; i < out.rows; ++i) {                                                 \
      T* __restrict to = out.row(i);                                                              \
      for (std::int64_t j = 0; j < y.rows; ++j) {                                                 \
        const T weight = w[i * y.rows + j];                                                       \
        const T* __restrict from = y.row(j);                                                      \
        for (std::int64_t c = 0; c < d; ++c) to[c] += weight * from[c];                           \
      }                                                                                           \
    }                                                                                             \
  }                                                                                               \
  /* out += wᵀ x, w [x.rows × out.rows] */                                                     \
  MMRA_VECTORISED void add_transposed(const T* w, Block<const T> x, std::int64_t d,               \
                                      Block<T> out) {                                             \
    for (std::int64_t j = 0; j < out.rows; ++j) {                                                 \
      T* __restrict to = out.row(j);                                                              \
      for (std::int64_t i = 0; i < x.rows; ++i) {                                                 \
        const T weight = w[i * out.rows + j];                                                     \
        const T* __restrict from = x.row(i);                                                      \
        for (std::int64_t c = 0; c < d; ++c) to[c] += weight * from[c];                           \
      }                                                                                           \
    }                                                                                             \
  }

MMRA_DEFINE_PRODUCTS(float)
MMRA_DEFINE_PRODUCTS(double)
#undef MMRA_DEFINE_PRODUCTS
#undef MMRA_VECTORISED

/// softmax(scale · x), in place.
template <typename T>
void softmax(T* x, std::int64_t count, T scale) {
  T largest = x[0] * scale;
  for (std::int64_t i = 0; i < count; ++i) largest = std::max(largest, x[i] *= scale);
  T sum = 0;
  for (std::int64_t i = 0; i < count; ++i) sum += x[i] = std::exp(x[i] - largest);
  for (std::int64_t i = 0; i < count; ++i) x[i] /= sum;
}

/// From the gradient with respect to softmax(scale · x) to that with respect to x, in place.
template <typename T>
void softmax_backward(const T* weights, T* gradient, std::int64_t count, T scale) {
  T inner = 0;
  for (std::int64_t i = 0; i < count; ++i) inner += weights[i] * gradient[i];
  for (std::int64_t i = 0; i < count; ++i) gradient[i] = scale * weights[i] * (gradient[i] - inner);
}

/// What both directions of a batch of attentions share.
struct Layout {
  const std::int64_t* query_begin;
  const std::int64_t* key_begin;
  std::int64_t num_items;
  std::int64_t polarities;
  std::int64_t width;
  std::vector<std::int64_t> weights_begin;  ///< of each item, in the attention weights of all

  Layout(const at::Tensor& queries, const at::Tensor& query_begins, const at::Tensor& key_begins,
         std::int64_t num_polarities)
      : query_begin(query_begins.data_ptr<std::int64_t>()),
        key_begin(key_begins.data_ptr<std::int64_t>()),
        num_items(query_begins.numel() - 1),
        polarities(num_polarities),
        width(queries.size(1) / num_polarities) {
    weights_begin.push_back(0);
    for (std::int64_t b = 0; b < num_items; ++b) {
      weights_begin.push_back(weights_begin.back() + polarities * num_queries(b) * num_keys(b));
    }
  }

  [[nodiscard]] std::int64_t num_queries(std::int64_t b) const {
    return query_begin[b + 1] - query_begin[b];
  }
  [[nodiscard]] std::int64_t num_keys(std::int64_t b) const {
    return key_begin[b + 1] - key_begin[b];
  }
  template <typename T>
  [[nodiscard]] Block<T> queries(T* data, std::int64_t b, std::int64_t p) const {
    const std::int64_t stride = polarities * width;
    return {data + query_begin[b] * stride + p * width, num_queries(b), stride};
  }
  template <typename T>
  [[nodiscard]] Block<T> keys(T* data, std::int64_t b, std::int64_t p) const {
    const std::int64_t stride = 2 * polarities * width;
    return {data + key_begin[b] * stride + p * width, num_keys(b), stride};
  }
  template <typename T>
  [[nodiscard]] Block<T> values(T* data, std::int64_t b, std::int64_t p) const {
    return keys(data, b, p + polarities);
  }
  [[nodiscard]] std::int64_t weights_at(std::int64_t b, std::int64_t p) const {
    return weights_begin[static_cast<std::size_t>(b)] + p * num_queries(b) * num_keys(b);
  }
};

class Attention : public torch::autograd::Function<Attention> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& queries,
                            const at::Tensor& query_begin, const at::Tensor& keys_values,
                            const at::Tensor& key_begin, const std::vector<double>& scales) {
    const at::Tensor q = queries.contiguous();
    const at::Tensor kv = keys_values.contiguous();
    const Layout layout(q, query_begin, key_begin, static_cast<std::int64_t>(scales.size()));
    const at::Tensor weights = at::empty({layout.weights_begin.back()}, q.options());
    const at::Tensor output = at::zeros_like(q);
    AT_DISPATCH_FLOATING_TYPES(q.scalar_type(), "ragged_attention", [&] {
      const scalar_t* from_q = q.data_ptr<scalar_t>();
      const scalar_t* from_kv = kv.data_ptr<scalar_t>();
      auto* w = weights.data_ptr<scalar_t>();
      auto* to = output.data_ptr<scalar_t>();
      at::parallel_for(0, layout.num_items, 1, [&](std::int64_t first, std::int64_t last) {
        for (std::int64_t b = first; b < last; ++b) {
          for (std::int64_t p = 0; p < layout.polarities; ++p) {
            scalar_t* own = w + layout.weights_at(b, p);
            scores_of(layout.queries(from_q, b, p), layout.keys(from_kv, b, p), layout.width, own);
            const std::int64_t num_keys = layout.num_keys(b);
            const auto scale = static_cast<scalar_t>(scales[static_cast<std::size_t>(p)]);
            for (std::int64_t i = 0; i < layout.num_queries(b); ++i) {
              softmax(own + i * num_keys, num_keys, scale);
            }
            add_weighted(own, layout.values(from_kv, b, p), layout.width, layout.queries(to, b, p));
          }
        }
      });
    });
    context->save_for_backward({q, query_begin, kv, key_begin, weights});
    context->saved_data["scales"] = scales;
    return output;
  }

  static tensor_list backward(AutogradContext* context, const tensor_list& gradients) {
    const auto saved = context->get_saved_variables();
    const at::Tensor& q = saved[0];
    const at::Tensor& kv = saved[2];
    const std::vector<double> scales = context->saved_data["scales"].toDoubleVector();
    const Layout layout(q, saved[1], saved[3], static_cast<std::int64_t>(scales.size()));
    const at::Tensor upstream = gradients[0].contiguous();
    const at::Tensor gradient_q = at::zeros_like(q);
    const at::Tensor gradient_kv = at::zeros_like(kv);
    const at::Tensor gradient_weights = at::empty_like(saved[4]);
    AT_DISPATCH_FLOATING_TYPES(q.scalar_type(), "ragged_attention_backward", [&] {
      const scalar_t* from_q = q.data_ptr<scalar_t>();
      const scalar_t* from_kv = kv.data_ptr<scalar_t>();
      const scalar_t* from_out = upstream.data_ptr<scalar_t>();
      const scalar_t* w = saved[4].data_ptr<scalar_t>();
      auto* gw = gradient_weights.data_ptr<scalar_t>();
      auto* gq = gradient_q.data_ptr<scalar_t>();
      auto* gkv = gradient_kv.data_ptr<scalar_t>();
      at::parallel_for(0, layout.num_items, 1, [&](std::int64_t first, std::int64_t last) {
        for (std::int64_t b = first; b < last; ++b) {
          for (std::int64_t p = 0; p < layout.polarities; ++p) {
            const std::int64_t d = layout.width;
            const std::int64_t num_keys = layout.num_keys(b);
            const scalar_t* own = w + layout.weights_at(b, p);
            scalar_t* scores = gw + layout.weights_at(b, p);
            const auto out = layout.queries(from_out, b, p);
            add_transposed(own, out, d, layout.values(gkv, b, p));
            scores_of(out, layout.values(from_kv, b, p), d, scores);
            const auto scale = static_cast<scalar_t>(scales[static_cast<std::size_t>(p)]);
            for (std::int64_t i = 0; i < layout.num_queries(b); ++i) {
              softmax_backward(own + i * num_keys, scores + i * num_keys, num_keys, scale);
            }
            add_weighted(scores, layout.keys(from_kv, b, p), d, layout.queries(gq, b, p));
            add_transposed(scores, layout.queries(from_q, b, p), d, layout.keys(gkv, b, p));
          }
        }
      });
    });
    const at::Tensor none;
    return {gradient_q, none, gradient_kv, none, none};
  }
};

class SoftmaxSum : public torch::autograd::Function<SoftmaxSum> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& values,
                            const at::Tensor& begins, const at::Tensor& scores) {
    const at::Tensor x = values.contiguous();
    const at::Tensor weights = scores.contiguous().clone();
    const std::int64_t num_items = begins.numel() - 1;
    const std::int64_t width = x.size(1);
    const at::Tensor output = at::zeros({num_items, width}, x.options());
    const auto* begin = begins.data_ptr<std::int64_t>();
    AT_DISPATCH_FLOATING_TYPES(x.scalar_type(), "ragged_softmax_sum", [&] {
      const scalar_t* from = x.data_ptr<scalar_t>();
      auto* w = weights.data_ptr<scalar_t>();
      auto* to = output.data_ptr<scalar_t>();
      at::parallel_for(0, num_items, 1, [&](std::int64_t first, std::int64_t last) {
        for (std::int64_t b = first; b < last; ++b) {
          const std::int64_t count = begin[b + 1] - begin[b];
          softmax(w + begin[b], count, scalar_t(1));
          add_weighted(w + begin[b], Block<const scalar_t>{from + begin[b] * width, count, width},
                       width, Block<scalar_t>{to + b * width, 1, width});
        }
      });
    });
    context->save_for_backward({x, begins, weights});
    return output;
  }

  static tensor_list backward(AutogradContext* context, const tensor_list& gradients) {
    const auto saved = context->get_saved_variables();
    const at::Tensor& x = saved[0];
    const at::Tensor upstream = gradients[0].contiguous();
    const at::Tensor gradient_x = at::zeros_like(x);
    const at::Tensor gradient_scores = at::empty_like(saved[2]);
    const std::int64_t num_items = saved[1].numel() - 1;
    const std::int64_t width = x.size(1);
    const auto* begin = saved[1].data_ptr<std::int64_t>();
    AT_DISPATCH_FLOATING_TYPES(x.scalar_type(), "ragged_softmax_sum_backward", [&] {
      const scalar_t* from = x.data_ptr<scalar_t>();
      const scalar_t* from_out = upstream.data_ptr<scalar_t>();
      const scalar_t* w = saved[2].data_ptr<scalar_t>();
      auto* gx = gradient_x.data_ptr<scalar_t>();
      auto* gs = gradient_scores.data_ptr<scalar_t>();
      at::parallel_for(0, num_items, 1, [&](std::int64_t first, std::int64_t last) {
        for (std::int64_t b = first; b < last; ++b) {
          const std::int64_t count = begin[b + 1] - begin[b];
          const Block<const scalar_t> out{from_out + b * width, 1, width};
          add_transposed(w + begin[b], out, width,
                         Block<scalar_t>{gx + begin[b] * width, count, width});
          scores_of(out, Block<const scalar_t>{from + begin[b] * width, count, width}, width,
                    gs + begin[b]);
          softmax_backward(w + begin[b], gs + begin[b], count, scalar_t(1));
        }
      });
    });
    return {gradient_x, at::Tensor(), gradient_scores};
  }
};

}  // namespace

at::Tensor ragged_attention(const RaggedTokens& queries, const RaggedTokens& keys_values,
                            const std::vector<double>& scales) {
  TORCH_CHECK(keys_values.values.size(1) == 2 * queries.values.size(1) &&
                  queries.begin.numel() == keys_values.begin.numel(),
              "attention of ", queries.values.sizes(), " to ", keys_values.values.sizes());
  return Attention::apply(queries.values, queries.begin, keys_values.values, keys_values.begin,
                          scales);
}

at::Tensor ragged_softmax_sum(const RaggedTokens& tokens, const at::Tensor& scores) {
  TORCH_CHECK(scores.numel() == tokens.values.size(0), "a weighted sum of ", tokens.values.sizes(),
              " by ", scores.sizes(), " scores");
  return SoftmaxSum::apply(tokens.values, tokens.begin, scores.reshape({-1}));
}

}  // namespace mmra::model::neural
