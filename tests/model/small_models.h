#pragma once

#include <cmath>
#include <cstddef>
#include <vector>

#include "mmra/model/mmra_config.h"
#include "mmra/model/neural_baseline_config.h"

namespace mmra::testing {

// Networks small enough for a unit test, and what they learn.
inline constexpr int kVisualDim = 12;
inline constexpr int kTextDim = 10;
inline constexpr int kInstances = 4;

/// MMRA with `kInstances` instances, nothing dropped.
inline model::MmraConfig small_mmra(model::Variant variant) {
  model::MmraConfig config;
  config.variant = variant;
  config.visual_dim = kVisualDim;
  config.text_dim = kTextDim;
  config.width = 8;
  config.mlp_hidden = {9};
  config.k = kInstances;
  config.learning_rate = 1e-2;
  config.label_mean = 5.0;
  config.label_std = 2.0;
  return config;
}

inline model::NeuralBaselineConfig small_baseline(model::NeuralBaseline kind,
                                                  model::Variant variant) {
  model::NeuralBaselineConfig config;
  config.kind = kind;
  config.variant = variant;
  config.visual_dim = kVisualDim;
  config.text_dim = kTextDim;
  config.num_frames = 4;
  config.width = kind == model::NeuralBaseline::kMassl ? 64 : 8;
  config.learning_rate = 3e-3;
  if (variant == model::Variant::kPaper) {
    config.label_mean = 5.0;
    config.label_std = 2.0;
  }
  return config;
}

/// Labels around 5, log2.
inline std::vector<float> made_targets(std::size_t count) {
  std::vector<float> targets;
  for (std::size_t i = 0; i < count; ++i) {
    targets.push_back(5.0F + 2.0F * std::sin(static_cast<float>(3 * i)));
  }
  return targets;
}

}  // namespace mmra::testing
