#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <vector>

#include "mmra/baselines/features.h"
#include "mmra/core/progress.h"
#include "mmra/model/predictor.h"
#include "mmra/plus/kernel_ridge.h"
#include "mmra/plus/key_statistics.h"
#include "mmra/plus/neighbours.h"
#include "mmra/plus/plus_config.h"
#include "mmra/plus/row_vectors.h"
#include "mmra/plus/similarity_index.h"
#include "mmra/plus/value_history.h"

namespace mmra::plus {

using baselines::FeatureMatrix;

/// The kinds of features, in the order of their columns.
enum class Part { kKernel, kNeighbours, kKeys, kShape, kContext };

/// Which part each feature belongs to, [width].
[[nodiscard]] std::vector<Part> parts_of_features(const PlusConfig& config);
[[nodiscard]] bool has_part(const Parts& parts, Part part);

/// What was learned from the train rows, before the trees.
struct FirstStage {
  Spaces spaces;
  std::unique_ptr<SimilarityIndex> train;  ///< the train rows
  KernelRidge ridge;
  KeyStatistics hashtags{5.0};
  KeyStatistics words{20.0};
  KeyStatistics pairs{5.0};
  std::vector<KeyStatistics> categories;  ///< of each used column that is a category
};

/// The rows of the bank that queries may retrieve, as they are now: a bank that grows gives new
/// neighbours and newer histories without training again.
class Memory {
 public:
  /// The labelled rows that the policy's splits admit.
  Memory(const bank::FeatureTable& table, const model::OwnRetrieval& retrieval,
         const PlusConfig& config, const Spaces& spaces, int num_threads);

  [[nodiscard]] const SimilarityIndex& index() const { return *index_; }
  [[nodiscard]] std::size_t row_of(std::size_t position) const {
    return static_cast<std::size_t>(rows_[position]);
  }
  [[nodiscard]] float label(std::size_t position) const { return labels_[position]; }
  /// Of used category column `index`.
  [[nodiscard]] const ValueHistory& history(std::size_t index) const { return histories_[index]; }

 private:
  std::vector<std::int32_t> rows_;  ///< of the table
  std::vector<float> labels_;
  std::unique_ptr<SimilarityIndex> index_;
  std::vector<ValueHistory> histories_;
};

/// Terms of the rows' titles; none where the configuration leaves text out.
[[nodiscard]] std::vector<TitleTerms> terms_of_rows(const bank::FeatureTable& table,
                                                    std::span<const std::int32_t> rows,
                                                    const PlusConfig& config, int num_threads);

/// Throws Error{kInternal} where the batch does not say what each query may retrieve.
void require_retrieval(const model::Batch& batch);

/// Features of queries that no train row is among [B × width]; parts that `config` does not have
/// are NaN.
[[nodiscard]] FeatureMatrix make_features(const model::Batch& batch, const PlusConfig& config,
                                          const FirstStage& stage, const Memory& memory,
                                          int num_threads);

/// The first stage of the train rows, and their features: of each from the rows of other folds
/// alone.
struct FirstStageFit {
  FirstStage stage;
  FeatureMatrix features;
  int kernel_iterations = 0;
  double lambda = 0.0;  ///< of the kernel ridge
};
[[nodiscard]] FirstStageFit fit_first_stage(const model::LabelledBatch& train,
                                            const PlusConfig& config,
                                            std::span<const std::int32_t> folds, int num_threads,
                                            const std::stop_token& stop, ProgressSink& progress);

/// The neighbours of each query [B], best first. `vector_of_query` [B] is the row of `vectors` that
/// a query has: one that is asked in several ways is compared once.
[[nodiscard]] std::vector<std::vector<Neighbour>> find_neighbours(
    const RowVectors& vectors, std::span<const std::size_t> vector_of_query,
    const model::OwnRetrieval& retrieval, const Memory& memory, int num_threads);

/// The rows of a batch's queries, each once, and which of them each query is.
struct DistinctQueries {
  std::vector<std::int32_t> rows;
  std::vector<std::size_t> row_of_query;
};
[[nodiscard]] DistinctQueries distinct_queries(const model::Batch& batch);

}  // namespace mmra::plus
