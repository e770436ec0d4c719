#pragma once

#include <filesystem>

#include "mmra/model/mmra_config.h"
#include "mmra/model/neural/network_predictor.h"

namespace mmra::model::neural {

/// The MMRA network, in both variants.
class MmraPredictor final : public NetworkPredictor {
 public:
  /// A fresh network for training.
  MmraPredictor(const MmraConfig& config, int num_threads);
  /// One that was saved; it predicts only.
  MmraPredictor(const std::filesystem::path& directory, int num_threads);

 private:
  MmraPredictor(const MmraConfig& config, const std::filesystem::path& directory, int num_threads);
};

}  // namespace mmra::model::neural
