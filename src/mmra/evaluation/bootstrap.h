#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "mmra/evaluation/metrics.h"

namespace mmra::evaluation {

struct Interval {
  double low = 0.0;
  double high = 0.0;
};

/// One value for each of the paper's metrics.
template <typename Value>
struct PerMetric {
  Value nmse{};
  Value mae{};
  Value src{};
};

struct BootstrapOptions {
  int num_resamples = 1000;
  /// The same seed draws the same rows for every system, so that two can be compared row by row.
  std::uint64_t seed = 2024;
  /// 0: metrics over the whole of a resample. Else means over batches of so many rows, as
  /// compute_batch_mean_metrics gives them.
  std::size_t batch_size = 0;
};

/// The metrics of one system on each of many resamples: rows of the split drawn with replacement,
/// as many as there are.
using ResampledMetrics = PerMetric<std::vector<double>>;

/// Resamples the rows (Efron's nonparametric bootstrap). `runs` are the predictions of one system
/// trained several times (log2, each as long as `targets`): on every resample the metric is the
/// mean over the runs, as it is in a table. What rows are drawn follows from the seed and the
/// number of rows alone. A resample on which a metric is undefined gives NaN. Throws
/// Error{kInvalidInput} where there is no run, no row, sizes differ or a value is not finite.
[[nodiscard]] ResampledMetrics resample_metrics(std::span<const std::vector<float>> runs,
                                                std::span<const float> targets,
                                                const BootstrapOptions& options = {});

/// The percentile interval: what lies between the (1 − level)/2 and the (1 + level)/2 quantile
/// (linear between order statistics, as NumPy's). NaN where a value is NaN or there is none.
[[nodiscard]] Interval percentile_interval(std::vector<double> values, double level);
[[nodiscard]] PerMetric<Interval> percentile_intervals(const ResampledMetrics& resampled,
                                                       double level);

/// How much larger a metric of A is than that of B on the same rows.
struct Difference {
  double mean = 0.0;  ///< over the resamples
  Interval interval;
  /// Two-sided: twice the smaller share of resamples on which the difference has the other sign or
  /// is nought, at least 2 / (resamples + 1). NaN where a metric is undefined.
  double p_value = 1.0;
};

/// Paired bootstrap of A − B: resample i of both must be of the same rows. Throws
/// Error{kInvalidInput} where they have different numbers of resamples.
[[nodiscard]] PerMetric<Difference> compare(const ResampledMetrics& a, const ResampledMetrics& b,
                                            double level);

}  // namespace mmra::evaluation
