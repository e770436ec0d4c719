#include "mmra/encoders/pretrained/layers.h"

#include <gtest/gtest.h>
#include <omp.h>

#include <array>
#include <cmath>
#include <functional>
#include <map>

#include "expect_error.h"
#include "made_model.h"
#include "mmra/core/bfloat16.h"
#include "mmra/encoders/pretrained/row_kernels.h"
#include "test_files.h"

namespace mmra::encoders {
namespace {

using mmra::testing::expect_error;
using mmra::testing::TemporaryDirectory;
using testing::cosine;
using testing::made_floats;
using testing::made_weights;
using testing::MadeTensors;
using testing::relative_error;

constexpr std::int64_t kIn = 19;
constexpr std::int64_t kOut = 13;

MadeTensors linear_tensors() {
  return {{"fc.weight", {{kOut, kIn}, made_floats(kOut * kIn, 1)}},
          {"fc.bias", {{kOut}, made_floats(kOut, 2)}},
          {"back.weight", {{kIn, kOut}, made_floats(kOut * kIn, 3)}},
          {"norm.gamma", {{kIn}, made_floats(kIn, 4)}},
          {"norm.beta", {{kIn}, made_floats(kIn, 5)}},
          {"table", {{5, 300}, made_floats(1500, 6)}}};
}

std::vector<float> rounded(std::vector<float> values) {
  std::vector<std::uint16_t> bits(values.size());
  round_to_bfloat16(values.data(), bits.data(), static_cast<std::int64_t>(values.size()));
  widen_bfloat16(bits.data(), values.data(), static_cast<std::int64_t>(values.size()));
  return values;
}

/// x Wᵀ + b in double, and the activation.
std::vector<float> product(const std::vector<float>& x, const std::vector<float>& weight,
                           const std::vector<float>& bias, std::int64_t in,
                           const std::function<double(double)>& activation) {
  const auto rows = static_cast<std::int64_t>(x.size()) / in;
  const auto out = static_cast<std::int64_t>(weight.size()) / in;
  std::vector<float> y;
  for (std::int64_t i = 0; i < rows; ++i) {
    for (std::int64_t j = 0; j < out; ++j) {
      double sum = bias.empty() ? 0.0 : bias[static_cast<std::size_t>(j)];
      for (std::int64_t k = 0; k < in; ++k) {
        sum += static_cast<double>(x[static_cast<std::size_t>(i * in + k)]) *
               weight[static_cast<std::size_t>(j * in + k)];
      }
      y.push_back(static_cast<float>(activation(sum)));
    }
  }
  return y;
}

double identity(double x) { return x; }

const std::map<Activation, std::function<double(double)>>& activations() {
  static const std::map<Activation, std::function<double(double)>> kAll = {
      {Activation::kNone, identity},
      {Activation::kRelu, [](double x) { return std::max(x, 0.0); }},
      {Activation::kTanh, [](double x) { return std::tanh(x); }},
      {Activation::kGelu, [](double x) { return 0.5 * x * (1.0 + std::erf(x / std::sqrt(2.0))); }},
      {Activation::kGeluTanh,
       [](double x) {
         return 0.5 * x * (1.0 + std::tanh(std::sqrt(2.0 / M_PI) * (x + 0.044715 * x * x * x)));
       }},
      {Activation::kQuickGelu, [](double x) { return x / (1.0 + std::exp(-1.702 * x)); }}};
  return kAll;
}

std::vector<float> dense(ConstRows rows) {
  std::vector<float> values;
  for (std::int64_t i = 0; i < rows.rows; ++i) {
    values.insert(values.end(), rows.row(i), rows.row(i) + rows.cols);
  }
  return values;
}

class Layers : public ::testing::Test {
 protected:
  TemporaryDirectory folder_;
  Weights weights_ = made_weights(folder_.path(), linear_tensors());
  Workspace workspace_;
};

TEST_F(Layers, LinearWithEachActivation) {
  const Linear linear(weights_, "fc", kOut, kIn, Precision::kFloat32);
  for (const std::int64_t rows : {1, 2, 7, 33}) {
    const auto x = made_floats(static_cast<std::size_t>(rows * kIn), 7);
    for (const auto& [activation, function] : activations()) {
      Matrix y(rows, kOut);
      linear.forward({x.data(), rows, kIn, kIn}, y.view(), workspace_, activation);
      EXPECT_LT(relative_error(dense(y.view()), product(x, made_floats(kOut * kIn, 1),
                                                        made_floats(kOut, 2), kIn, function)),
                1e-6)
          << rows << " rows, activation " << static_cast<int>(activation);
    }
  }
}

TEST_F(Layers, LinearAddsWithoutBiasIntoStridedRows) {
  const Linear linear(weights_, "back", kIn, kOut, Precision::kFloat32);
  const std::int64_t rows = 9;
  const auto x = made_floats(static_cast<std::size_t>(rows * (kOut + 3)), 8);
  const auto before = made_floats(static_cast<std::size_t>(rows * (kIn + 5)), 9);
  auto y = before;
  const ConstRows input{x.data(), rows, kOut, kOut + 3};
  linear.add_to(input, {y.data(), rows, kIn, kIn + 5}, workspace_);
  auto expected = product(dense(input), made_floats(kOut * kIn, 3), {}, kOut, identity);
  for (std::int64_t i = 0; i < rows; ++i) {
    for (std::int64_t j = 0; j < kIn + 5; ++j) {
      const auto at = static_cast<std::size_t>(i * (kIn + 5) + j);
      const double added = j < kIn ? expected[static_cast<std::size_t>(i * kIn + j)] : 0.0;
      EXPECT_NEAR(y[at], before[at] + added, 1e-5) << i << ", " << j;
    }
  }
}

TEST_F(Layers, LinearOfBFloat16) {
  const Linear linear(weights_, "fc", kOut, kIn, Precision::kBFloat16);
  const std::int64_t rows = 6;
  const auto x = made_floats(static_cast<std::size_t>(rows * kIn), 7);
  Matrix y(rows, kOut);
  for (const auto& [activation, function] : activations()) {
    linear.forward({x.data(), rows, kIn, kIn}, y.view(), workspace_, activation);
    const auto expected =
        product(x, rounded(made_floats(kOut * kIn, 1)), made_floats(kOut, 2), kIn, function);
    if (has_bfloat16_products()) {
      EXPECT_GT(cosine(dense(y.view()), expected), 0.9999) << static_cast<int>(activation);
    } else {  // rounded weights, but float32 arithmetic
      EXPECT_LT(relative_error(dense(y.view()), expected), 1e-6) << static_cast<int>(activation);
    }
  }
}

TEST_F(Layers, FeedForwardInPieces) {
  for (const Precision precision : {Precision::kFloat32, Precision::kBFloat16}) {
    const FeedForward layer(Linear(weights_, "fc", kOut, kIn, precision),
                            Linear(weights_, "back", kIn, kOut, precision), Activation::kGelu);
    const std::int64_t rows = 1024 + 3;  // more than a piece
    const auto x = made_floats(static_cast<std::size_t>(rows * kIn), 10);
    auto expected = product(product(x, made_floats(kOut * kIn, 1), made_floats(kOut, 2), kIn,
                                    activations().at(Activation::kGelu)),
                            made_floats(kOut * kIn, 3), {}, kOut, identity);
    for (std::size_t i = 0; i < x.size(); ++i) expected[i] += x[i];
    auto y = x;
    layer.add_to({y.data(), rows, kIn, kIn}, {y.data(), rows, kIn, kIn}, workspace_);
    if (precision == Precision::kFloat32) {
      EXPECT_LT(relative_error(y, expected), 1e-6);
    } else {
      EXPECT_GT(cosine(y, expected), 0.9999);
    }
  }
}

TEST_F(Layers, NoRowsAreNothing) {
  const Linear linear(weights_, "fc", kOut, kIn, Precision::kFloat32);
  linear.forward(ConstRows{nullptr, 0, kIn, kIn}, {nullptr, 0, kOut, kOut}, workspace_);
}

TEST_F(Layers, ProductsOfManyShapesAndThreadNumbers) {
  const Linear linear(weights_, "fc", kOut, kIn, Precision::kFloat32);
  const int threads = omp_get_max_threads();
  const auto x = made_floats(600 * kIn, 11);
  const auto expected = product(x, made_floats(kOut * kIn, 1), made_floats(kOut, 2), kIn, identity);
  for (std::int64_t rows = 600; rows > 0; --rows) {  // more shapes than are kept
    omp_set_num_threads(rows % 2 == 0 ? 1 : 3);
    Matrix y(rows, kOut);
    linear.forward({x.data(), rows, kIn, kIn}, y.view(), workspace_);
    ASSERT_LT(relative_error(dense(y.view()),
                             std::span(expected).first(static_cast<std::size_t>(rows * kOut))),
              1e-6);
  }
  omp_set_num_threads(threads);
}

TEST_F(Layers, LayerNormTakesOldNames) {
  const LayerNorm norm(weights_, "norm", kIn, 1e-5);
  const auto x = made_floats(2 * kIn, 12);
  std::vector<float> y(x.size());
  std::vector<float> expected(x.size());
  norm.forward({x.data(), 2, kIn, kIn}, {y.data(), 2, kIn, kIn});
  const auto weight = made_floats(kIn, 4);
  const auto bias = made_floats(kIn, 5);
  for (std::size_t row = 0; row < 2; ++row) {
    layer_norm_row(x.data() + row * kIn, weight.data(), bias.data(), 1e-5F,
                   expected.data() + row * kIn, kIn);
  }
  EXPECT_EQ(y, expected);
}

TEST_F(Layers, EmbeddingCopiesAndAdds) {
  const auto table = made_floats(1500, 6);
  for (const Precision precision : {Precision::kFloat32, Precision::kBFloat16}) {
    const Embedding embedding(weights_, "table", 5, 300, precision);
    const auto values = precision == Precision::kFloat32 ? table : rounded(table);
    std::vector<float> y(300);
    embedding.copy(4, y.data());
    embedding.add(2, y.data());
    for (std::size_t i = 0; i < 300; ++i) {
      EXPECT_EQ(y[i], values[4 * 300 + i] + values[2 * 300 + i]);
    }
  }
}

TEST_F(Layers, NameTheTensorThatDoesNotFit) {
  expect_error(ErrorKind::kCorruptData,
               "tensor \"fc.weight\" has the shape [13, 19], expected [12, 19]",
               [&] { Linear(weights_, "fc", kOut - 1, kIn, Precision::kFloat32); });
  expect_error(ErrorKind::kCorruptData,
               "tensor \"fc.weight\" has the shape [13, 19], expected [13, 20]",
               [&] { Linear(weights_, "fc", kOut, kIn + 1, Precision::kBFloat16); });
  expect_error(ErrorKind::kCorruptData, "no tensor \"other.weight\"",
               [&] { LayerNorm(weights_, "other", kIn, 1e-5); });
}

TEST(Activations, HaveHuggingFacesNames) {
  const auto parse = [](const std::string& name) {
    return parse_activation(ModelConfig::parse(R"({"hidden_act": ")" + name + "\"}", "c.json"),
                            "hidden_act");
  };
  EXPECT_EQ(parse("gelu"), Activation::kGelu);
  EXPECT_EQ(parse("gelu_new"), Activation::kGeluTanh);
  EXPECT_EQ(parse("gelu_pytorch_tanh"), Activation::kGeluTanh);
  EXPECT_EQ(parse("quick_gelu"), Activation::kQuickGelu);
  EXPECT_EQ(parse("relu"), Activation::kRelu);
  expect_error(ErrorKind::kUnsupported, "c.json: \"hidden_act\" is \"swiglu\"",
               [&] { parse("swiglu"); });
}

}  // namespace
}  // namespace mmra::encoders
