#include "mmra/evaluation/metrics.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <string>
#include <vector>

#include "mmra/core/error.h"

namespace mmra::evaluation {
namespace {

constexpr double kUndefined = std::numeric_limits<double>::quiet_NaN();

void check(std::span<const float> predictions, std::span<const float> targets) {
  if (predictions.size() != targets.size()) {
    throw Error(ErrorKind::kInvalidInput, "metrics need as many predictions as targets: got " +
                                              std::to_string(predictions.size()) + " and " +
                                              std::to_string(targets.size()));
  }
  if (predictions.empty()) {
    throw Error(ErrorKind::kInvalidInput, "metrics need at least one row, got none");
  }
  for (std::size_t i = 0; i < predictions.size(); ++i) {
    if (!std::isfinite(predictions[i]) || !std::isfinite(targets[i])) {
      throw Error(ErrorKind::kInvalidInput, "metrics need finite values: row " + std::to_string(i) +
                                                " has the prediction " +
                                                std::to_string(predictions[i]) +
                                                " and the target " + std::to_string(targets[i]));
    }
  }
}

/// Asked before dividing by a variance: the rounded mean of equal values may differ from them, and
/// their variance would then be tiny, not zero.
bool is_constant(std::span<const float> values) {
  return std::all_of(values.begin(), values.end(),
                     [&](float value) { return value == values.front(); });
}

double mean_of(std::span<const double> values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

double population_variance(std::span<const float> values) {
  const auto n = static_cast<double>(values.size());
  const double mean = std::accumulate(values.begin(), values.end(), 0.0) / n;
  double sum = 0.0;
  for (const float value : values) sum += (value - mean) * (value - mean);
  return sum / n;
}

/// Ranks from 1; equal values share the mean of the ranks they would take.
std::vector<double> average_ranks(std::span<const float> values) {
  std::vector<std::size_t> order(values.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(),
            [&](std::size_t a, std::size_t b) { return values[a] < values[b]; });
  std::vector<double> ranks(values.size());
  for (std::size_t begin = 0; begin < order.size();) {
    std::size_t end = begin + 1;
    while (end < order.size() && values[order[end]] == values[order[begin]]) ++end;
    // The mean of begin + 1, …, end.
    const double rank = 0.5 * static_cast<double>(begin + 1 + end);
    for (std::size_t i = begin; i < end; ++i) ranks[order[i]] = rank;
    begin = end;
  }
  return ranks;
}

double pearson(std::span<const double> a, std::span<const double> b) {
  const double mean_a = mean_of(a);
  const double mean_b = mean_of(b);
  double covariance = 0.0;
  double variance_a = 0.0;
  double variance_b = 0.0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    covariance += (a[i] - mean_a) * (b[i] - mean_b);
    variance_a += (a[i] - mean_a) * (a[i] - mean_a);
    variance_b += (b[i] - mean_b) * (b[i] - mean_b);
  }
  return std::clamp(covariance / std::sqrt(variance_a * variance_b), -1.0, 1.0);
}

double spearman(std::span<const float> predictions, std::span<const float> targets) {
  if (is_constant(predictions) || is_constant(targets)) return kUndefined;
  return pearson(average_ranks(predictions), average_ranks(targets));
}

Metrics metrics_of_checked(std::span<const float> predictions, std::span<const float> targets) {
  double squared = 0.0;
  double absolute = 0.0;
  for (std::size_t i = 0; i < targets.size(); ++i) {
    const double error = static_cast<double>(predictions[i]) - static_cast<double>(targets[i]);
    squared += error * error;
    absolute += std::abs(error);
  }
  const auto n = static_cast<double>(targets.size());
  Metrics metrics;
  metrics.n = targets.size();
  metrics.nmse = is_constant(targets) ? kUndefined : squared / n / population_variance(targets);
  metrics.mae = absolute / n;
  metrics.src = spearman(predictions, targets);
  return metrics;
}

}  // namespace

Metrics compute_metrics(std::span<const float> predictions, std::span<const float> targets) {
  check(predictions, targets);
  return metrics_of_checked(predictions, targets);
}

Metrics compute_batch_mean_metrics(std::span<const float> predictions,
                                   std::span<const float> targets, std::size_t batch_size) {
  check(predictions, targets);
  if (batch_size == 0) {
    throw Error(ErrorKind::kInvalidInput, "metrics over batches need a batch size of at least 1");
  }
  Metrics mean;
  mean.n = targets.size();
  std::size_t num_batches = 0;
  for (std::size_t begin = 0; begin < targets.size(); begin += batch_size, ++num_batches) {
    const std::size_t size = std::min(batch_size, targets.size() - begin);
    const Metrics batch =
        metrics_of_checked(predictions.subspan(begin, size), targets.subspan(begin, size));
    mean.nmse += batch.nmse;
    mean.mae += batch.mae;
    mean.src += batch.src;
  }
  mean.nmse /= static_cast<double>(num_batches);
  mean.mae /= static_cast<double>(num_batches);
  mean.src /= static_cast<double>(num_batches);
  return mean;
}

}  // namespace mmra::evaluation
