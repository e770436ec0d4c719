#pragma once

#include <memory>

#include "mmra/model/mmra_config.h"
#include "mmra/model/neural_baseline_config.h"
#include "mmra/model/predictor.h"

namespace mmra::model {

// The networks live in a library of its own (lib/libmmra_neural.so beside the program's bin/),
// loaded on the first call below, because loading LibTorch takes half a second and 160 MiB that
// most commands do not need. Throws Error{kUnsupported} where it cannot be loaded, with the path
// and the reason.

/// A fresh network, initialised from config.seed.
[[nodiscard]] std::unique_ptr<IterativePredictor> make_mmra(const MmraConfig& config,
                                                            int num_threads);

/// The network saved in `directory` by Predictor::save (config.json, model.safetensors). Throws
/// Error{kNotFound|kCorruptData} naming file and tensor.
[[nodiscard]] std::unique_ptr<Predictor> load_mmra(const std::filesystem::path& directory,
                                                   int num_threads);

/// The same for the neural baselines.
[[nodiscard]] std::unique_ptr<IterativePredictor> make_neural_baseline(
    const NeuralBaselineConfig& config, int num_threads);
[[nodiscard]] std::unique_ptr<Predictor> load_neural_baseline(
    const std::filesystem::path& directory, int num_threads);

}  // namespace mmra::model
