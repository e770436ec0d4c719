#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "mmra/bank/feature_table.h"
#include "mmra/core/progress.h"
#include "mmra/distributed/communicator.h"
#include "mmra/model/predictor.h"
#include "mmra/retrieval/exact_search.h"

namespace mmra::training {

/// Rows of one table with the instances that were retrieved for them (row i of `instances` belongs
/// to rows[i]).
struct Examples {
  std::vector<std::int32_t> rows;
  retrieval::RetrievalResult instances;
  /// For predictors that retrieve by themselves; `queries` [rows] where it is there.
  std::optional<model::OwnRetrieval> own_retrieval;
};

struct TrainingData {
  const bank::FeatureTable* features = nullptr;  ///< of the bank: queries and instances alike
  Examples train;
  Examples stop;  ///< decide when to stop; never those that calibrate
};

struct TrainOptions {
  int max_epochs = 100;
  int batch_size = 64;
  /// What a step is divided into (IterativePredictor::divide_steps).
  int num_micro_batches = 1;
  int patience = 20;          ///< epochs without a better nMSE on `stop`
  std::uint64_t seed = 2024;  ///< of the shuffling
  bool shuffle = true;        ///< else batches in the order of the rows, as the authors' code does
  /// Where each finished epoch is saved (weights, optimiser, history), whole or not at all, so that
  /// Ctrl-C or kill -9 lose at most the current epoch.
  std::filesystem::path checkpoint_directory;
  bool resume = false;  ///< go on from the checkpoint where there is one
  /// Identifies data, configuration and options: a checkpoint of another run is refused by it.
  std::string run_fingerprint;
  std::stop_token stop;
  /// The ranks that train together, each of which makes the same call; null: one process alone.
  /// Rank 0 alone reads and writes the checkpoint.
  distributed::Communicator* ranks = nullptr;
};

struct EpochRecord {
  int epoch = 0;  ///< from 1
  double train_loss = 0.0;
  double stop_nmse = 0.0;
  double stop_mae = 0.0;
  double stop_src = 0.0;
  double seconds = 0.0;
};

struct TrainingHistory {
  std::vector<EpochRecord> epochs;
  int best_epoch = 0;
};

/// Epochs 1, 2, 3 … and a best one among them: what a run that finished an epoch has.
[[nodiscard]] bool is_whole(const TrainingHistory& history);

/// Trains until the nMSE on `data.stop` has not improved for `patience` epochs, then restores the
/// best weights. One note per epoch to `progress`. Throws Interrupted after the current batch (the
/// last finished epoch is in the checkpoint), Error{kInvalidInput} where a checkpoint belongs to
/// another run. Of ranks all end alike: they stop where one of them is asked to.
TrainingHistory train(model::IterativePredictor& predictor, const TrainingData& data,
                      const TrainOptions& options, ProgressSink& progress);

/// Predictions for `examples`, log2, in batches of `batch_size`.
[[nodiscard]] std::vector<float> predict_all(model::Predictor& predictor,
                                             const bank::FeatureTable& queries,
                                             const bank::FeatureTable& memory,
                                             const Examples& examples, int batch_size);

/// The examples as one batch, for what looks at queries and instances but predicts nothing.
[[nodiscard]] model::Batch as_batch(const bank::FeatureTable& queries,
                                    const bank::FeatureTable& memory, const Examples& examples);

/// The text of history.csv (docs/formats/model.md), one row an epoch.
[[nodiscard]] std::string history_to_csv(const TrainingHistory& history);
/// Throws Error{kCorruptData} naming `origin` and the line. What is undefined is NaN.
[[nodiscard]] TrainingHistory history_from_csv(std::string_view text, const std::string& origin);

/// history.csv (one row an epoch) and history.svg (the loss and nMSE curves, self-contained).
void write_history(const TrainingHistory& history, const std::filesystem::path& directory);

}  // namespace mmra::training
