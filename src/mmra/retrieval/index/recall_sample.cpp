#include "mmra/retrieval/index/recall_sample.h"

#include <algorithm>
#include <functional>

#include "mmra/core/error.h"
#include "mmra/core/threads.h"
#include "mmra/retrieval/matrix_product.h"
#include "mmra/retrieval/similarity.h"

namespace mmra::retrieval {
namespace {

// So many of a large index; of one that is soon made, and soon part of a larger one, fewer, so that
// this does not take longer than making it. The lower bound is then lower, and searches are wider.
constexpr std::size_t kMostQueries = 1000;
constexpr std::size_t kLeastQueries = 250;
constexpr std::size_t kVectorsPerQuery = 256;
// Under filters every third is asked: there are more of these measurements, and wider searches.
constexpr std::size_t kFilteredStride = 3;
constexpr std::size_t kRecallAt = 10;
constexpr std::size_t kQueriesPerProduct = 64;
constexpr std::size_t kRowsPerProduct = 4096;
constexpr std::size_t kQueriesPerTask = 8;
constexpr std::size_t kVectorsWorthThreads = 4096;
// One-sided, 95 %, of a normal distribution.
constexpr double kStandardErrors = 1.645;
// Among fewer vectors than that, a scan is quicker than any index.
constexpr std::size_t kLeastFiltered = 1024;
constexpr int kLeastPlaces = 12;
constexpr int kMostPlaces = 1024;
// Of what may be missed, so much may be for the sake of too few places that are proposed; the rest
// is missed by lists that are not looked at.
constexpr double kMissedByPlaces = 0.4;

/// The ten best of an interval of places, the worst on top.
class BestScores {
 public:
  void add(float score) {
    if (heap_.size() == kRecallAt) {
      if (score <= heap_.front()) return;
      std::pop_heap(heap_.begin(), heap_.end(), std::greater<>());
      heap_.pop_back();
    }
    heap_.push_back(score);
    std::push_heap(heap_.begin(), heap_.end(), std::greater<>());
  }
  void add(const BestScores& others) {
    for (const float score : others.heap_) add(score);
  }
  /// The best first.
  [[nodiscard]] std::vector<float> sorted() const {
    std::vector<float> scores = heap_;
    std::sort_heap(scores.begin(), scores.end(), std::greater<>());
    return scores;
  }

 private:
  std::vector<float> heap_;
};

/// The least number from `least` on that is enough, to within a sixteenth; `most` where none is.
/// What is enough for one is, but for chance, for every larger one.
int find_least(int least, int most, const std::function<bool(int)>& is_enough) {
  int low = least - 1;  // is not enough
  int high = least;
  while (high < most && !is_enough(high)) {
    low = high;
    high = std::min(most, std::max(high + 1, 2 * high));
  }
  while (high - low > std::max(1, high / 16)) {
    const int between = low + (high - low) / 2;
    (is_enough(between) ? high : low) = between;
  }
  return high;
}

}  // namespace

RecallSample::RecallSample(std::span<const float> vectors, std::size_t dim, int num_threads,
                           const std::stop_token& stop)
    : vectors_(vectors),
      dim_(dim),
      num_threads_(vectors.size() / dim < kVectorsWorthThreads ? 1 : num_threads),
      stop_(stop) {
  const std::size_t num_vectors = end_of(0);
  if (num_vectors <= kRecallAt) return;
  queries_.resize(std::min(std::clamp(num_vectors / kVectorsPerQuery, kLeastQueries, kMostQueries),
                           num_vectors));
  for (std::size_t i = 0; i < queries_.size(); ++i) {
    queries_[i].place = i * num_vectors / queries_.size();
  }
  parallel_for(queries_.size(), kQueriesPerProduct, num_threads_,
               [&](std::size_t begin, std::size_t end) {
                 find_thresholds(std::span(queries_).subspan(begin, end - begin));
               });
}

void RecallSample::find_thresholds(std::span<Query> queries) const {
  std::vector<float> rows;
  for (const Query& query : queries) {
    rows.insert(rows.end(), vector(query.place).begin(), vector(query.place).end());
  }
  // Of the places from the half on, of those from the quarter to the half …
  std::vector<std::array<BestScores, kNumEfforts>> best(queries.size());
  std::vector<float> scores;
  for (std::size_t halving = kNumEfforts; halving-- > 0;) {
    const std::size_t end = end_of(halving);
    const std::size_t begin = halving + 1 < kNumEfforts ? end_of(halving + 1) : 0;
    for (std::size_t first = begin; first < end; first += kRowsPerProduct) {
      if (stop_.stop_requested()) throw Interrupted();
      const std::size_t count = std::min(kRowsPerProduct, end - first);
      scores.resize(queries.size() * count);
      multiply_by_transposed({rows.data(), queries.size(), dim_},
                             {vectors_.data() + first * dim_, count, dim_}, scores.data());
      for (std::size_t q = 0; q < queries.size(); ++q) {
        for (std::size_t i = 0; i < count; ++i) {
          if (first + i != queries[q].place) best[q][halving].add(scores[q * count + i]);
        }
      }
    }
  }
  // Whatever is as similar but for rounding is as good.
  constexpr float kRounding = 1e-5F;
  for (std::size_t q = 0; q < queries.size(); ++q) {
    BestScores all;
    for (std::size_t halving = kNumEfforts; halving-- > 0;) {
      all.add(best[q][halving]);
      const std::vector<float> scores_of_best = all.sorted();
      if (scores_of_best.empty()) continue;
      for (std::size_t rank = 0; rank < kNumRanks; ++rank) {
        const std::size_t count = std::min(kEffortRanks[rank], scores_of_best.size());
        queries[q].nearest[halving][rank] = {scores_of_best[count - 1] - kRounding, count};
      }
    }
  }
}

double RecallSample::recall_of(const FaissIndex& index, SearchEffort effort, std::size_t halving,
                               std::size_t rank, const Query& query) const {
  const auto [threshold, num_nearest] = query.nearest[halving][rank];
  if (num_nearest == 0) return 1.0;
  const std::size_t end = end_of(halving);
  const Admission is_before_end = [end](std::size_t place) { return place < end; };
  const bool asks = halving > 0 && !index.only_proposes();
  // One place is the query's own. A graph is walked around it: nobody finds its neighbours as well
  // as a query that is one of its vectors does.
  const auto found =
      index.search(vector(query.place), index.places_for(kRecallAt, effort) + 1, effort.width,
                   asks ? &is_before_end : nullptr, share_of_effort(halving), end, {},
                   static_cast<std::int32_t>(query.place));
  std::size_t num_found = 0;
  for (const Found& each : found) {
    const auto place = static_cast<std::size_t>(each.place);
    if (place == query.place) continue;
    const float similarity = canonical_similarity(vector(query.place), vector(place));
    num_found += similarity >= threshold ? 1 : 0;
  }
  return static_cast<double>(std::min(num_found, num_nearest)) / static_cast<double>(num_nearest);
}

MeasuredRecall RecallSample::recall_of(const FaissIndex& index, SearchEffort effort,
                                       std::size_t halving, std::size_t rank) const {
  const std::size_t stride = halving == 0 ? 1 : kFilteredStride;
  std::vector<double> recalls((queries_.size() + stride - 1) / stride);
  if (recalls.empty()) return {};
  parallel_for(recalls.size(), kQueriesPerTask, num_threads_,
               [&](std::size_t begin, std::size_t end) {
                 if (stop_.stop_requested()) throw Interrupted();
                 for (std::size_t i = begin; i < end; ++i) {
                   recalls[i] = recall_of(index, effort, halving, rank, queries_[i * stride]);
                 }
               });
  double sum = 0.0;
  double squares = 0.0;
  for (const double recall : recalls) {
    sum += recall;
    squares += recall * recall;
  }
  const auto count = static_cast<double>(recalls.size());
  const double mean = sum / count;
  const double variance = std::max(0.0, squares / count - mean * mean);
  return {mean, mean - kStandardErrors * std::sqrt(variance / count)};
}

namespace {

/// Of the nearest up to one of kEffortRanks.
class EffortChooser {
 public:
  EffortChooser(FaissIndex& index, const RecallSample& sample, double wanted, std::size_t rank)
      : index_(index), sample_(sample), wanted_(wanted), rank_(rank) {}

  /// `enough`: efforts that find them, and more; null: none are known.
  [[nodiscard]] FilteredEfforts choose_all(const FilteredEfforts* enough) {
    const auto choose_for = [&](std::size_t halving, int least_width) {
      return choose(halving, least_width, enough == nullptr ? nullptr : &(*enough)[halving]);
    };
    FilteredEfforts efforts;
    SearchEffort effort = choose_for(0, index_.least_width());
    efforts.fill(effort);
    if (!index_.looks_wider_for_filters()) return efforts;
    // Of parts of a bank not each is measured: that takes as long as making a small index does.
    const std::size_t step = enough == nullptr ? 1 : 2;
    for (std::size_t halving = step; halving < kNumEfforts; halving += step) {
      if (index_.num_vectors() >> halving >= kLeastFiltered) {
        effort = choose_for(halving, effort.width);
      } else {
        effort.width = std::min(2 * effort.width, index_.most_width());
      }
      std::fill_n(efforts.begin() + static_cast<std::ptrdiff_t>(halving + 1 - step), step, effort);
    }
    return efforts;
  }

 private:
  [[nodiscard]] SearchEffort choose(std::size_t halving, int least_width,
                                    const SearchEffort* enough) {
    const int most_width = enough == nullptr ? index_.most_width() : enough->width;
    SearchEffort effort;
    effort.places = index_.places_are_measured() ? kMostPlaces : 0;
    const double by_width =
        index_.places_are_measured() ? wanted_ + kMissedByPlaces * (1.0 - wanted_) : wanted_;
    effort.width = find_least(std::min(least_width, most_width), most_width, [&](int width) {
      return recall_of({width, effort.places}, halving) >= by_width;
    });
    if (enough != nullptr && effort.width == most_width) return *enough;
    if (index_.places_are_measured()) {
      effort.places = find_least(kLeastPlaces, kMostPlaces, [&](int places) {
        return recall_of({effort.width, places}, halving) >= wanted_;
      });
    }
    return effort;
  }

  [[nodiscard]] double recall_of(SearchEffort effort, std::size_t halving) {
    index_.set_width(effort.width);
    return sample_.recall_of(index_, effort, halving, rank_).lower;
  }

  FaissIndex& index_;
  const RecallSample& sample_;
  double wanted_;
  std::size_t rank_;
};

}  // namespace

ChosenEfforts choose_efforts(FaissIndex& index, const RecallSample& sample, double wanted_recall,
                             double share_of_bank) {
  const bool is_part = rank_for(share_of_bank) > 0;
  ChosenEfforts chosen;
  for (std::size_t rank = 0; rank < kNumRanks; ++rank) {
    const FilteredEfforts* enough = rank == 0 ? nullptr : &chosen.efforts[rank - 1];
    if (rank > 0 && !is_part) {
      chosen.efforts[rank] = *enough;
      continue;
    }
    chosen.efforts[rank] = EffortChooser(index, sample, wanted_recall, rank).choose_all(enough);
  }
  const SearchEffort first = chosen.efforts.front().front();
  index.set_width(first.width);
  chosen.recall = static_cast<float>(sample.recall_of(index, first).mean);
  return chosen;
}

}  // namespace mmra::retrieval
