#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <string>
#include <vector>

#include "mmra/model/neural/linear.h"

namespace mmra::model::neural {

/// One weight of a network; the tensor is a leaf that gradients flow to.
struct Parameter {
  std::string name;
  at::Tensor value;
};

/// The weights of a network in the order in which they were made, which is also the order in which
/// they are initialised, saved and counted.
class ParameterSet {
 public:
  /// `dtype` is float for use, double where gradients are checked.
  ParameterSet(at::ScalarType dtype, std::uint64_t seed);

  /// Uniform in ±gain·√(6 / (rows + columns)) (Glorot), [rows × columns].
  at::Tensor glorot(const std::string& name, std::int64_t rows, std::int64_t columns,
                    double gain = 1.0);
  /// Uniform in ±bound, any shape.
  at::Tensor uniform(const std::string& name, at::IntArrayRef shape, double bound);
  at::Tensor zeros(const std::string& name, at::IntArrayRef shape);
  at::Tensor ones(const std::string& name, at::IntArrayRef shape);
  /// N(0, 1).
  at::Tensor normal(const std::string& name, at::IntArrayRef shape);
  /// |N(0, 1)| · scale: like a token after its ReLU.
  at::Tensor half_normal(const std::string& name, at::IntArrayRef shape, double scale);

  [[nodiscard]] at::ScalarType dtype() const { return dtype_; }
  [[nodiscard]] const std::vector<Parameter>& all() const { return parameters_; }
  /// Random numbers for dropout go on where initialisation stopped.
  [[nodiscard]] at::Generator& generator() { return generator_; }

 private:
  at::Tensor add(const std::string& name, at::Tensor value);

  at::ScalarType dtype_;
  at::Generator generator_;
  std::vector<Parameter> parameters_;
};

/// activation(x Wᵀ + b), [… × in] to [… × out]; `bias` may be undefined.
struct Linear {
  at::Tensor weight;  ///< [out × in]
  at::Tensor bias;    ///< [out]

  [[nodiscard]] at::Tensor operator()(const at::Tensor& x,
                                      Activation activation = Activation::kNone) const {
    return linear_layer(x, weight, bias, activation);
  }
  /// Of [x, y], side by side.
  [[nodiscard]] at::Tensor operator()(const at::Tensor& x, const at::Tensor& y,
                                      Activation activation) const {
    return linear_layer_of_both(x, y, weight, bias, activation);
  }
};

}  // namespace mmra::model::neural
