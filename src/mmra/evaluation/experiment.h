#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "mmra/evaluation/bootstrap.h"
#include "mmra/evaluation/deciles.h"
#include "mmra/evaluation/metrics.h"

namespace mmra::evaluation {

/// What the paper reports, on its own test split, with its own features.
struct PaperFigures {
  double nmse = 0.0;
  double mae = 0.0;
  double src = 0.0;
};

/// What one training cost, measured from outside its process.
struct Cost {
  double seconds = 0.0;
  double processor_seconds = 0.0;
  std::int64_t peak_bytes = 0;
  bool resumed = false;  ///< it had been stopped: the figures are of its last part
};

/// A training's course, [epochs]; empty where the system is fitted at once.
struct Curve {
  std::vector<double> train_loss;
  std::vector<double> stop_nmse;
};

/// One system trained once.
struct ExperimentRun {
  std::uint64_t seed = 0;
  Metrics valid;
  std::vector<float> predictions;   ///< log2, of the experiment's test rows
  std::vector<double> half_widths;  ///< log2, of their intervals prediction ± half_width
  std::optional<Cost> cost;         ///< nothing where it was not measured
  Curve curve;
};

/// A system's row: its runs differ by their seeds.
struct ExperimentRow {
  std::string name;
  std::string command;  ///< that trains it
  std::optional<PaperFigures> paper;
  std::optional<int> k;  ///< of a figure over k
  std::string reason;    ///< why there are no runs, or fewer than wanted
  std::vector<ExperimentRun> runs;
};

/// Everything that a table or figure is made of.
struct ExperimentResult {
  std::string title;
  std::string what;   ///< one sentence below it
  std::string label;  ///< what is predicted, "log2 of comments after 7d"
  std::vector<std::pair<std::string, std::string>> facts;  ///< the bank, the protocol, …
  std::vector<std::string> notes;
  std::string reference;       ///< the row that the others are compared with
  std::vector<float> targets;  ///< log2, of the test rows
  double interval_level = 0.8;
  std::size_t batch_size = 0;  ///< 0: metrics over the whole split; else means over such batches
  double confidence = 0.95;    ///< of bootstrap intervals
  int num_resamples = 1000;
  std::vector<ExperimentRow> rows;
};

/// Of several runs. The deviation is the sample's (n − 1), NaN of a single run.
struct MeanAndDeviation {
  double mean = 0.0;
  double deviation = 0.0;
};

/// What a table says about a row. All NaN where there is no run.
struct RowSummary {
  std::size_t num_runs = 0;
  PerMetric<MeanAndDeviation> test;
  PerMetric<MeanAndDeviation> valid;
  PerMetric<Interval> interval;  ///< of the mean over the runs, test rows resampled
  /// This row's metric minus the reference's, paired by test row; nothing for the reference itself
  /// and where there is none.
  std::optional<PerMetric<Difference>> difference;
  double coverage = 0.0;           ///< of the runs' intervals
  double mean_width = 0.0;         ///< of them, log2
  double seconds = 0.0;            ///< mean of the runs that were measured, else NaN
  double processor_seconds = 0.0;  ///< the same
  std::int64_t peak_bytes = 0;     ///< the largest; 0: not measured
};

/// Of one run on the test rows. Throws Error{kInvalidInput} where it has other rows.
[[nodiscard]] Metrics measure_run(const ExperimentRun& run, const ExperimentResult& result);

/// One summary for each row. Throws Error{kInvalidInput} where a run has other rows than the
/// experiment.
[[nodiscard]] std::vector<RowSummary> summarise(const ExperimentResult& result);

/// The documents. All give the same numbers: Markdown for people, CSV and JSON for programs
/// (docs/formats/experiment.md).
[[nodiscard]] std::string to_markdown(const ExperimentResult& result,
                                      const std::vector<RowSummary>& summaries);
[[nodiscard]] std::string to_csv(const ExperimentResult& result,
                                 const std::vector<RowSummary>& summaries);
[[nodiscard]] std::string to_json(const ExperimentResult& result,
                                  const std::vector<RowSummary>& summaries);
/// One HTML file that needs nothing else, with its plots as SVG; light and dark.
[[nodiscard]] std::string to_html(const ExperimentResult& result,
                                  const std::vector<RowSummary>& summaries);

}  // namespace mmra::evaluation
