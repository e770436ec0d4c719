#include "mmra/retrieval/exact_search.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "mmra/core/error.h"
#include "mmra/core/threads.h"
#include "mmra/retrieval/matrix_product.h"
#include "mmra/retrieval/similarity.h"

namespace mmra::retrieval {
namespace {

// One product's result (256 × 2048 floats, 2 MiB) stays in the cache until it has been looked at.
constexpr std::size_t kQueryBlock = 256;
constexpr std::size_t kTableBlock = 2048;

struct Candidate {
  std::int32_t row;
  float score;
};

bool better(const Candidate& a, const Candidate& b) {
  return a.score != b.score ? a.score > b.score : a.row < b.row;
}

/// How far a float inner product in any order of summation may lie from the exact one, twice (once
/// for each of two that are compared): 2 γ_d |q| |t| with γ_d = d u / (1 − d u), u = 2⁻²⁴. Table
/// vectors are at most of unit length.
float comparison_margin(std::span<const float> query) {
  double squares = 0.0;
  for (const float value : query) squares += static_cast<double>(value) * value;
  const double du = static_cast<double>(query.size() + 2) * 0x1.0p-24;
  return static_cast<float>(2.0 * du / (1.0 - du) * std::sqrt(squares) * 1.01);
}

/// Collects whatever may belong to the k best of one query by approximate scores: everything within
/// `margin` of the k-th best admitted so far.
class CandidateList {
 public:
  CandidateList(int k, float margin) : k_(static_cast<std::size_t>(k)), margin_(margin) {
    capacity_ = 4 * k_ + 64;
  }

  [[nodiscard]] float threshold() const { return threshold_; }

  void add(Candidate candidate) {
    candidates_.push_back(candidate);
    if (candidates_.size() >= capacity_) compact();
  }

  std::vector<Candidate>& finish() {
    compact();
    return candidates_;
  }

 private:
  void compact() {
    if (candidates_.size() < k_) return;
    const auto kth = candidates_.begin() + static_cast<std::ptrdiff_t>(k_ - 1);
    std::nth_element(candidates_.begin(), kth, candidates_.end(), better);
    threshold_ = std::max(threshold_, kth->score - margin_);
    std::erase_if(candidates_, [&](const Candidate& c) { return c.score < threshold_; });
    // Many near ties are kept; the next round then comes later, so that the whole stays linear.
    capacity_ = std::max(4 * k_ + 64, 2 * candidates_.size());
  }

  std::size_t k_;
  float margin_;
  float threshold_ = -std::numeric_limits<float>::infinity();
  std::size_t capacity_;
  std::vector<Candidate> candidates_;
};

class ExactSearch {
 public:
  ExactSearch(const bank::BankTable& table, std::span<const float> query_vectors,
              std::span<const QueryIdentity> queries, int k, const RetrievalPolicy& policy,
              std::stop_token stop)
      : table_(table),
        vectors_(table.retrieval_vectors()),
        query_vectors_(query_vectors),
        queries_(queries),
        k_(k),
        policy_(policy),
        stop_(std::move(stop)),
        dim_(static_cast<std::size_t>(table.retrieval_dim())) {
    result_.k = k;
    const std::size_t size = queries.size() * static_cast<std::size_t>(k);
    result_.rows.assign(size, RetrievalResult::kNoInstance);
    result_.similarities.assign(size, 0.0F);
  }

  RetrievalResult run(int num_threads) {
    // Few queries: smaller blocks, so that every thread has some.
    const std::size_t per_thread = (queries_.size() + static_cast<std::size_t>(num_threads) - 1) /
                                   static_cast<std::size_t>(num_threads);
    const std::size_t block = std::clamp<std::size_t>(per_thread, 1, kQueryBlock);
    parallel_for(queries_.size(), block, num_threads,
                 [this](std::size_t begin, std::size_t end) { search_block(begin, end); });
    return std::move(result_);
  }

 private:
  [[nodiscard]] std::span<const float> query(std::size_t index) const {
    return query_vectors_.subspan(index * dim_, dim_);
  }

  void search_block(std::size_t begin, std::size_t end) {
    std::vector<CandidateList> lists;
    for (std::size_t q = begin; q < end; ++q) lists.emplace_back(k_, comparison_margin(query(q)));
    std::vector<float> scores((end - begin) * kTableBlock);
    for (std::size_t first = 0; first < table_.num_rows(); first += kTableBlock) {
      if (stop_.stop_requested()) throw Interrupted();
      const std::size_t count = std::min(kTableBlock, table_.num_rows() - first);
      multiply(begin, end, first, count, scores);
      for (std::size_t q = begin; q < end; ++q) {
        collect(q, first, std::span(scores).subspan((q - begin) * count, count), lists[q - begin]);
      }
    }
    for (std::size_t q = begin; q < end; ++q) finish(q, lists[q - begin].finish());
  }

  /// scores [(end − begin) × count] = queries [begin, end) · table rows [first, first + count)ᵀ.
  void multiply(std::size_t begin, std::size_t end, std::size_t first, std::size_t count,
                std::vector<float>& scores) const {
    multiply_by_transposed({query_vectors_.data() + begin * dim_, end - begin, dim_},
                           {vectors_.data() + first * dim_, count, dim_}, scores.data());
  }

  void collect(std::size_t q, std::size_t first_row, std::span<const float> scores,
               CandidateList& list) const {
    for (std::size_t i = 0; i < scores.size(); ++i) {
      if (!(scores[i] >= list.threshold())) continue;
      if (admits(policy_, queries_[q], table_, first_row + i)) {
        list.add({static_cast<std::int32_t>(first_row + i), scores[i]});
      }
    }
  }

  void finish(std::size_t q, std::vector<Candidate>& candidates) {
    const std::span<const float> vector = query(q);
    // A query of which nothing is known is similar to nothing.
    if (std::all_of(vector.begin(), vector.end(), [](float value) { return value == 0.0F; }))
      return;
    for (Candidate& candidate : candidates) {
      candidate.score = canonical_similarity(
          vector, vectors_.subspan(static_cast<std::size_t>(candidate.row) * dim_, dim_));
    }
    const auto k = static_cast<std::size_t>(k_);
    const std::size_t count = std::min(k, candidates.size());
    std::partial_sort(candidates.begin(), candidates.begin() + static_cast<std::ptrdiff_t>(count),
                      candidates.end(), better);
    for (std::size_t j = 0; j < count; ++j) {
      result_.rows[q * k + j] = candidates[j].row;
      result_.similarities[q * k + j] = candidates[j].score;
    }
  }

  const bank::BankTable& table_;
  std::span<const float> vectors_;
  std::span<const float> query_vectors_;
  std::span<const QueryIdentity> queries_;
  int k_;
  const RetrievalPolicy& policy_;
  std::stop_token stop_;
  std::size_t dim_;
  RetrievalResult result_;
};

}  // namespace

RetrievalResult search_exact(const bank::BankTable& table, std::span<const float> query_vectors,
                             std::span<const QueryIdentity> queries, int k,
                             const RetrievalPolicy& policy, int num_threads, std::stop_token stop) {
  const std::size_t expected = queries.size() * static_cast<std::size_t>(table.retrieval_dim());
  if (query_vectors.size() != expected) {
    throw Error(ErrorKind::kInvalidInput, std::to_string(queries.size()) + " queries of dim " +
                                              std::to_string(table.retrieval_dim()) + " need " +
                                              std::to_string(expected) + " floats, " +
                                              std::to_string(query_vectors.size()) + " were given");
  }
  if (k < 1) {
    throw Error(ErrorKind::kInvalidInput, "k must be at least 1, not " + std::to_string(k));
  }
  return ExactSearch(table, query_vectors, queries, k, policy, std::move(stop))
      .run(std::max(1, num_threads));
}

}  // namespace mmra::retrieval
