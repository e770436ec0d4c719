#include <cmath>
#include <numeric>
#include <string>
#include <utility>

#include "mmra/core/error.h"
#include "mmra/pipeline/systems.h"
#include "mmra/pipeline/train.h"
#include "mmra/pipeline/training_rows.h"

namespace mmra::pipeline {
namespace {

constexpr int kPredictBatch = 256;

}  // namespace

EvaluationReport evaluate_model(const std::filesystem::path& bank_directory,
                                const std::filesystem::path& model_directory, bank::Split split,
                                std::size_t batch_size, int num_threads,
                                const std::stop_token& stop, ProgressSink& progress,
                                const std::string& horizon) {
  EvaluationReport report;
  report.split = split;
  report.card = load_training_card(model_directory);
  if (!horizon.empty()) {
    static_cast<void>(bank::require_horizon(horizon));
    report.card.popularity_horizon = horizon;
  }
  const training::Calibration calibration =
      training::load_calibration(model_directory / "calibration.json");
  check_same_encoders(report.card,
                      bank::open_bank(bank_directory, bank::OpenMode::kReadOnly)->info().schema);
  const System& system = system_of_model(report.card.model, model_directory);
  const auto predictor = system.load(model_directory, num_threads);
  const LoadedBank loaded = load_bank(bank_directory, progress, system.feature_columns(),
                                      bank::horizon_of(report.card.popularity_horizon));
  const auto ruled = apply_rules(loaded, report.card.rules, num_threads, stop);
  const bank::BankTable& table = *ruled;

  std::vector<std::int32_t> rows = labelled_rows(table, split);
  if (rows.empty()) {
    throw Error(ErrorKind::kInvalidInput, "the bank has no labelled rows in the split \"" +
                                              std::string(bank::name_of(split)) +
                                              "\"; name another one with --split");
  }
  progress.begin("retrieving", std::nullopt);
  const training::Examples examples = retrieve_for_rows(table, std::move(rows), report.card.k,
                                                        report.card.rules, num_threads, stop);
  progress.end();
  report.predictions =
      training::predict_all(*predictor, loaded.features, loaded.features, examples, kPredictBatch);
  report.targets = labels_of(loaded.features, examples.rows);
  for (const std::int32_t row : examples.rows) {
    report.ids.emplace_back(table.id(static_cast<std::size_t>(row)));
  }
  report.metrics = evaluation::compute_metrics(report.predictions, report.targets);
  if (batch_size > 0) {
    report.batch_means =
        evaluation::compute_batch_mean_metrics(report.predictions, report.targets, batch_size);
  }
  report.interval_level = calibration.level;
  const model::Batch batch = training::as_batch(loaded.features, loaded.features, examples);
  for (const auto& signals : training::error_signals(batch, report.predictions)) {
    report.half_widths.push_back(calibration.half_width(signals));
  }
  std::size_t covered = 0;
  for (std::size_t i = 0; i < report.targets.size(); ++i) {
    covered += std::abs(report.targets[i] - report.predictions[i]) <= report.half_widths[i];
  }
  report.interval_coverage =
      static_cast<double>(covered) / static_cast<double>(report.targets.size());

  const std::vector<float> train_labels =
      labels_of(loaded.features, labelled_rows(table, bank::Split::kTrain));
  if (!train_labels.empty()) {
    const double mean = std::accumulate(train_labels.begin(), train_labels.end(), 0.0) /
                        static_cast<double>(train_labels.size());
    report.mean_of_train = evaluation::compute_metrics(
        std::vector<float>(report.targets.size(), static_cast<float>(mean)), report.targets);
  }
  return report;
}

}  // namespace mmra::pipeline
