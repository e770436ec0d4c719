#pragma once

#include <filesystem>
#include <memory>

#include "mmra/model/neural/network_predictor.h"
#include "mmra/model/neural_baseline_config.h"

namespace mmra::model::neural {

/// `dtype` is at::kFloat for use, at::kDouble where gradients are checked. Throws
/// Error{kInvalidInput} where the configuration is not allowed.
[[nodiscard]] std::unique_ptr<Network> make_baseline_network(const NeuralBaselineConfig& config,
                                                             at::ScalarType dtype);

/// Any neural baseline, in both variants.
class BaselinePredictor final : public NetworkPredictor {
 public:
  /// A fresh network for training.
  BaselinePredictor(const NeuralBaselineConfig& config, int num_threads);
  /// One that was saved; it predicts only.
  BaselinePredictor(const std::filesystem::path& directory, int num_threads);

 private:
  BaselinePredictor(const NeuralBaselineConfig& config, const std::filesystem::path& directory,
                    int num_threads);
};

}  // namespace mmra::model::neural
