#include "mmra/model/neural/adam.h"

#include <ATen/CPUGeneratorImpl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "expect_error.h"

namespace mmra::model::neural {
namespace {

using testing::expect_error;

/// Weights of three shapes; the third has more elements than one thread's share.
ParameterSet made_parameters(at::ScalarType type) {
  ParameterSet parameters(type, 3);
  parameters.uniform("matrix", {5, 7}, 1.0);
  parameters.uniform("bias", {3}, 1.0);
  parameters.uniform("large", {70001}, 1.0);
  return parameters;
}

void set_gradients(const ParameterSet& parameters, std::uint64_t seed, double scale = 1.0) {
  at::Generator random = at::detail::createCPUGenerator(seed);
  for (const Parameter& parameter : parameters.all()) {
    at::Tensor value = parameter.value;
    value.mutable_grad() =
        at::empty(value.sizes(), at::kFloat).normal_(0.0, scale, random).to(value.scalar_type());
  }
}

std::vector<double> to_vector(const at::Tensor& tensor) {
  const at::Tensor values = tensor.detach().to(at::kDouble).contiguous().flatten();
  const auto* from = values.data_ptr<double>();
  return {from, from + values.numel()};
}

/// Kingma and Ba's algorithm 1 with decoupled decay, element by element in double.
struct PlainAdam {
  AdamOptions options;
  std::vector<std::vector<double>> p, m, v, a;
  std::vector<int> t;
  int num_steps = 0;

  PlainAdam(const ParameterSet& parameters, AdamOptions given) : options(given) {
    for (const Parameter& parameter : parameters.all()) {
      p.push_back(to_vector(parameter.value));
      m.emplace_back(p.back().size(), 0.0);
      v.emplace_back(p.back().size(), 0.0);
      t.push_back(0);
    }
    a = p;
  }

  void step(const ParameterSet& parameters) {
    std::vector<std::vector<double>> gradients;
    double squares = 0.0;
    for (const Parameter& parameter : parameters.all()) {
      const at::Tensor& gradient = parameter.value.grad();
      gradients.push_back(gradient.defined() ? to_vector(gradient) : std::vector<double>{});
      for (const double g : gradients.back()) squares += g * g;
    }
    const double norm = std::sqrt(squares);
    const bool too_long = options.gradient_clip > 0.0 && norm > options.gradient_clip;
    const double scale = too_long ? options.gradient_clip / norm : 1.0;
    ++num_steps;
    const double decay = std::min(options.ema_decay, (1.0 + num_steps) / (10.0 + num_steps));
    for (std::size_t i = 0; i < p.size(); ++i) {
      if (!gradients[i].empty()) update(i, gradients[i], scale);
      for (std::size_t j = 0; j < p[i].size(); ++j) {
        a[i][j] = decay * a[i][j] + (1.0 - decay) * p[i][j];
      }
    }
  }

  void update(std::size_t i, const std::vector<double>& gradient, double scale) {
    ++t[i];
    for (std::size_t j = 0; j < p[i].size(); ++j) {
      const double g = scale * gradient[j];
      p[i][j] *= 1.0 - options.learning_rate * options.weight_decay;
      m[i][j] = options.beta1 * m[i][j] + (1.0 - options.beta1) * g;
      v[i][j] = options.beta2 * v[i][j] + (1.0 - options.beta2) * g * g;
      const double m_hat = m[i][j] / (1.0 - std::pow(options.beta1, t[i]));
      const double v_hat = v[i][j] / (1.0 - std::pow(options.beta2, t[i]));
      p[i][j] -= options.learning_rate * m_hat / (std::sqrt(v_hat) + options.epsilon);
    }
  }
};

void expect_equal(const at::Tensor& actual, const std::vector<double>& expected, double tolerance) {
  const std::vector<double> values = to_vector(actual);
  ASSERT_EQ(values.size(), expected.size());
  double worst = 0.0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    worst = std::max(worst, std::abs(values[i] - expected[i]));
  }
  EXPECT_LE(worst, tolerance);
}

/// Six steps, gradients of varying size; the second weight has none in steps 2 and 3.
void expect_plain_adam(const AdamOptions& options, at::ScalarType type) {
  const ParameterSet parameters = made_parameters(type);
  Adam adam(parameters.all(), options);
  PlainAdam plain(parameters, options);
  const double tolerance = type == at::kDouble ? 1e-9 : 5e-6;
  for (std::uint64_t step = 0; step < 6; ++step) {
    set_gradients(parameters, 100 + step, step == 3 ? 1e-3 : 1.0);
    if (step == 2 || step == 3) {
      at::Tensor second = parameters.all()[1].value;
      second.mutable_grad() = at::Tensor();
    }
    plain.step(parameters);
    adam.step();
    for (std::size_t i = 0; i < parameters.all().size(); ++i) {
      expect_equal(parameters.all()[i].value, plain.p[i], tolerance);
      expect_equal(adam.first_moments()[i], plain.m[i], tolerance);
      expect_equal(adam.second_moments()[i], plain.v[i], tolerance);
      if (options.ema_decay > 0.0) expect_equal(adam.averages()[i], plain.a[i], tolerance);
      EXPECT_FALSE(parameters.all()[i].value.grad().defined());
    }
  }
  EXPECT_EQ(adam.num_steps(), 6);
  EXPECT_THAT(adam.steps(), ::testing::ElementsAre(6, 4, 6));
}

class AdamOfType : public ::testing::TestWithParam<at::ScalarType> {};

INSTANTIATE_TEST_SUITE_P(Adam, AdamOfType, ::testing::Values(at::kFloat, at::kDouble),
                         [](const auto& each) {
                           return std::string(each.param == at::kFloat ? "float" : "double");
                         });

TEST_P(AdamOfType, IsThePublishedAlgorithm) {
  AdamOptions options;
  options.learning_rate = 0.01;
  expect_plain_adam(options, GetParam());
}

TEST_P(AdamOfType, DecaysWeightsBesideTheGradient) {
  AdamOptions options;
  options.learning_rate = 0.01;
  options.weight_decay = 0.5;
  expect_plain_adam(options, GetParam());
}

TEST_P(AdamOfType, ClipsTheWholeGradient) {
  AdamOptions options;
  options.learning_rate = 0.01;
  options.gradient_clip = 2.0;
  expect_plain_adam(options, GetParam());
}

TEST_P(AdamOfType, AveragesWithAWarmUp) {
  AdamOptions options;
  options.learning_rate = 0.01;
  for (const double decay : {0.2, 0.999}) {  // below and above what the warm-up admits
    options.ema_decay = decay;
    expect_plain_adam(options, GetParam());
  }
}

TEST(Adam, LeavesAWeightWithoutAGradientAsItIs) {
  const ParameterSet parameters = made_parameters(at::kDouble);
  AdamOptions options;
  options.weight_decay = 0.5;
  Adam adam(parameters.all(), options);
  set_gradients(parameters, 1);
  at::Tensor second = parameters.all()[1].value;
  second.mutable_grad() = at::Tensor();
  const at::Tensor before = second.detach().clone();
  adam.step();
  EXPECT_TRUE(second.detach().equal(before));
  EXPECT_TRUE(adam.first_moments()[1].equal(at::zeros({3}, at::kDouble)));
  EXPECT_THAT(adam.steps(), ::testing::ElementsAre(1, 0, 1));
}

TEST(Adam, RefusesAGradientThatIsNotFiniteAndChangesNothing) {
  for (const double bad : {std::nan(""), std::numeric_limits<double>::infinity()}) {
    const ParameterSet parameters = made_parameters(at::kFloat);
    AdamOptions options;
    options.ema_decay = 0.9;
    options.weight_decay = 0.1;
    Adam adam(parameters.all(), options);
    set_gradients(parameters, 1);
    adam.step();
    std::vector<at::Tensor> before;
    const auto state = [&] {
      std::vector<at::Tensor> all;
      for (std::size_t i = 0; i < 3; ++i) {
        for (const at::Tensor& tensor :
             {parameters.all()[i].value.detach(), adam.first_moments()[i], adam.second_moments()[i],
              adam.averages()[i]}) {
          all.push_back(tensor.clone());
        }
      }
      return all;
    };
    before = state();
    set_gradients(parameters, 2);
    parameters.all()[2].value.grad()[70000] = bad;
    expect_error(ErrorKind::kInvalidInput, "diverged at step 2", [&] { adam.step(); });
    const std::vector<at::Tensor> after = state();
    for (std::size_t i = 0; i < before.size(); ++i) EXPECT_TRUE(after[i].equal(before[i])) << i;
    EXPECT_EQ(adam.num_steps(), 1);
    EXPECT_THAT(adam.steps(), ::testing::ElementsAre(1, 1, 1));

    // The gradient is gone, so the next one is not added to it.
    for (const Parameter& parameter : parameters.all()) {
      EXPECT_FALSE(parameter.value.grad().defined()) << parameter.name;
    }
  }
}

/// torch.optim.Adam's first step is the sign of the gradient times the rate, however small it is.
TEST(Adam, BeginsWithTheSignOfTheGradient) {
  ParameterSet parameters(at::kDouble, 1);
  at::Tensor value = parameters.zeros("w", {3});
  AdamOptions options;
  options.learning_rate = 0.1;
  Adam adam(parameters.all(), options);
  value.mutable_grad() = at::tensor({2.0, -3e-4, 0.0}, at::kDouble);
  adam.step();
  expect_equal(value, {-0.1, 0.1, 0.0}, 1e-5);
}

}  // namespace
}  // namespace mmra::model::neural
