#include "mmra/evaluation/experiment.h"

#include <cmath>
#include <limits>
#include <string>

#include "mmra/core/error.h"

namespace mmra::evaluation {
namespace {

constexpr double kUndefined = std::numeric_limits<double>::quiet_NaN();

MeanAndDeviation mean_and_deviation(const std::vector<double>& values) {
  if (values.empty()) return {kUndefined, kUndefined};
  const auto n = static_cast<double>(values.size());
  double mean = 0.0;
  for (const double value : values) mean += value / n;
  double squares = 0.0;
  for (const double value : values) squares += (value - mean) * (value - mean);
  return {mean, values.size() > 1 ? std::sqrt(squares / (n - 1.0)) : kUndefined};
}

PerMetric<MeanAndDeviation> over_runs(const std::vector<Metrics>& runs) {
  PerMetric<std::vector<double>> values;
  for (const Metrics& metrics : runs) {
    values.nmse.push_back(metrics.nmse);
    values.mae.push_back(metrics.mae);
    values.src.push_back(metrics.src);
  }
  return {mean_and_deviation(values.nmse), mean_and_deviation(values.mae),
          mean_and_deviation(values.src)};
}

void add_intervals(const ExperimentResult& result, const ExperimentRow& row, RowSummary& summary) {
  std::size_t covered = 0;
  std::size_t count = 0;
  double width = 0.0;
  for (const ExperimentRun& run : row.runs) {
    for (std::size_t i = 0; i < run.half_widths.size(); ++i) {
      const double error = double{run.predictions[i]} - double{result.targets[i]};
      covered += std::abs(error) <= run.half_widths[i] ? 1 : 0;
      width += 2.0 * run.half_widths[i];
      ++count;
    }
  }
  if (count == 0) return;
  summary.coverage = static_cast<double>(covered) / static_cast<double>(count);
  summary.mean_width = width / static_cast<double>(count);
}

void add_costs(const ExperimentRow& row, RowSummary& summary) {
  std::vector<double> seconds;
  std::vector<double> processor_seconds;
  for (const ExperimentRun& run : row.runs) {
    if (!run.cost) continue;
    summary.peak_bytes = std::max(summary.peak_bytes, run.cost->peak_bytes);
    if (run.cost->resumed) continue;  // a part of a training is no measure of it
    seconds.push_back(run.cost->seconds);
    processor_seconds.push_back(run.cost->processor_seconds);
  }
  summary.seconds = mean_and_deviation(seconds).mean;
  summary.processor_seconds = mean_and_deviation(processor_seconds).mean;
}

RowSummary summarise_row(const ExperimentResult& result, const ExperimentRow& row) {
  RowSummary summary;
  summary.num_runs = row.runs.size();
  std::vector<Metrics> test;
  std::vector<Metrics> valid;
  for (const ExperimentRun& run : row.runs) {
    if (!run.half_widths.empty() && run.half_widths.size() != run.predictions.size()) {
      throw Error(ErrorKind::kInvalidInput,
                  "a run of " + row.name + " has " + std::to_string(run.predictions.size()) +
                      " predictions and " + std::to_string(run.half_widths.size()) + " intervals");
    }
    test.push_back(measure_run(run, result));
    valid.push_back(run.valid);
  }
  summary.test = over_runs(test);
  summary.valid = over_runs(valid);
  summary.coverage = kUndefined;
  summary.mean_width = kUndefined;
  add_intervals(result, row, summary);
  add_costs(row, summary);
  return summary;
}

ResampledMetrics resample(const ExperimentResult& result, const ExperimentRow& row) {
  std::vector<std::vector<float>> runs;
  for (const ExperimentRun& run : row.runs) runs.push_back(run.predictions);
  BootstrapOptions options;
  options.num_resamples = result.num_resamples;
  options.batch_size = result.batch_size;
  return resample_metrics(runs, result.targets, options);
}

}  // namespace

Metrics measure_run(const ExperimentRun& run, const ExperimentResult& result) {
  return result.batch_size > 0
             ? compute_batch_mean_metrics(run.predictions, result.targets, result.batch_size)
             : compute_metrics(run.predictions, result.targets);
}

std::vector<RowSummary> summarise(const ExperimentResult& result) {
  constexpr Interval kNone{kUndefined, kUndefined};
  std::vector<RowSummary> summaries;
  std::vector<std::optional<ResampledMetrics>> resampled;
  const ResampledMetrics* reference = nullptr;
  resampled.reserve(result.rows.size());
  for (const ExperimentRow& row : result.rows) {
    summaries.push_back(summarise_row(result, row));
    summaries.back().interval = {kNone, kNone, kNone};
    resampled.emplace_back();
    if (row.runs.empty()) continue;
    resampled.back() = resample(result, row);
    summaries.back().interval = percentile_intervals(*resampled.back(), result.confidence);
    if (row.name == result.reference) reference = &*resampled.back();
  }
  for (std::size_t i = 0; i < summaries.size() && reference != nullptr; ++i) {
    if (!resampled[i] || &*resampled[i] == reference) continue;
    summaries[i].difference = compare(*resampled[i], *reference, result.confidence);
  }
  return summaries;
}

}  // namespace mmra::evaluation
