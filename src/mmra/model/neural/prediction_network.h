#pragma once

#include <ATen/ATen.h>

#include <string>
#include <vector>

#include "mmra/model/neural/draws.h"
#include "mmra/model/neural/parameter_set.h"

namespace mmra::model::neural {

/// Multi-layer perceptron with ReLU between its layers, [B × in] to [B] (paper 2.2.4). The layers
/// are named prefix.0, prefix.2, prefix.4 …, as in the authors' code.
class PredictionNetwork {
 public:
  void add_layer(Linear layer) { layers_.push_back(std::move(layer)); }
  [[nodiscard]] at::Tensor operator()(const at::Tensor& x, double dropout_rate,
                                      const Draws& draws) const;

 private:
  std::vector<Linear> layers_;
};

}  // namespace mmra::model::neural
