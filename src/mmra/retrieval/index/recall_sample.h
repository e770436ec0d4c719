#pragma once

#include <cstddef>
#include <span>
#include <stop_token>
#include <vector>

#include "mmra/retrieval/index/faiss_index.h"
#include "mmra/retrieval/index/search_effort.h"

namespace mmra::retrieval {

/// What a search finds of the ten nearest, measured.
struct MeasuredRecall {
  double mean = 1.0;
  /// The mean of all vectors as queries is at least that, at a confidence of 95 % (the sample's
  /// mean less 1.645 of its standard errors).
  double lower = 1.0;
};

/// Some of an index's own vectors as queries, and how similar the tenth-nearest other one of each
/// is (and those of the other kEffortRanks): among all, and among the first half, quarter … of the
/// places, as a filter by time admits them.
class RecallSample {
 public:
  /// `vectors`: row-major [n × dim], as long as this lives. Throws Interrupted.
  RecallSample(std::span<const float> vectors, std::size_t dim, int num_threads,
               const std::stop_token& stop);

  /// The recall of the kEffortRanks[rank] nearest, at first the ten, by searches of this effort for
  /// ten among the first n / 2^halving places.
  [[nodiscard]] MeasuredRecall recall_of(const FaissIndex& index, SearchEffort effort,
                                         std::size_t halving = 0, std::size_t rank = 0) const;

 private:
  /// Of the nearest up to a rank.
  struct Nearest {
    float threshold = 0.0F;  ///< whoever is as similar is one of them
    std::size_t count = 0;
  };
  struct Query {
    std::size_t place = 0;
    std::array<std::array<Nearest, kNumRanks>, kNumEfforts> nearest{};
  };

  [[nodiscard]] std::span<const float> vector(std::size_t place) const {
    return vectors_.subspan(place * dim_, dim_);
  }
  [[nodiscard]] std::size_t end_of(std::size_t halving) const {
    return (vectors_.size() / dim_) >> halving;
  }
  void find_thresholds(std::span<Query> queries) const;
  [[nodiscard]] double recall_of(const FaissIndex& index, SearchEffort effort, std::size_t halving,
                                 std::size_t rank, const Query& query) const;

  std::span<const float> vectors_;
  std::size_t dim_;
  int num_threads_;
  std::stop_token stop_;
  std::vector<Query> queries_;
};

/// The least efforts by which such an index finds `wanted_recall` of the ten nearest, by the lower
/// bound (and of the nearest up to each of kEffortRanks), and what the first of them finds.
/// Searches with a filter are measured where the kind of index must look wider then. Sets the
/// index's own width where it has one.
struct ChosenEfforts {
  SearchEfforts efforts;
  float recall = 1.0F;
};
/// `share_of_bank`: how much of it the index is of; one of most of it is searched for all ten, and
/// the others are not measured.
[[nodiscard]] ChosenEfforts choose_efforts(FaissIndex& index, const RecallSample& sample,
                                           double wanted_recall, double share_of_bank);

}  // namespace mmra::retrieval
