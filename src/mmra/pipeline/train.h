#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "mmra/baselines/baseline_config.h"
#include "mmra/core/progress.h"
#include "mmra/distributed/communicator.h"
#include "mmra/evaluation/metrics.h"
#include "mmra/model/mmra_config.h"
#include "mmra/model/neural_baseline_config.h"
#include "mmra/pipeline/model_directory.h"
#include "mmra/plus/plus_config.h"
#include "mmra/training/calibration.h"
#include "mmra/training/trainer.h"

namespace mmra::pipeline {

struct TrainRequest {
  std::filesystem::path bank_directory;
  std::filesystem::path model_directory;
  std::string model = "mmra";  ///< a name of all_systems()
  // Of these the one that `model` names counts; what the bank decides (dimensions, label
  // statistics) is filled in from it.
  model::MmraConfig config;                     ///< mmra
  model::NeuralBaselineConfig neural_baseline;  ///< clstm, tmall, massl, cban, hmmved
  baselines::BaselineConfig baseline;  ///< svr, hyfea, ridge, knn, mean; its kind follows `model`
  plus::PlusConfig plus;               ///< mmra-plus
  /// mmra-plus: context columns of the bank that it looks at; "name:category" for numbers that are
  /// names.
  std::vector<std::string> use;
  RowRules rules;
  /// "7d": labels are popularities so long after posting (bank::label_of); empty: the bank's own.
  std::string horizon;
  int max_epochs = 0;  ///< this and the next three: of what learns in epochs
  int batch_size = 0;
  int num_micro_batches = 2;
  int patience = 0;
  /// Where the train rows are so few that max_epochs makes fewer steps than this, max_epochs and
  /// patience grow in proportion; 0: never.
  int least_steps = 0;
  double interval_level = 0.8;
  bool resume = false;
  int num_threads = 1;
  std::stop_token stop;
  /// The ranks that train together: all make the same call, and rank 0 alone writes. Null: one
  /// process alone.
  distributed::Communicator* ranks = nullptr;
};

struct TrainSummary {
  training::TrainingHistory history;  ///< empty where the model is fitted at once
  std::string fit;                    ///< one line on what was found, where it is fitted at once
  training::Calibration calibration;
  evaluation::Metrics valid;       ///< the whole validation split
  evaluation::Metrics calibrated;  ///< the half of it that did not stop the training
  TrainingCard card;
  double seconds = 0.0;
};

/// Bank → model directory: divides the rows as the rules say, retrieves for every labelled row
/// once, trains the model, calibrates the interval on the validation rows that did not stop the
/// training, and writes config.json, the weights, encoders/, calibration.json, metrics.json,
/// training.json and, of what learns in epochs, history.csv and history.svg. Validation rows are
/// divided in halves by a seeded hash of their ids. Throws Error{kInvalidInput} where there is no
/// such model, the bank has too few labelled rows, or the directory holds another run; Interrupted
/// when stopped (the checkpoint of what learns in epochs stays, `resume` goes on from it);
/// Error{kUnsupported} where several ranks are to train what is fitted at once. What ranks other
/// than 0 return has a history and nothing else.
TrainSummary train_model(const TrainRequest& request, ProgressSink& progress);

struct EvaluationReport {
  evaluation::Metrics metrics;
  std::optional<evaluation::Metrics> batch_means;  ///< on request, the authors' way
  double interval_level = 0.0;
  double interval_coverage = 0.0;     ///< share of rows whose truth lies in their interval
  evaluation::Metrics mean_of_train;  ///< the same rows, predicted by the mean of the train labels
  bank::Split split = bank::Split::kTest;
  TrainingCard card;
  std::vector<std::string> ids;
  std::vector<float> predictions;   ///< log2, row i belongs to ids[i]
  std::vector<float> targets;       ///< log2
  std::vector<double> half_widths;  ///< log2, of the rows' intervals prediction ± half_width
};

/// The metrics of a model over one split, whole. Retrieval as in training. `batch_size` > 0 asks
/// for the means over batches too. `horizon`: labels of this one instead of the model's.
[[nodiscard]] EvaluationReport evaluate_model(const std::filesystem::path& bank_directory,
                                              const std::filesystem::path& model_directory,
                                              bank::Split split, std::size_t batch_size,
                                              int num_threads, const std::stop_token& stop,
                                              ProgressSink& progress,
                                              const std::string& horizon = {});

}  // namespace mmra::pipeline
