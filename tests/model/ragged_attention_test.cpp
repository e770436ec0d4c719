// Against the same sums by at::softmax and at::matmul, item by item, gradients by autograd of
// those.
#include "mmra/model/neural/ragged_attention.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <vector>

namespace mmra::model::neural {
namespace {

const std::vector<double> kScales = {0.6, -0.4};
constexpr std::int64_t kWidth = 11;  // not a multiple of the eight sums of an inner product

at::Tensor begins(const std::vector<std::int64_t>& lengths) {
  std::vector<std::int64_t> begin{0};
  for (const std::int64_t length : lengths) begin.push_back(begin.back() + length);
  return at::tensor(at::ArrayRef<std::int64_t>(begin), at::kLong);
}

at::Tensor made(at::IntArrayRef shape, std::uint64_t seed) {
  at::Generator random = at::detail::createCPUGenerator(seed);
  return at::empty(shape, at::kDouble).normal_(0.0, 1.0, random).set_requires_grad(true);
}

at::Tensor of_item(const at::Tensor& x, const at::Tensor& begin, std::int64_t item) {
  const auto first = begin[item].item<std::int64_t>();
  return x.narrow(0, first, begin[item + 1].item<std::int64_t>() - first);
}

at::Tensor plain_attention(const RaggedTokens& queries, const RaggedTokens& keys_values) {
  std::vector<at::Tensor> items;
  for (std::int64_t b = 0; b + 1 < queries.begin.numel(); ++b) {
    const auto q = of_item(queries.values, queries.begin, b).chunk(2, 1);
    const auto kv = of_item(keys_values.values, keys_values.begin, b).chunk(4, 1);
    std::vector<at::Tensor> outputs;
    for (std::size_t p = 0; p < 2; ++p) {
      outputs.push_back(
          at::matmul(at::softmax(at::matmul(q[p], kv[p].t()) * kScales[p], 1), kv[p + 2]));
    }
    items.push_back(at::cat(outputs, 1));
  }
  return at::cat(items);
}

/// Output and both gradients, for an upstream gradient without symmetries.
std::vector<at::Tensor> with_gradients(const at::Tensor& output, const at::Tensor& a,
                                       const at::Tensor& b) {
  const at::Tensor upstream = made(output.sizes(), 9).detach();
  (output * upstream).sum().backward();
  std::vector<at::Tensor> all{output.detach(), a.grad().clone(), b.grad().clone()};
  a.mutable_grad() = at::Tensor();
  b.mutable_grad() = at::Tensor();
  return all;
}

void expect_close(const std::vector<at::Tensor>& got, const std::vector<at::Tensor>& wanted) {
  for (std::size_t i = 0; i < got.size(); ++i) {
    EXPECT_TRUE(at::allclose(got[i], wanted[i], 1e-12, 1e-13)) << "part " << i;
  }
}

TEST(RaggedAttention, IsTheAttentionOfEachItemByItself) {
  const RaggedTokens queries{made({9, 2 * kWidth}, 1), begins({1, 5, 1, 2})};
  const RaggedTokens keys_values{made({10, 4 * kWidth}, 2), begins({3, 1, 4, 2})};
  expect_close(
      with_gradients(ragged_attention(queries, keys_values, kScales), queries.values,
                     keys_values.values),
      with_gradients(plain_attention(queries, keys_values), queries.values, keys_values.values));
}

TEST(RaggedAttention, OfOneItemDoesNotDependOnTheOthersOrTheThreads) {
  const RaggedTokens queries{made({9, 2 * kWidth}, 1), begins({1, 5, 1, 2})};
  const RaggedTokens keys_values{made({10, 4 * kWidth}, 2), begins({3, 1, 4, 2})};
  const at::Tensor together = ragged_attention(queries, keys_values, kScales);
  const int threads = at::get_num_threads();
  at::set_num_threads(1);
  for (std::int64_t b = 0; b < 4; ++b) {
    const at::Tensor q = of_item(queries.values, queries.begin, b);
    const at::Tensor kv = of_item(keys_values.values, keys_values.begin, b);
    const at::Tensor alone =
        ragged_attention({q, begins({q.size(0)})}, {kv, begins({kv.size(0)})}, kScales);
    EXPECT_TRUE(alone.equal(of_item(together, queries.begin, b)));
  }
  at::set_num_threads(threads);
}

TEST(RaggedAttention, OfLargeScoresStaysFinite) {
  const RaggedTokens queries{made({2, 2 * kWidth}, 1) * 1e4, begins({2})};
  const RaggedTokens keys_values{made({3, 4 * kWidth}, 2) * 1e4, begins({3})};
  const at::Tensor output = ragged_attention(queries, keys_values, kScales);
  EXPECT_TRUE(output.isfinite().all().item<bool>());
  EXPECT_TRUE(at::allclose(output, plain_attention(queries, keys_values)));
}

TEST(RaggedAttention, RefusesSidesThatDoNotFit) {
  const RaggedTokens queries{made({2, 6}, 1), begins({2})};
  EXPECT_THROW((void)ragged_attention(queries, {made({2, 6}, 2), begins({2})}, {1.0}), c10::Error);
  EXPECT_THROW((void)ragged_attention(queries, {made({2, 12}, 2), begins({1, 1})}, {1.0}),
               c10::Error);
}

TEST(RaggedSoftmaxSum, IsTheWeightedSumOfEachItem) {
  const RaggedTokens tokens{made({8, kWidth}, 3), begins({4, 1, 3})};
  const at::Tensor scores = made({8}, 4);
  std::vector<at::Tensor> items;
  for (std::int64_t b = 0; b < 3; ++b) {
    items.push_back(at::matmul(at::softmax(of_item(scores, tokens.begin, b), 0),
                               of_item(tokens.values, tokens.begin, b)));
  }
  const at::Tensor wanted = at::stack(items);
  expect_close(with_gradients(ragged_softmax_sum(tokens, scores), tokens.values, scores),
               with_gradients(wanted, tokens.values, scores));
}

}  // namespace
}  // namespace mmra::model::neural
