// Training in bfloat16: its products against sums of rounded factors, networks against float32.
#include <ATen/CPUGeneratorImpl.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <tuple>
#include <vector>

#include "mmra/model/neural/adam.h"
#include "mmra/model/neural/baselines/baseline_predictor.h"
#include "mmra/model/neural/bfloat16_product.h"
#include "mmra/model/neural/draws.h"
#include "mmra/model/neural/linear.h"
#include "model/small_networks.h"

namespace mmra::model::neural {
namespace {

using testing::made_batch;
using testing::made_table;

at::Tensor random_tensor(at::IntArrayRef shape, std::uint64_t seed) {
  at::Generator generator = at::detail::createCPUGenerator(seed);
  return at::empty(shape, at::kFloat).normal_(0.0, 1.0, generator);
}

BFloat16Bits* bits_of(const at::Tensor& x) {
  return reinterpret_cast<BFloat16Bits*>(x.data_ptr<at::BFloat16>());
}

/// ‖a − b‖ / ‖b‖, in double.
double distance(const at::Tensor& a, const at::Tensor& b) {
  const at::Tensor wanted = b.to(at::kDouble);
  return (a.to(at::kDouble) - wanted).norm().item<double>() /
         (wanted.norm().item<double>() + 1e-30);
}

TEST(BFloat16Rows, RoundAsLibTorchDoes) {
  at::Tensor x = random_tensor({37, 29}, 1);
  x[0][0] = std::numeric_limits<float>::infinity();
  x[0][1] = std::numeric_limits<float>::quiet_NaN();
  x[0][2] = 1.00390625F;  // half way between two: the even one
  x[0][3] = 1.01171875F;
  x[0][4] = 3.4e38F;  // rounds to infinity
  x[0][5] = -0.0F;
  const at::Tensor rounded = at::empty({37, 29}, at::kBFloat16);
  round_rows({x.data_ptr<float>(), 37, 29, 29}, {bits_of(rounded), 37, 29, 29});
  const at::Tensor wanted = x.to(at::kBFloat16);
  EXPECT_TRUE(std::isnan(rounded[0][1].item<float>()));
  rounded[0][1] = wanted[0][1] = 0.0;
  EXPECT_TRUE(rounded.equal(wanted));
}

TEST(BFloat16Rows, TakeTheGradientThroughTheActivation) {
  const at::Tensor dy = random_tensor({150, 31}, 1);
  const at::Tensor x = random_tensor({150, 31}, 2);
  for (const Activation activation : {Activation::kNone, Activation::kRelu, Activation::kTanh}) {
    at::Tensor y = x;
    at::Tensor wanted = dy;
    if (activation == Activation::kRelu) {
      y = at::relu(x);
      wanted = dy * (y > 0.0).to(at::kFloat);
    } else if (activation == Activation::kTanh) {
      y = at::tanh(x);
      wanted = dy * (1.0 - y * y);
    }
    const at::Tensor rounded = at::empty({150, 31}, at::kBFloat16);
    const at::Tensor sums = at::ones({31}, at::kFloat);
    round_gradient({dy.data_ptr<float>(), 150, 31, 31}, y.data_ptr<float>(), activation,
                   {bits_of(rounded), 150, 31, 31}, sums.data_ptr<float>());
    EXPECT_LT(distance(rounded, wanted), 3e-3);
    EXPECT_LT(distance(sums, 1.0 + wanted.sum(0)), 1e-6);
  }
}

/// Of [rows × columns], with rows further apart than they are long, perhaps stored transposed.
struct Stored {
  at::Tensor values;
  BFloat16Matrix matrix;

  Stored(std::int64_t rows, std::int64_t columns, bool transposed, std::uint64_t seed) {
    const std::int64_t high = transposed ? columns : rows;
    const std::int64_t wide = transposed ? rows : columns;
    const at::Tensor all = random_tensor({high, wide + 8}, seed).to(at::kBFloat16);
    values = all.narrow(1, 0, wide);
    matrix = {bits_of(all), rows, columns, wide + 8, transposed};
    if (transposed) values = values.t();
  }
};

TEST(BFloat16Product, IsThatOfTheRoundedFactors) {
  const at::Tensor bias = random_tensor({48}, 3);
  for (const bool a_transposed : {false, true}) {
    for (const bool b_transposed : {false, true}) {
      const Stored a(70, 96, a_transposed, 1);
      const Stored b(96, 48, b_transposed, 2);
      const at::Tensor wanted =
          at::tanh(at::mm(a.values.to(at::kDouble), b.values.to(at::kDouble)) + bias);
      const at::Tensor c = at::zeros({70, 50}, at::kFloat);
      multiply(a.matrix, b.matrix, bias.data_ptr<float>(), Activation::kTanh, c.data_ptr<float>(),
               50);
      EXPECT_LT(distance(c.narrow(1, 0, 48), wanted), 1e-5) << a_transposed << b_transposed;
      EXPECT_EQ(c.narrow(1, 48, 2).abs().max().item<float>(), 0.0F);
    }
  }
}

/// What a processor without bfloat16 products computes.
TEST(BFloat16Product, IsTheSameWidened) {
  const Stored a(70, 96, false, 1);
  const Stored b(96, 48, true, 2);
  const at::Tensor bias = random_tensor({48}, 3);
  const at::Tensor native = at::zeros({70, 48}, at::kFloat);
  const at::Tensor widened = at::zeros({70, 48}, at::kFloat);
  multiply(a.matrix, b.matrix, bias.data_ptr<float>(), Activation::kRelu, native.data_ptr<float>(),
           48);
  multiply_widened(a.matrix, b.matrix, bias.data_ptr<float>(), Activation::kRelu,
                   widened.data_ptr<float>(), 48);
  EXPECT_LT(distance(native, widened), 1e-5);
}

TEST(BFloat16Layer, HasTheGradientsOfTheFloatLayer) {
  for (const Activation activation : {Activation::kNone, Activation::kRelu, Activation::kTanh}) {
    std::vector<at::Tensor> results[2];
    for (const Precision precision : {Precision::kFloat32, Precision::kBFloat16}) {
      const ProductPrecision scope(precision, nullptr);
      std::vector<at::Tensor> inputs = {
          random_tensor({3, 70, 24}, 1).mul_(0.3), random_tensor({3, 70, 40}, 2).mul_(0.3),
          random_tensor({32, 64}, 3).mul_(0.3), random_tensor({32}, 4)};
      for (at::Tensor& x : inputs) x.set_requires_grad(true);
      const at::Tensor y =
          linear_layer_of_both(inputs[0], inputs[1], inputs[2], inputs[3], activation);
      ASSERT_EQ(y.sizes(), at::IntArrayRef({3, 70, 32}));
      (y * random_tensor({3, 70, 32}, 5)).sum().backward();
      auto& result = results[precision == Precision::kBFloat16 ? 1 : 0];
      result.push_back(y.detach());
      for (const at::Tensor& x : inputs) result.push_back(x.grad());
    }
    for (std::size_t i = 0; i < results[0].size(); ++i) {
      // A product of two factors, each rounded by at most 2⁻⁹; ReLU's kink adds to it.
      EXPECT_LT(distance(results[1][i], results[0][i]), 0.02) << i;
      EXPECT_GT(distance(results[1][i], results[0][i]), 0.0) << i;
    }
  }
}

TEST(BFloat16Layer, LeavesDoubleAlone) {
  const ProductPrecision scope(Precision::kBFloat16, nullptr);
  const at::Tensor x = random_tensor({4, 24}, 1).to(at::kDouble);
  const at::Tensor w = random_tensor({32, 24}, 2).to(at::kDouble);
  EXPECT_TRUE(linear_layer(x, w, {}).equal(at::linear(x, w)));
  EXPECT_EQ(feature_type(at::kDouble), at::kDouble);
  EXPECT_EQ(feature_type(at::kFloat), at::kBFloat16);
}

TEST(Adam, RoundsWeightsAsItChangesThem) {
  ParameterSet parameters(at::kFloat, 1);
  const at::Tensor weight = parameters.glorot("weight", 100, 90);
  const at::Tensor bias = parameters.zeros("bias", {100});
  RoundedWeights rounded;
  for (const Parameter& parameter : parameters.all()) rounded.keep(parameter.value);
  EXPECT_FALSE(rounded.of(bias).defined());
  rounded.round();
  EXPECT_TRUE(rounded.of(weight).equal(weight.detach().to(at::kBFloat16)));
  Adam adam(parameters.all(), {.learning_rate = 0.1});
  adam.round_into(rounded);
  (weight.square().sum() + bias.sum()).backward();
  adam.step();
  EXPECT_TRUE(rounded.of(weight).equal(weight.detach().to(at::kBFloat16)));
}

TEST(DrawKept, DrawsWhatLibTorchDraws) {
  at::Generator ours = at::detail::createCPUGenerator(7);
  at::Generator theirs = at::detail::createCPUGenerator(7);
  for (const at::ScalarType type : {at::kFloat, at::kDouble, at::kBFloat16}) {
    at::Tensor drawn = at::empty({1000}, type);
    draw_kept(drawn, 0.8, 1.25, ours);
    const at::Tensor wanted = at::empty({1000}, type).bernoulli_(0.8, theirs).mul_(1.25);
    EXPECT_TRUE(drawn.equal(wanted));
  }
  EXPECT_TRUE(ours.get_state().equal(theirs.get_state()));
}

/// Loss and gradients of a network in one precision.
struct Learned {
  double loss = 0.0;
  std::vector<at::Tensor> gradients;
};

Learned learn(Network& network, const Batch& batch, Precision precision) {
  const ProductPrecision scope(precision, nullptr);
  at::Generator generator = at::detail::createCPUGenerator(5);
  const auto rows = static_cast<std::int64_t>(batch.query_rows.size());
  const auto objective =
      network.objective(batch, at::linspace(-1.0, 1.0, rows, at::kFloat), generator);
  objective.total.backward();
  Learned learned{objective.total.item<double>(), {}};
  for (const Parameter& parameter : network.parameters().all()) {
    at::Tensor value = parameter.value;
    learned.gradients.push_back(value.grad().defined() ? value.grad().clone()
                                                       : at::zeros_like(value.detach()));
    value.mutable_grad() = at::Tensor();
  }
  return learned;
}

/// The losses differ by at most two hundredths; the whole gradient by at most a tenth of its size:
/// roundings of 2⁻⁹ along a dozen products, in a sum over few rows that nearly cancel.
void expect_close(Network& network, const Batch& batch) {
  const Learned exact = learn(network, batch, Precision::kFloat32);
  const Learned rounded = learn(network, batch, Precision::kBFloat16);
  EXPECT_NEAR(rounded.loss, exact.loss, 0.02 * exact.loss);
  double error = 0.0;
  double size = 0.0;
  for (std::size_t i = 0; i < exact.gradients.size(); ++i) {
    const double off = (rounded.gradients[i] - exact.gradients[i]).norm().item<double>();
    const double whole = exact.gradients[i].norm().item<double>();
    error += off * off;
    size += whole * whole;
  }
  EXPECT_LT(std::sqrt(error), 0.1 * std::sqrt(size));
}

struct Data {
  bank::FeatureTable table = made_table(120, 40, 24, 5, 9, 1);
  Batch batch = made_batch(table, 40, 5, 2);
  Data() = default;
  Data(const Data&) = delete;
  Data& operator=(const Data&) = delete;
};

TEST(BFloat16Training, OfTheNetworkIsCloseToFloat32) {
  const Data data;
  for (const Variant variant : {Variant::kPaper, Variant::kReleased}) {
    MmraConfig config = testing::small_network_config(variant);
    config.visual_dim = 40;
    config.text_dim = 24;
    config.width = 32;
    config.mlp_hidden = {32};
    config.k = 5;
    config.dropout_input = config.dropout_hidden = config.token_dropout = 0.2;
    SCOPED_TRACE(name_of(variant));
    expect_close(*make_network(config, at::kFloat), data.batch);
  }
}

TEST(BFloat16Training, OfTheBaselinesIsCloseToFloat32) {
  const Data data;
  for (const NeuralBaseline kind : all_neural_baselines()) {
    for (const Variant variant : {Variant::kPaper, Variant::kReleased}) {
      NeuralBaselineConfig config = default_config(kind, variant);
      config.visual_dim = 40;
      config.text_dim = 24;
      SCOPED_TRACE(std::string(name_of(kind)) + " " + std::string(name_of(variant)));
      expect_close(*make_baseline_network(config, at::kFloat), data.batch);
    }
  }
}

}  // namespace
}  // namespace mmra::model::neural
