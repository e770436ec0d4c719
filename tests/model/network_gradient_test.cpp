// Both variants of the network against central differences, and what must not matter to a
// prediction: padding, the rest of the batch, the order of the instances.
#include <ATen/Parallel.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "model/small_networks.h"

namespace mmra::model::neural {
namespace {

using testing::made_batch;
using testing::made_table;
using testing::small_network;
using testing::small_network_config;
using testing::without_of_bits;

/// Of its 9 queries number 4 has no video, 6 has no title, 8 no instance; some have gaps.
struct Data {
  bank::FeatureTable table =
      made_table(36, testing::kSmallVisualDim, testing::kSmallTextDim, 3, 4, 1);
  Batch batch = made_batch(table, 9, testing::kSmallInstances, 2);

  Data() = default;
  Data(const Data&) = delete;
  Data& operator=(const Data&) = delete;
};

/// A weighted sum of the predictions, so that no row's gradient hides behind another's. The same
/// dropout masks at every call.
at::Tensor objective(const Network& network, const Batch& batch, bool with_dropout) {
  at::Generator generator = at::detail::createCPUGenerator(5);
  const at::Tensor output = network.forward(batch, with_dropout ? &generator : nullptr);
  return (output * at::linspace(0.5, 2.0, output.numel(), at::kDouble)).sum();
}

/// The derivative along a random direction of each weight tensor.
void expect_gradients(Network& network, const Batch& batch, bool with_dropout = false) {
  constexpr double kStep = 1e-6;
  objective(network, batch, with_dropout).backward();
  at::Generator random = at::detail::createCPUGenerator(3);
  const at::NoGradGuard no_grad;
  for (const auto& [name, value] : network.parameters().all()) {
    const at::Tensor weight = value.detach();
    const at::Tensor direction = at::empty_like(weight).normal_(0.0, 1.0, random);
    const double expected =
        value.grad().defined() ? (value.grad() * direction).sum().item<double>() : 0.0;
    weight.add_(direction, kStep);
    const double above = objective(network, batch, with_dropout).item<double>();
    weight.add_(direction, -2.0 * kStep);
    const double below = objective(network, batch, with_dropout).item<double>();
    weight.add_(direction, kStep);
    EXPECT_NEAR((above - below) / (2.0 * kStep), expected, 2e-7 * (1.0 + std::abs(expected)))
        << name;
  }
}

class NetworkGradient : public ::testing::TestWithParam<std::tuple<Variant, int>> {
 protected:
  MmraConfig config() const {
    MmraConfig config = small_network_config(std::get<0>(GetParam()));
    config.without = without_of_bits(std::get<1>(GetParam()));
    return config;
  }
};

/// Every combination of left-out parts that leaves an input.
INSTANTIATE_TEST_SUITE_P(Mmra, NetworkGradient,
                         ::testing::Combine(::testing::Values(Variant::kPaper, Variant::kReleased),
                                            ::testing::Range(0, 24)),
                         [](const auto& each) {
                           return std::string(name_of(std::get<0>(each.param))) + "_without_" +
                                  std::to_string(std::get<1>(each.param));
                         });

TEST_P(NetworkGradient, IsTheNumericDerivative) {
  const Data data;
  expect_gradients(*small_network(config()), data.batch);
}

TEST_P(NetworkGradient, PredictsEachRowAsIfItWereAlone) {
  const Data data;
  const auto network = small_network(config());
  const at::NoGradGuard no_grad;
  const at::Tensor together = network->forward(data.batch, nullptr);
  for (std::size_t i = 0; i < data.batch.query_rows.size(); ++i) {
    EXPECT_NEAR(network->forward(testing::single(data.batch, i), nullptr).item<double>(),
                together[static_cast<std::int64_t>(i)].item<double>(), 1e-12)
        << "row " << i;
  }
}

class EachNetwork : public ::testing::TestWithParam<Variant> {};

INSTANTIATE_TEST_SUITE_P(Mmra, EachNetwork, ::testing::Values(Variant::kPaper, Variant::kReleased),
                         [](const auto& each) { return std::string(name_of(each.param)); });

TEST_P(EachNetwork, HasTheNumericGradientUnderDropout) {
  const Data data;
  MmraConfig config = small_network_config(GetParam());
  config.dropout_input = 0.3;
  config.dropout_hidden = 0.2;
  config.token_dropout = 0.4;
  expect_gradients(*small_network(config), data.batch, /*with_dropout=*/true);
}

TEST_P(EachNetwork, HasTheNumericGradientWhereEverythingIsMissing) {
  bank::FeatureTable table(testing::kSmallVisualDim, testing::kSmallTextDim);
  for (int row = 0; row < 4; ++row) testing::append_row(table, 0, {}, 0, {}, std::nullopt);
  Batch batch = made_batch(table, 3, testing::kSmallInstances, 2);
  expect_gradients(*small_network(small_network_config(GetParam())), batch);
  std::fill(batch.instance_rows.begin(), batch.instance_rows.end(), -1);
  expect_gradients(*small_network(small_network_config(GetParam())), batch);
}

TEST_P(EachNetwork, HasTheNumericGradientWithoutAnEncoderOfAModality) {
  for (const bool visual : {true, false}) {
    MmraConfig config = small_network_config(GetParam());
    (visual ? config.visual_dim : config.text_dim) = 0;
    const bank::FeatureTable from = made_table(36, 5, 4, 3, 4, 1);
    bank::FeatureTable table(config.visual_dim, config.text_dim);
    for (std::size_t row = 0; row < from.num_rows(); ++row) {
      table.append(visual ? bank::TokenView{} : from.visual_tokens(row),
                   visual ? from.text_tokens(row) : bank::TokenView{}, 3.0);
    }
    expect_gradients(*small_network(config), made_batch(table, 9, testing::kSmallInstances, 2));
  }
}

/// All of the weights learn from the nine rows of `Data` but those that cannot: the text of the
/// released variant is one token, so its pooling is the identity, and a constant added to the
/// scores of a softmax is no change.
TEST_P(EachNetwork, LearnsWithEveryWeightThatCanMatter) {
  const Data data;
  const auto network = small_network(small_network_config(GetParam()));
  objective(*network, data.batch, false).backward();
  std::set<std::string> without_gradient;
  for (const auto& [name, value] : network->parameters().all()) {
    if (!value.grad().defined() || value.grad().abs().max().item<double>() < 1e-12) {
      without_gradient.insert(name);
    }
  }
  const std::set<std::string> released{"uni_modal_linear_1.bias",
                                       "uni_modal_linear_2.weight",
                                       "uni_modal_linear_2.bias",
                                       "retrieval_uni_modal_linear_1.bias",
                                       "retrieval_uni_modal_linear_2.weight",
                                       "retrieval_uni_modal_linear_2.bias"};
  EXPECT_EQ(without_gradient,
            GetParam() == Variant::kReleased ? released : std::set<std::string>{});
}

TEST_P(EachNetwork, DoesNotCareForTheOrderOfTheInstances) {
  const Data data;
  Batch turned = data.batch;
  for (std::size_t query = 0; query < turned.query_rows.size(); ++query) {
    const auto begin = static_cast<std::ptrdiff_t>(query * testing::kSmallInstances);
    std::reverse(turned.instance_rows.begin() + begin,
                 turned.instance_rows.begin() + begin + testing::kSmallInstances);
    std::reverse(turned.similarities.begin() + begin,
                 turned.similarities.begin() + begin + testing::kSmallInstances);
  }
  const auto network = small_network(small_network_config(GetParam()));
  const at::NoGradGuard no_grad;
  EXPECT_LT((network->forward(data.batch, nullptr) - network->forward(turned, nullptr))
                .abs()
                .max()
                .item<double>(),
            1e-12);
}

TEST_P(EachNetwork, DoesNotCareForItsThreads) {
  const Data data;
  MmraConfig config = small_network_config(GetParam());
  const auto network = small_network(config);
  const at::NoGradGuard no_grad;
  const int before = at::get_num_threads();
  at::set_num_threads(1);
  const at::Tensor one = network->forward(data.batch, nullptr);
  at::set_num_threads(3);
  const at::Tensor three = network->forward(data.batch, nullptr);
  at::set_num_threads(before);
  EXPECT_LT((one - three).abs().max().item<double>(), 1e-12);
}

TEST_P(EachNetwork, DrawsDropoutFromItsGeneratorAlone) {
  const Data data;
  MmraConfig config = small_network_config(GetParam());
  config.dropout_hidden = 0.5;
  const auto network = small_network(config);
  const at::NoGradGuard no_grad;
  const auto run = [&](std::uint64_t seed) {
    at::Generator generator = at::detail::createCPUGenerator(seed);
    return network->forward(data.batch, &generator);
  };
  EXPECT_TRUE(run(1).equal(run(1)));
  EXPECT_FALSE(run(1).equal(run(2)));
  EXPECT_FALSE(run(1).equal(network->forward(data.batch, nullptr)));
}

}  // namespace
}  // namespace mmra::model::neural
