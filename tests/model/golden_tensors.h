#pragma once

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "mmra/core/float16.h"
#include "mmra/model/neural/parameter_set.h"
#include "model/made_values.h"

// What golden files of networks say of tensors: tools/golden/made_numbers.py.

namespace mmra::testing {

/// `count` features of a name from `begin` on, as stored.
inline std::vector<Float16Bits> made_features(const MadeNumbers& numbers, std::int64_t begin,
                                              std::int64_t count) {
  std::vector<Float16Bits> values;
  for (std::int64_t i = begin; i < begin + count; ++i) {
    values.push_back(float_to_half(numbers.feature(static_cast<std::uint64_t>(i))));
  }
  return values;
}

/// Weights of the size that PyTorch initialises with; those of a layer norm are near 1. What
/// `others` names is left as it is.
inline void set_made_weights(model::neural::ParameterSet& parameters,
                             const std::set<std::string>& others) {
  const at::NoGradGuard no_grad;
  for (const model::neural::Parameter& parameter : parameters.all()) {
    const std::string& name = parameter.name;
    if (others.count(name) != 0) continue;
    const double bound = parameter.value.dim() >= 2
                             ? 1.0 / std::sqrt(static_cast<double>(parameter.value.sizes().back()))
                             : 0.05;
    const bool norm = name.find(".norm") != std::string::npos && name.ends_with(".weight");
    const MadeNumbers numbers(name);
    at::Tensor values = at::empty(parameter.value.sizes(), at::kFloat);
    auto* to = values.data_ptr<float>();
    for (std::int64_t i = 0; i < values.numel(); ++i) {
      to[i] = static_cast<float>((norm ? 1.0 : 0.0) +
                                 numbers.in_unit(static_cast<std::uint64_t>(i)) * bound);
    }
    parameter.value.detach().copy_(values);
  }
}

/// A tensor against the norm, the projections and the values of a golden file. `relative` is of the
/// tensor's norm, for its norm, its projections and every value.
inline void expect_summary(const at::Tensor& tensor, const std::string& name,
                           const nlohmann::json& expected, double relative) {
  SCOPED_TRACE(name);
  const double norm = expected.at("norm");
  // What is zero in exact arithmetic comes out as rounding errors there.
  const double tolerance = relative * norm + 1e-13;
  const at::Tensor values = tensor.detach().to(at::kDouble).contiguous();
  EXPECT_NEAR(values.norm().item<double>(), norm, tolerance);
  const auto* from = values.data_ptr<double>();
  for (std::size_t p = 0; p < expected.at("projections").size(); ++p) {
    const MadeNumbers direction(name + "#" + std::to_string(p));
    double projection = 0.0;
    for (std::int64_t i = 0; i < values.numel(); ++i) {
      projection += from[i] * direction.in_unit(static_cast<std::uint64_t>(i));
    }
    EXPECT_NEAR(projection, expected.at("projections")[p].get<double>(), 10.0 * tolerance);
  }
  if (!expected.contains("values")) return;
  const auto all = expected.at("values").get<std::vector<double>>();
  ASSERT_EQ(static_cast<std::int64_t>(all.size()), values.numel());
  for (std::size_t i = 0; i < all.size(); ++i) EXPECT_NEAR(from[i], all[i], tolerance) << i;
}

}  // namespace mmra::testing
