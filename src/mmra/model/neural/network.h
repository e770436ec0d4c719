#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "mmra/model/mmra_config.h"
#include "mmra/model/neural/draws.h"
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

  /// Standardised labels [B], differentiable. `draws` gives the dropout masks in training and
  /// nothing at prediction.
  [[nodiscard]] virtual at::Tensor forward(const Batch& batch, const Draws& draws) const = 0;

  /// What a training step makes smaller, and the part of it that people are shown.
  struct Objective {
    at::Tensor total;          ///< scalar, differentiable
    at::Tensor squared_error;  ///< scalar: the mean squared error
  };
  /// By itself the mean squared error against `wanted`, standardised labels [B].
  [[nodiscard]] virtual Objective objective(const Batch& batch, const at::Tensor& wanted,
                                            const Draws& draws) const;
  /// Whether the objective is a mean over rows, each of which counts for itself: what the gradient
  /// of a batch, as a sum over those of its parts, rests on.
  [[nodiscard]] virtual bool rows_are_independent() const { return true; }
  /// See IterativePredictor::see_unlabelled.
  virtual void see_unlabelled(const bank::FeatureTable& /*features*/,
                              std::vector<std::int32_t> /*rows*/) {}

  [[nodiscard]] ParameterSet& parameters() { return parameters_; }
  [[nodiscard]] const ParameterSet& parameters() const { return parameters_; }

 protected:
  ParameterSet parameters_;
};

/// `dtype` is at::kFloat for use, at::kDouble where gradients are checked.
[[nodiscard]] std::unique_ptr<Network> make_network(const MmraConfig& config, at::ScalarType dtype);

/// What a network asks of its batches.
struct BatchShape {
  int visual_dim = 0;
  int text_dim = 0;
  bool instances = true;  ///< false: they are not looked at
};

/// Throws Error{kInvalidInput} where the batch does not fit: dimensions, sizes, rows outside the
/// tables.
void check_batch(const Batch& batch, const BatchShape& shape);

}  // namespace mmra::model::neural
