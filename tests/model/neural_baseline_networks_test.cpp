// The neural baselines' networks against central differences, and their parts against what they are
// by definition.
#include <ATen/CPUGeneratorImpl.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>
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

std::map<std::string, at::Tensor> weights_by_name(Network& network) {
  std::map<std::string, at::Tensor> weights;
  for (const auto& [name, value] : network.parameters().all()) weights[name] = value.detach();
  return weights;
}

at::Tensor stored(const bank::TokenView& view) {
  at::Tensor values = at::empty({view.num_tokens, view.dim}, at::kDouble);
  for (std::int64_t i = 0; i < values.numel(); ++i) {
    values.data_ptr<double>()[i] = half_to_float(view.values[static_cast<std::size_t>(i)]);
  }
  return values;
}

/// The paper's CBAN once more, frame by frame and word by word.
at::Tensor cban_of_row(std::map<std::string, at::Tensor>& w, const at::Tensor& frames,
                       const at::Tensor& words) {
  const auto layer = [&](const std::string& name, const at::Tensor& x) {
    return at::mv(w.at(name + ".weight"), x) + w.at(name + ".bias");
  };
  std::vector<at::Tensor> v;
  std::vector<at::Tensor> t;
  for (std::int64_t i = 0; i < frames.size(0); ++i) v.push_back(layer("input_visual", frames[i]));
  for (std::int64_t j = 0; j < words.size(0); ++j) t.push_back(layer("input_text", words[j]));
  const auto score = [&](std::size_t i, std::size_t j) {
    return at::dot(w.at("score.combine"),
                   at::tanh(layer("score_visual", v[i]) + layer("score_text", t[j])))
        .item<double>();
  };
  /// Σ softmax(sign · s) x.
  const auto attended = [](const std::vector<double>& s, const std::vector<at::Tensor>& x,
                           double sign) {
    double total = 0.0;
    for (const double each : s) total += std::exp(sign * each);
    at::Tensor sum = at::zeros_like(x[0]);
    for (std::size_t i = 0; i < x.size(); ++i) sum += std::exp(sign * s[i]) / total * x[i];
    return sum;
  };
  const auto pooled = [&](const std::string& name, const std::vector<at::Tensor>& own,
                          const std::vector<at::Tensor>& other, bool own_first) {
    std::vector<at::Tensor> fused;
    std::vector<double> weights;
    double total = 0.0;
    for (std::size_t i = 0; i < own.size(); ++i) {
      std::vector<double> s;
      for (std::size_t j = 0; j < other.size(); ++j) {
        s.push_back(own_first ? score(i, j) : score(j, i));
      }
      const at::Tensor seen = at::tanh(
          layer("attended_" + name, at::cat({attended(s, other, 1.0), attended(s, other, -1.0)})));
      fused.push_back(at::tanh(layer("fuse_" + name, at::cat({own[i], seen}))));
      const at::Tensor hidden = at::tanh(layer("pool_" + name + ".hidden", fused.back()));
      weights.push_back(
          std::exp(at::mv(w.at("pool_" + name + ".score.weight"), hidden).item<double>()));
      total += weights.back();
    }
    at::Tensor sum = at::zeros_like(fused[0]);
    for (std::size_t i = 0; i < fused.size(); ++i) sum += weights[i] / total * fused[i];
    return sum;
  };
  return layer("predict", at::cat({pooled("visual", v, t, true), pooled("text", t, v, false)}));
}

TEST(Cban, IsWhatItsPaperMeans) {
  NeuralBaselineConfig config;
  config.kind = NeuralBaseline::kCban;
  config.visual_dim = 4;
  config.text_dim = 5;
  config.width = 6;
  const auto network = make_baseline_network(config, at::kDouble);
  auto weights = weights_by_name(*network);
  weights.at("score.combine").mul_(5.0);  // so that attention is not even
  const bank::FeatureTable table = made_table(12, 4, 5, 4, 4, 1);
  const Batch batch = made_batch(table, 9, 1, 2);
  const at::NoGradGuard no_grad;
  const at::Tensor output = network->forward(batch, nullptr);
  for (const std::int64_t row : {0, 1, 2, 3, 5, 7, 8}) {
    const auto index = static_cast<std::size_t>(row);
    const at::Tensor expected =
        cban_of_row(weights, stored(table.visual_tokens(index)), stored(table.text_tokens(index)));
    EXPECT_NEAR(output[row].item<double>(), expected.item<double>(), 1e-12) << "row " << row;
  }
}

/// In the paper variant no weight of a modality counts for a row that lacks it.
TEST(VariationalNetworks, LeaveOutTheExpertThatARowLacks) {
  for (const NeuralBaseline kind : {NeuralBaseline::kMassl, NeuralBaseline::kHmmved}) {
    NeuralBaselineConfig config;
    config.kind = kind;
    config.visual_dim = 4;
    config.text_dim = 5;
    const auto network = make_baseline_network(config, at::kDouble);
    const bank::FeatureTable table = made_table(12, 4, 5, 4, 4, 1);
    const Batch batch = made_batch(table, 9, 1, 2);  // query 4 has no video, 6 no title
    const at::NoGradGuard no_grad;
    const at::Tensor before = network->forward(batch, nullptr);
    for (const auto& [name, value] : weights_by_name(*network)) {
      if (name.find("visual") == 0) value.mul_(-1.5);
    }
    const at::Tensor change = (network->forward(batch, nullptr) - before).abs();
    EXPECT_EQ(change[4].item<double>(), 0.0);
    EXPECT_GT(change[6].item<double>(), 0.0);
    EXPECT_GT(change[0].item<double>(), 0.0);
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
