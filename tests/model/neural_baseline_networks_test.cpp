// The neural baselines' networks against central differences, and their parts against what they are
// by definition.
#include <ATen/CPUGeneratorImpl.h>
#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "mmra/model/neural/baselines/baseline_predictor.h"
#include "mmra/model/neural/baselines/query_tokens.h"
#include "mmra/model/neural/baselines/tmall.h"
#include "mmra/model/neural/baselines/variational.h"
#include "model/made_batch.h"

namespace mmra::model::neural {
namespace {

using testing::made_batch;
using testing::made_table;

using Parameters = std::tuple<NeuralBaseline, Variant>;

class NeuralBaselineNetwork : public ::testing::TestWithParam<Parameters> {
 protected:
  static NeuralBaselineConfig config() {
    const auto [kind, variant] = GetParam();
    NeuralBaselineConfig config;
    config.kind = kind;
    config.variant = variant;
    config.visual_dim = 4;
    config.text_dim = 5;
    config.num_frames = 3;
    config.width = kind == NeuralBaseline::kMassl ? 64 : 6;
    config.kld_weight = 0.3;
    config.disagreement = 0.0;
    return config;
  }

  /// Query 4 has no video, 6 no title.
  bank::FeatureTable table_ = made_table(12, 4, 5, 4, 4, 1);
  Batch batch_ = made_batch(table_, 9, 1, 2);
};

INSTANTIATE_TEST_SUITE_P(All, NeuralBaselineNetwork,
                         ::testing::Combine(::testing::ValuesIn(all_neural_baselines().begin(),
                                                                all_neural_baselines().end()),
                                            ::testing::Values(Variant::kPaper, Variant::kReleased)),
                         [](const auto& each) {
                           return std::string(name_of(std::get<0>(each.param))) + "_" +
                                  std::string(name_of(std::get<1>(each.param)));
                         });

/// The derivative of the objective along a random direction of each weight, with the same dropout
/// masks and the same z at every call. TMALL is without its graphs, whose widths follow the rows
/// but are taken for constants: the gradient of those is in neural_baselines_golden_test.
TEST_P(NeuralBaselineNetwork, HasTheNumericDerivative) {
  NeuralBaselineConfig with_dropout = config();
  with_dropout.dropout_input = 0.2;
  with_dropout.dropout_hidden = 0.2;
  constexpr double kStep = 1e-7;  // small, so that no ReLU turns within it
  const at::Tensor wanted = at::linspace(-1.0, 1.5, 9, at::kDouble);
  const auto network = make_baseline_network(with_dropout, at::kDouble);
  const auto objective = [&] {
    at::Generator generator = at::detail::createCPUGenerator(5);
    return network->objective(batch_, wanted, generator).total;
  };
  objective().backward();
  at::Generator random = at::detail::createCPUGenerator(3);
  const at::NoGradGuard no_grad;
  for (const auto& [name, value] : network->parameters().all()) {
    const at::Tensor weight = value.detach();
    const at::Tensor direction = at::empty_like(weight).normal_(0.0, 1.0, random);
    ASSERT_TRUE(value.grad().defined()) << name;
    const double expected = (value.grad() * direction).sum().item<double>();
    weight.add_(direction, kStep);
    const double above = objective().item<double>();
    weight.add_(direction, -2.0 * kStep);
    const double below = objective().item<double>();
    weight.add_(direction, kStep);
    EXPECT_NEAR((above - below) / (2.0 * kStep), expected, 2e-6 * (1.0 + std::abs(expected)))
        << name;
  }
}

/// The rest of the batch, and padding with it, matter to none but the released variational
/// networks, whose layer attends over the batch.
TEST_P(NeuralBaselineNetwork, PredictsEachRowAsIfItWereAlone) {
  const auto [kind, variant] = GetParam();
  const auto network = make_baseline_network(config(), at::kDouble);
  const at::NoGradGuard no_grad;
  at::Generator random = at::detail::createCPUGenerator(11);
  for (const auto& [name, value] : network->parameters().all()) {
    value.detach().add_(at::empty_like(value).uniform_(-0.3, 0.3, random));
  }
  const at::Tensor together = network->forward(batch_, nullptr);
  std::vector<at::Tensor> alone;
  for (std::size_t i = 0; i < batch_.query_rows.size(); ++i) {
    alone.push_back(network->forward(testing::single(batch_, i), nullptr));
  }
  const double spread = (together.max() - together.min()).item<double>();
  EXPECT_GT(spread, 1e-5);
  const double largest = (at::cat(alone) - together).abs().max().item<double>();
  const bool variational = kind == NeuralBaseline::kMassl || kind == NeuralBaseline::kHmmved;
  if (variational && variant == Variant::kReleased) {
    EXPECT_GT(largest, 0.01 * spread);
  } else {
    EXPECT_LT(largest, 1e-9 * spread);
  }
}

TEST(QueryTokens, ArePaddedAndSayWhatIsMissing) {
  bank::FeatureTable table(2, 3);
  const auto half = [](std::initializer_list<float> values) {
    std::vector<Float16Bits> bits;
    for (const float value : values) bits.push_back(float_to_half(value));
    return bits;
  };
  testing::append_row(table, 2, half({1, 2, 3, 5}), 0, {}, 1.0);
  testing::append_row(table, 0, {}, 1, half({7, 8, 9}), 1.0);
  const std::vector<std::int32_t> rows{0, 1};
  const QueryTokens visual = query_tokens(table, rows, Modality::kVisual, at::kDouble);
  EXPECT_EQ(visual.tokens.values.sizes(), (std::vector<std::int64_t>{2, 2, 2}));
  EXPECT_TRUE(visual.present[0].item<bool>());
  EXPECT_FALSE(visual.present[1].item<bool>());
  EXPECT_TRUE(visual.tokens.mask[1][0].item<bool>());
  EXPECT_FALSE(visual.tokens.mask[1][1].item<bool>());
  const Tokens filled = with_absent(visual, at::tensor({-1.0, -2.0}));
  EXPECT_EQ(filled.values[1][0][1].item<double>(), -2.0);
  EXPECT_EQ(filled.values[1][1][1].item<double>(), 0.0);
  EXPECT_TRUE(mean_of_tokens(filled).equal(at::tensor({2.0, 3.5, -1.0, -2.0}).view({2, 2})));
  EXPECT_TRUE(last_of_tokens(filled).equal(at::tensor({3.0, 5.0, -1.0, -2.0}).view({2, 2})));
  EXPECT_TRUE(
      first_and_mean_of_tokens(filled).equal(at::tensor({1.5, 2.75, -1.0, -2.0}).view({2, 2})));
}

TEST(ProductOfExperts, WeighsMeansByPrecision) {
  const auto gaussian = [](double mean, double square) {
    return Gaussian{at::full({3, 1}, mean, at::kDouble),
                    at::full({3, 1}, std::log(square), at::kDouble)};
  };
  const at::Tensor first = at::tensor({1, 1, 0}).to(at::kBool);
  const at::Tensor second = at::tensor({1, 0, 0}).to(at::kBool);
  const Gaussian product =
      product_of_experts({{gaussian(3.0, 0.5), first}, {gaussian(-1.0, 0.25), second}});
  // Precisions 2 and 4: (2·3 − 4) / 6, variance 1/6.
  EXPECT_NEAR(product.mean[0].item<double>(), 1.0 / 3.0, 1e-12);
  EXPECT_NEAR(product.log_square[0].item<double>(), -std::log(6.0), 1e-12);
  EXPECT_NEAR(product.mean[1].item<double>(), 3.0, 1e-12);
  EXPECT_NEAR(product.log_square[1].item<double>(), std::log(0.5), 1e-12);
  EXPECT_NEAR(product.mean[2].item<double>(), 0.0, 1e-12);
  EXPECT_NEAR(product.log_square[2].item<double>(), 0.0, 1e-12);
  // One expert that is everywhere is the product.
  const Gaussian alone = product_of_experts({{gaussian(3.0, 0.5), {}}});
  EXPECT_NEAR(alone.mean[2].item<double>(), 3.0, 1e-12);
}

TEST(DivergenceFromStandard, IsZeroForTheStandardAndKnownForOthers) {
  EXPECT_NEAR(divergence_from_standard({at::zeros({4, 3}), at::zeros({4, 3})}).item<double>(), 0.0,
              1e-9);
  // ½ (σ² + μ² − 1 − log σ²) in each of two components.
  const double expected = 2.0 * 0.5 * (4.0 + 9.0 - 1.0 - std::log(4.0));
  const Gaussian gaussian{at::full({5, 2}, 3.0, at::kDouble),
                          at::full({5, 2}, std::log(4.0), at::kDouble)};
  EXPECT_NEAR(divergence_from_standard(gaussian).item<double>(), expected, 1e-12);
}

TEST(ScaledLaplacian, HasTraceOneAndSmoothVectorsCostLittle) {
  // Two clouds: a vector that is constant on each costs less than one that alternates.
  at::Generator random = at::detail::createCPUGenerator(3);
  at::Tensor x = at::empty({8, 3}, at::kDouble).normal_(0.0, 0.1, random);
  x.narrow(0, 0, 4).add_(4.0);
  const at::Tensor laplacian = scaled_laplacian(x);
  EXPECT_NEAR(laplacian.trace().item<double>(), 1.0, 1e-12);
  EXPECT_LT((laplacian - laplacian.t()).abs().max().item<double>(), 1e-12);
  const auto cost = [&](const at::Tensor& f) {
    return at::dot(f, at::mv(laplacian, f)).item<double>();
  };
  const at::Tensor by_cloud = at::tensor({1, 1, 1, 1, -1, -1, -1, -1}).to(at::kDouble);
  const at::Tensor alternating = at::tensor({1, -1, 1, -1, 1, -1, 1, -1}).to(at::kDouble);
  EXPECT_GE(cost(by_cloud), 0.0);
  EXPECT_LT(1.5 * cost(by_cloud), cost(alternating));
  EXPECT_TRUE(scaled_laplacian(at::ones({3, 2})).isfinite().all().item<bool>());
}

}  // namespace
}  // namespace mmra::model::neural
