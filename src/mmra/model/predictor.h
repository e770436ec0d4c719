#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "mmra/bank/feature_table.h"
#include "mmra/core/progress.h"
#include "mmra/distributed/communicator.h"
#include "mmra/retrieval/retrieval_policy.h"

namespace mmra::model {

/// For predictors that retrieve by themselves: who the queries are to the policy that decides what
/// each of them may see.
struct OwnRetrieval {
  const bank::BankTable* table = nullptr;  ///< of the bank; its rows are those of Batch::memory
  retrieval::RetrievalPolicy policy;
  std::vector<retrieval::QueryIdentity> queries;  ///< [B]
};

/// A batch of queries with their retrieved instances, by reference into tables of features: nothing
/// is copied per neighbour until the predictor gathers the distinct rows.
struct Batch {
  const bank::FeatureTable* queries = nullptr;
  std::vector<std::int32_t> query_rows;  ///< [B] rows of `queries`
  const bank::FeatureTable* memory = nullptr;
  int k = 0;
  std::vector<std::int32_t> instance_rows;  ///< [B × k] rows of `memory`, -1: none
  std::vector<float> similarities;          ///< [B × k]
  std::optional<OwnRetrieval> own_retrieval = std::nullopt;
};

/// What a prediction of a model that retrieves by itself rests on.
struct UsedInstance {
  std::size_t row = 0;  ///< of Batch::memory
  double similarity = 0.0;
  double weight = 0.0;
};

/// Anything that predicts log2 popularity from a query and its instances: the MMRA network, the
/// baselines. Not thread-safe.
class Predictor {
 public:
  virtual ~Predictor() = default;
  /// log2 popularity, [B]. The result for a query does not depend on the rest of the batch (but in
  /// the variants of neural baselines that repeat this fault of the authors' code).
  [[nodiscard]] virtual std::vector<float> predict(const Batch& batch) = 0;
  /// Of a predictor that retrieves by itself: for each query its `k` most weighty instances, best
  /// first, with weights that sum to 1 over those that are listed. Nothing of one that takes the
  /// batch's.
  [[nodiscard]] virtual std::optional<std::vector<std::vector<UsedInstance>>> used_instances(
      const Batch& /*batch*/, int /*k*/) {
    return std::nullopt;
  }
  /// Writes config.json and the weights into `directory` (each file whole or not at all).
  virtual void save(const std::filesystem::path& directory) const = 0;
};

/// A predictor that learns batch by batch. The loop, early stopping, shuffling and checkpoints are
/// training/'s; the step is its own.
class IterativePredictor : public Predictor {
 public:
  /// One optimiser step on the predictor's objective, which contains the mean squared error against
  /// `targets` [B] (log2); returns that error before the step.
  virtual double train_step(const Batch& batch, const std::vector<float>& targets) = 0;
  /// From now on each step's batch is divided into `num_micro_batches`, whose gradients are added
  /// up: by the threads of this process, and where `ranks` is not null, by all of them. It must
  /// outlive the training, all ranks are given the same batches, and all end with the weights
  /// that one process would have: the numbers depend on how many micro-batches there are, not on
  /// who computes them. Said once, before the first step. A model whose step cannot be divided
  /// computes it whole, and throws Error{kUnsupported} where there are several ranks;
  /// Error{kInvalidInput} where there are more ranks than micro-batches.
  virtual void divide_steps(int num_micro_batches, distributed::Communicator* ranks) = 0;
  /// For predictors that learn from features without labels (transductive ones): `rows` of
  /// `features`, which must outlive the training. Said once, before the first step; the popularity
  /// of these rows is not to be read.
  virtual void see_unlabelled(const bank::FeatureTable& /*features*/,
                              std::vector<std::int32_t> /*rows*/) {}
  /// Everything that the next step depends on (weights, averages, optimiser moments, random state),
  /// whole or not at all.
  virtual void save_training_state(const std::filesystem::path& file) const = 0;
  virtual void load_training_state(const std::filesystem::path& file) = 0;
  /// Keeps the present weights as the best so far / makes the best ones the present ones.
  virtual void keep_best() = 0;
  virtual void restore_best() = 0;
};

/// Rows whose popularity is known.
struct LabelledBatch {
  Batch batch;
  std::vector<float> targets;  ///< log2 popularity, [B]
};

/// A predictor that is fitted to all rows at once: trees, support vectors, a least-squares fit.
class FittedPredictor : public Predictor {
 public:
  /// Learns from `train` (its instances among it); `stop` (never the rows that calibrate) chooses
  /// what is not learned: a penalty, a number of trees. Both may be of any size above 0. Throws
  /// Interrupted soon after `stop_token` asks for it, Error{kInvalidInput} where the rows have
  /// nothing to learn from.
  virtual void fit(const LabelledBatch& train, const LabelledBatch& stop,
                   const std::stop_token& stop_token, ProgressSink& progress) = 0;
  /// One line on what was found, for people: "lambda 100, chosen on 987 validation rows".
  [[nodiscard]] virtual std::string describe_fit() const = 0;
};

}  // namespace mmra::model
