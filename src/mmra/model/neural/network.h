#pragma once

#include <ATen/ATen.h>

#include <memory>

#include "mmra/model/mmra_config.h"
#include "mmra/model/neural/parameter_set.h"
#include "mmra/model/predictor.h"

namespace mmra::model::neural {

/// A variant of the network: its weights, and the way from a batch to standardised labels.
class Network {
 public:
  explicit Network(ParameterSet parameters) : parameters_(std::move(parameters)) {}
  Network(const Network&) = delete;
  Network& operator=(const Network&) = delete;
  virtual ~Network() = default;

  /// Standardised labels [B], differentiable. `generator` draws the dropout masks in training and
  /// is null at prediction.
  [[nodiscard]] virtual at::Tensor forward(const Batch& batch, at::Generator* generator) const = 0;

  [[nodiscard]] ParameterSet& parameters() { return parameters_; }
  [[nodiscard]] const ParameterSet& parameters() const { return parameters_; }

 protected:
  ParameterSet parameters_;
};

/// `dtype` is at::kFloat for use, at::kDouble where gradients are checked.
[[nodiscard]] std::unique_ptr<Network> make_network(const MmraConfig& config, at::ScalarType dtype);

/// Throws Error{kInvalidInput} where the batch does not fit the configuration: dimensions, sizes,
/// rows outside the tables.
void check_batch(const Batch& batch, const MmraConfig& config);

}  // namespace mmra::model::neural
