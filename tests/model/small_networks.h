#pragma once

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include <map>
#include <memory>
#include <string>

#include "mmra/model/mmra_config.h"
#include "mmra/model/neural/network.h"
#include "model/made_batch.h"

// Networks of a few hundred weights in double precision, for numeric checks.

namespace mmra::testing {

inline constexpr int kSmallVisualDim = 5;
inline constexpr int kSmallTextDim = 4;
inline constexpr int kSmallInstances = 3;

inline model::MmraConfig small_network_config(model::Variant variant) {
  model::MmraConfig config;
  config.variant = variant;
  config.visual_dim = kSmallVisualDim;
  config.text_dim = kSmallTextDim;
  config.width = 4;
  config.mlp_hidden = {6, 5};
  config.k = kSmallInstances;
  config.similarity_scale = 2.0;
  config.label_mean = 5.0;
  config.label_std = 2.0;
  return config;
}

/// Bit 0 leaves out retrieval, 1 positive attention, 2 negative attention, 3 visual, 4 text.
inline model::Without without_of_bits(int bits) {
  return {(bits & 1) != 0, (bits & 2) != 0, (bits & 4) != 0, (bits & 8) != 0, (bits & 16) != 0};
}

/// Its biases and stand-ins are random as well, so that nothing is zero by initialisation alone.
inline std::unique_ptr<model::neural::Network> small_network(const model::MmraConfig& config) {
  std::unique_ptr<model::neural::Network> network =
      model::neural::make_network(config, at::kDouble);
  at::Generator random = at::detail::createCPUGenerator(11);
  for (const model::neural::Parameter& parameter : network->parameters().all()) {
    const at::Tensor value = parameter.value.detach();
    value.add_(at::empty_like(value).uniform_(-0.3, 0.3, random));
  }
  return network;
}

inline std::map<std::string, at::Tensor> weights_by_name(model::neural::Network& network) {
  std::map<std::string, at::Tensor> weights;
  for (const auto& [name, value] : network.parameters().all()) weights[name] = value.detach();
  return weights;
}

}  // namespace mmra::testing
