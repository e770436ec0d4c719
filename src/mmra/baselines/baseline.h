#pragma once

#include <filesystem>
#include <memory>

#include "mmra/baselines/baseline_config.h"
#include "mmra/model/predictor.h"

namespace mmra::baselines {

/// A baseline that has not been fitted. Throws what validate_config throws.
[[nodiscard]] std::unique_ptr<model::FittedPredictor> make_baseline(const BaselineConfig& config,
                                                                    int num_threads);

/// The baseline saved in `directory` by Predictor::save. Throws Error{kNotFound|kCorruptData}
/// naming the file.
[[nodiscard]] std::unique_ptr<model::Predictor> load_baseline(
    const std::filesystem::path& directory, int num_threads);

}  // namespace mmra::baselines
