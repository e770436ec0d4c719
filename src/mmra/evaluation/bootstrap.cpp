#include "mmra/evaluation/bootstrap.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>
#include <string>

#include "mmra/core/error.h"

namespace mmra::evaluation {
namespace {

constexpr double kUndefined = std::numeric_limits<double>::quiet_NaN();

/// The rows in ascending order of a value, and where each run of equal values ends.
class RankOrder {
 public:
  explicit RankOrder(std::span<const float> values) : order_(values.size()) {
    std::iota(order_.begin(), order_.end(), std::size_t{0});
    std::sort(order_.begin(), order_.end(),
              [&](std::size_t a, std::size_t b) { return values[a] < values[b]; });
    for (std::size_t i = 0; i < order_.size(); ++i) {
      const bool last = i + 1 == order_.size() || values[order_[i]] != values[order_[i + 1]];
      if (last) group_ends_.push_back(i + 1);
    }
  }

  /// Ranks from 1 of a resample that has row i `counts[i]` times, ties averaged: what sorting the
  /// resample would give, without sorting it. ranks[i] is left alone where counts[i] is 0.
  /// Returns false where all drawn values are equal.
  bool rank(std::span<const std::uint32_t> counts, std::vector<double>& ranks) const {
    double before = 0.0;
    std::size_t begin = 0;
    int num_groups = 0;
    for (const std::size_t end : group_ends_) {
      double count = 0.0;
      for (std::size_t i = begin; i < end; ++i) count += counts[order_[i]];
      const double rank = before + 0.5 * (count + 1.0);
      for (std::size_t i = begin; i < end; ++i) ranks[order_[i]] = rank;
      before += count;
      begin = end;
      num_groups += count > 0.0 ? 1 : 0;
    }
    return num_groups > 1;
  }

 private:
  std::vector<std::size_t> order_;
  std::vector<std::size_t> group_ends_;
};

/// Spearman's correlation of a resample of `n` rows: mean rank (n + 1) / 2.
double correlate(std::span<const double> a, std::span<const double> b,
                 std::span<const std::uint32_t> counts) {
  const double mean = 0.5 * (static_cast<double>(counts.size()) + 1.0);
  double covariance = 0.0;
  double variance_a = 0.0;
  double variance_b = 0.0;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    if (counts[i] == 0) continue;
    const double da = a[i] - mean;
    const double db = b[i] - mean;
    covariance += counts[i] * da * db;
    variance_a += counts[i] * da * da;
    variance_b += counts[i] * db * db;
  }
  return std::clamp(covariance / std::sqrt(variance_a * variance_b), -1.0, 1.0);
}

/// Metrics of resamples over the whole, from the number of times that each row was drawn.
class WholeMetrics {
 public:
  WholeMetrics(std::span<const std::vector<float>> runs, std::span<const float> targets)
      : runs_(runs), targets_(targets), target_order_(targets) {
    for (const std::vector<float>& run : runs) run_orders_.emplace_back(run);
    target_ranks_.resize(targets.size());
    run_ranks_.resize(targets.size());
  }

  Metrics measure(std::span<const std::uint32_t> counts) {
    const bool targets_vary = target_order_.rank(counts, target_ranks_);
    const double variance = targets_vary ? variance_of_targets(counts) : kUndefined;
    Metrics mean;
    mean.n = targets_.size();
    for (std::size_t run = 0; run < runs_.size(); ++run) add(run, counts, variance, mean);
    const auto num_runs = static_cast<double>(runs_.size());
    mean.nmse /= num_runs;
    mean.mae /= num_runs;
    mean.src /= num_runs;
    return mean;
  }

 private:
  [[nodiscard]] double variance_of_targets(std::span<const std::uint32_t> counts) const {
    const auto n = static_cast<double>(targets_.size());
    double mean = 0.0;
    for (std::size_t i = 0; i < counts.size(); ++i) mean += counts[i] * double{targets_[i]};
    mean /= n;
    double sum = 0.0;
    for (std::size_t i = 0; i < counts.size(); ++i) {
      sum += counts[i] * (targets_[i] - mean) * (targets_[i] - mean);
    }
    return sum / n;
  }

  void add(std::size_t run, std::span<const std::uint32_t> counts, double variance, Metrics& sum) {
    const auto n = static_cast<double>(targets_.size());
    double squared = 0.0;
    double absolute = 0.0;
    for (std::size_t i = 0; i < counts.size(); ++i) {
      const double error = double{runs_[run][i]} - double{targets_[i]};
      squared += counts[i] * error * error;
      absolute += counts[i] * std::abs(error);
    }
    const bool defined = run_orders_[run].rank(counts, run_ranks_) && std::isfinite(variance);
    sum.nmse += squared / n / variance;
    sum.mae += absolute / n;
    sum.src += defined ? correlate(run_ranks_, target_ranks_, counts) : kUndefined;
  }

  std::span<const std::vector<float>> runs_;
  std::span<const float> targets_;
  RankOrder target_order_;
  std::vector<RankOrder> run_orders_;
  std::vector<double> target_ranks_;
  std::vector<double> run_ranks_;
};

/// The same as means over batches of the rows in the order in which they were drawn.
Metrics measure_batches(std::span<const std::vector<float>> runs, std::span<const float> targets,
                        std::span<const std::size_t> rows, std::size_t batch_size) {
  std::vector<float> drawn_targets;
  for (const std::size_t row : rows) drawn_targets.push_back(targets[row]);
  std::vector<float> drawn(rows.size());
  Metrics mean;
  const auto num_runs = static_cast<double>(runs.size());
  for (const std::vector<float>& run : runs) {
    for (std::size_t i = 0; i < rows.size(); ++i) drawn[i] = run[rows[i]];
    const Metrics metrics = compute_batch_mean_metrics(drawn, drawn_targets, batch_size);
    mean.nmse += metrics.nmse / num_runs;
    mean.mae += metrics.mae / num_runs;
    mean.src += metrics.src / num_runs;
  }
  return mean;
}

void check(std::span<const std::vector<float>> runs, std::span<const float> targets,
           const BootstrapOptions& options) {
  if (runs.empty()) {
    throw Error(ErrorKind::kInvalidInput, "a bootstrap needs the predictions of at least one run");
  }
  if (options.num_resamples < 1) {
    throw Error(ErrorKind::kInvalidInput, "a bootstrap needs at least one resample, not " +
                                              std::to_string(options.num_resamples));
  }
  for (const std::vector<float>& run : runs) (void)compute_metrics(run, targets);  // checks both
}

double quantile(const std::vector<double>& sorted, double share) {
  const double position = share * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<std::size_t>(std::floor(position));
  const std::size_t above = std::min(below + 1, sorted.size() - 1);
  const double part = position - static_cast<double>(below);
  return sorted[below] + part * (sorted[above] - sorted[below]);
}

Difference difference_of(const std::vector<double>& a, const std::vector<double>& b, double level) {
  if (a.size() != b.size() || a.empty()) {
    throw Error(ErrorKind::kInvalidInput,
                "a paired comparison needs as many resamples of both: " + std::to_string(a.size()) +
                    " and " + std::to_string(b.size()));
  }
  std::vector<double> differences(a.size());
  std::size_t not_above = 0;
  std::size_t not_below = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    differences[i] = a[i] - b[i];
    not_above += differences[i] <= 0.0 ? 1 : 0;
    not_below += differences[i] >= 0.0 ? 1 : 0;
  }
  Difference result;
  result.mean = std::accumulate(differences.begin(), differences.end(), 0.0) /
                static_cast<double>(differences.size());
  result.p_value = std::min(1.0, 2.0 * static_cast<double>(std::min(not_above, not_below) + 1) /
                                     static_cast<double>(differences.size() + 1));
  if (std::isnan(result.mean)) result.p_value = kUndefined;
  result.interval = percentile_interval(std::move(differences), level);
  return result;
}

}  // namespace

ResampledMetrics resample_metrics(std::span<const std::vector<float>> runs,
                                  std::span<const float> targets, const BootstrapOptions& options) {
  check(runs, targets, options);
  const std::size_t n = targets.size();
  WholeMetrics whole(runs, targets);
  std::mt19937_64 random(options.seed);
  std::vector<std::size_t> rows(n);
  std::vector<std::uint32_t> counts(n);
  ResampledMetrics resampled;
  for (int i = 0; i < options.num_resamples; ++i) {
    std::fill(counts.begin(), counts.end(), 0U);
    // 2^64 is so far above n that the remainder's bias does not matter.
    for (std::size_t& row : rows) ++counts[row = random() % n];
    const Metrics metrics = options.batch_size > 0
                                ? measure_batches(runs, targets, rows, options.batch_size)
                                : whole.measure(counts);
    resampled.nmse.push_back(metrics.nmse);
    resampled.mae.push_back(metrics.mae);
    resampled.src.push_back(metrics.src);
  }
  return resampled;
}

Interval percentile_interval(std::vector<double> values, double level) {
  const bool undefined =
      values.empty() || std::any_of(values.begin(), values.end(), [](double v) { return v != v; });
  if (undefined) return {kUndefined, kUndefined};
  std::sort(values.begin(), values.end());
  return {quantile(values, 0.5 * (1.0 - level)), quantile(values, 0.5 * (1.0 + level))};
}

PerMetric<Interval> percentile_intervals(const ResampledMetrics& resampled, double level) {
  return {percentile_interval(resampled.nmse, level), percentile_interval(resampled.mae, level),
          percentile_interval(resampled.src, level)};
}

PerMetric<Difference> compare(const ResampledMetrics& a, const ResampledMetrics& b, double level) {
  return {difference_of(a.nmse, b.nmse, level), difference_of(a.mae, b.mae, level),
          difference_of(a.src, b.src, level)};
}

}  // namespace mmra::evaluation
