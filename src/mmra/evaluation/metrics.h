#pragma once

#include <cstddef>
#include <span>

namespace mmra::evaluation {

/// The paper's three metrics on log2 labels. NaN where a metric is undefined: nMSE where the
/// targets have no variance, SRC where predictions or targets are constant or there are fewer than
/// two rows.
struct Metrics {
  std::size_t n = 0;
  double nmse = 0.0;  ///< mean squared error / population variance of the targets
  double mae = 0.0;   ///< mean absolute error
  double src = 0.0;   ///< Spearman's rank correlation, ties averaged (= scipy.stats.spearmanr)
};

/// Over all rows at once. Throws Error{kInvalidInput} where the sizes differ, there is no row, or a
/// value is not finite.
[[nodiscard]] Metrics compute_metrics(std::span<const float> predictions,
                                      std::span<const float> targets);

/// The authors' way, for comparison only: the mean of each metric over consecutive batches of
/// `batch_size` rows (the last may be shorter). Undefined batches make the mean NaN, as they do
/// there.
[[nodiscard]] Metrics compute_batch_mean_metrics(std::span<const float> predictions,
                                                 std::span<const float> targets,
                                                 std::size_t batch_size);

}  // namespace mmra::evaluation
