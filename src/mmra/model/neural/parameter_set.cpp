#include "mmra/model/neural/parameter_set.h"

#include <ATen/CPUGeneratorImpl.h>

#include <cmath>

namespace mmra::model::neural {

ParameterSet::ParameterSet(at::ScalarType dtype, std::uint64_t seed)
    : dtype_(dtype), generator_(at::detail::createCPUGenerator(seed)) {}

at::Tensor ParameterSet::add(const std::string& name, at::Tensor value) {
  value.set_requires_grad(true);
  parameters_.push_back({name, value});
  return value;
}

// Drawn as float whatever the type, so that a network in double starts from the same weights.
at::Tensor ParameterSet::uniform(const std::string& name, at::IntArrayRef shape, double bound) {
  return add(name, at::empty(shape, at::kFloat).uniform_(-bound, bound, generator_).to(dtype_));
}

at::Tensor ParameterSet::glorot(const std::string& name, std::int64_t rows, std::int64_t columns,
                                double gain) {
  return uniform(name, {rows, columns},
                 gain * std::sqrt(6.0 / static_cast<double>(rows + columns)));
}

at::Tensor ParameterSet::zeros(const std::string& name, at::IntArrayRef shape) {
  return add(name, at::zeros(shape, dtype_));
}

at::Tensor ParameterSet::ones(const std::string& name, at::IntArrayRef shape) {
  return add(name, at::ones(shape, dtype_));
}

at::Tensor ParameterSet::normal(const std::string& name, at::IntArrayRef shape) {
  return add(name, at::empty(shape, at::kFloat).normal_(0.0, 1.0, generator_).to(dtype_));
}

at::Tensor ParameterSet::half_normal(const std::string& name, at::IntArrayRef shape, double scale) {
  return add(name, at::empty(shape, at::kFloat).normal_(0.0, scale, generator_).abs().to(dtype_));
}

}  // namespace mmra::model::neural
