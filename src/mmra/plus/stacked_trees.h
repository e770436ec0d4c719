#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "mmra/baselines/booster.h"
#include "mmra/core/progress.h"
#include "mmra/plus/plus_config.h"
#include "mmra/plus/plus_features.h"

namespace mmra::plus {

/// The features that `parts` has, of all of them.
[[nodiscard]] FeatureMatrix select_parts(const FeatureMatrix& features,
                                         std::span<const Part> part_of_feature, const Parts& parts);

/// How well trees on these features do on rows that they have not seen.
struct CrossValidation {
  int num_rounds = 0;  ///< with the smallest mean squared error
  double mean_squared_error = 0.0;
  std::vector<double> squared_errors;  ///< of each row
};

/// Five-fold: the trees of all folds grow side by side until the mean error over all rows has not
/// shrunk for `patience` rounds. `folds` [n], of any number of folds. Throws Interrupted.
[[nodiscard]] CrossValidation cross_validate(const FeatureMatrix& features,
                                             const std::vector<float>& targets,
                                             std::span<const std::int32_t> folds,
                                             const TreeSettings& settings, std::uint64_t seed,
                                             int num_threads, const std::stop_token& stop,
                                             ProgressSink& progress);

/// Trees on all rows, `settings.num_rounds` of them.
[[nodiscard]] baselines::Booster grow_trees(const FeatureMatrix& features,
                                            const std::vector<float>& targets,
                                            const TreeSettings& settings, std::uint64_t seed,
                                            const std::stop_token& stop, ProgressSink& progress);

/// By how much the mean squared error grows without something, from the errors of the same rows
/// with and without it, and the standard error of that.
struct PairedGain {
  double mean = 0.0;
  double standard_error = 0.0;
};
[[nodiscard]] PairedGain paired_gain(std::span<const double> with, std::span<const double> without);

}  // namespace mmra::plus
