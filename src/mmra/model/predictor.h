#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "mmra/bank/feature_table.h"

namespace mmra::model {

/// A batch of queries with their retrieved instances, by reference into tables of features: nothing
/// is copied per neighbour until the predictor gathers the distinct rows.
struct Batch {
  const bank::FeatureTable* queries = nullptr;
  std::vector<std::int32_t> query_rows;  ///< [B] rows of `queries`
  const bank::FeatureTable* memory = nullptr;
  int k = 0;
  std::vector<std::int32_t> instance_rows;  ///< [B × k] rows of `memory`, -1: none
  std::vector<float> similarities;          ///< [B × k]
};

/// Anything that predicts log2 popularity from a query and its instances: the MMRA network, the
/// baselines. Not thread-safe.
class Predictor {
 public:
  virtual ~Predictor() = default;
  /// log2 popularity, [B]. The result for a query does not depend on the rest of the batch.
  [[nodiscard]] virtual std::vector<float> predict(const Batch& batch) = 0;
  /// Writes config.json and the weights into `directory` (each file whole or not at all).
  virtual void save(const std::filesystem::path& directory) const = 0;
};

/// A predictor that learns batch by batch. The loop, early stopping, shuffling and checkpoints are
/// training/'s; the step is its own.
class IterativePredictor : public Predictor {
 public:
  /// One optimiser step on the mean squared error against `targets` [B] (log2); returns the loss
  /// before the step.
  virtual double train_step(const Batch& batch, const std::vector<float>& targets) = 0;
  /// Everything that the next step depends on (weights, averages, optimiser moments, random state),
  /// whole or not at all.
  virtual void save_training_state(const std::filesystem::path& file) const = 0;
  virtual void load_training_state(const std::filesystem::path& file) = 0;
  /// Keeps the present weights as the best so far / makes the best ones the present ones.
  virtual void keep_best() = 0;
  virtual void restore_best() = 0;
};

}  // namespace mmra::model
