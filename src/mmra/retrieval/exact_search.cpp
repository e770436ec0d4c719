#include "mmra/retrieval/exact_search.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "mmra/core/error.h"
#include "mmra/core/threads.h"
#include "mmra/retrieval/byte_vectors.h"
#include "mmra/retrieval/matrix_product.h"
#include "mmra/retrieval/similarity.h"

namespace mmra::retrieval {
namespace {

// So many queries and rows at a time. Of floats, one product's result (2 MiB) stays in the cache
// until it has been looked at; of bytes the queries do too, while all rows pass by.
constexpr std::size_t kQueryBlock = 256;
constexpr std::size_t kTableBlock = 2048;
constexpr std::size_t kQueryBlockOfBytes = 512;
constexpr std::size_t kTableBlockOfBytes = 256;
constexpr std::size_t kScoredTogether = 64;
// From so many queries on, making bytes of the table costs less than they save.
constexpr std::size_t kQueriesWorthBytes = 64;
// Where bytes say less, too many candidates are left.
constexpr double kLargestUsefulBound = 0.04;

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
    note(candidate.score);
    if (candidates_.size() < capacity_) return;
    drop();
    // Many near ties are kept; the next time then comes later, so that the whole stays linear.
    capacity_ = std::max(capacity_, 2 * candidates_.size());
  }

  std::vector<Candidate>& finish() {
    drop();
    return candidates_;
  }

 private:
  void note(float score) {
    if (best_.size() == k_) {
      if (score <= best_.front()) return;
      std::pop_heap(best_.begin(), best_.end(), std::greater<>());
      best_.back() = score;
    } else {
      best_.push_back(score);
    }
    std::push_heap(best_.begin(), best_.end(), std::greater<>());
    if (best_.size() == k_) threshold_ = best_.front() - margin_;
  }

  void drop() {
    std::erase_if(candidates_, [&](const Candidate& c) { return c.score < threshold_; });
  }

  std::size_t k_;
  float margin_;
  float threshold_ = -std::numeric_limits<float>::infinity();
  std::size_t capacity_;
  std::vector<Candidate> candidates_;
  std::vector<float> best_;  ///< the k best scores, the least of them first (a heap)
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
    for (std::size_t q = 0; q < queries.size(); ++q)
      margins_.push_back(comparison_margin(query(q)));
  }

  /// Looks through `bytes` first, where they say enough.
  void use(const ByteVectors& bytes, int num_threads) {
    ByteQueries byte_queries(query_vectors_, bytes, num_threads);
    std::vector<float> margins = margins_;
    double bounds = 0.0;
    for (std::size_t q = 0; q < queries_.size(); ++q) {
      const double bound = bytes.error_bound(byte_queries, q);
      bounds += bound;
      margins[q] += static_cast<float>(2.0 * bound * (1.0 + 1e-6));
    }
    if (bounds > kLargestUsefulBound * static_cast<double>(queries_.size())) return;
    byte_queries_.emplace(std::move(byte_queries));
    bytes_ = &bytes;
    margins_ = std::move(margins);
  }

  RetrievalResult run(int num_threads) {
    const auto threads = static_cast<std::size_t>(num_threads);
    if (queries_.size() < threads && table_.num_rows() > kTableBlock) {
      share_rows(num_threads);
    } else {
      // Few queries: smaller blocks, so that every thread has some.
      const std::size_t block =
          std::clamp<std::size_t>((queries_.size() + threads - 1) / threads, 1,
                                  bytes_ != nullptr ? kQueryBlockOfBytes : kQueryBlock);
      parallel_for(queries_.size(), block, num_threads,
                   [this](std::size_t begin, std::size_t end) { search_block(begin, end); });
    }
    return std::move(result_);
  }

 private:
  [[nodiscard]] std::span<const float> query(std::size_t index) const {
    return query_vectors_.subspan(index * dim_, dim_);
  }

  [[nodiscard]] const float* row_vector(std::int32_t row) const {
    return vectors_.data() + static_cast<std::size_t>(row) * dim_;
  }

  [[nodiscard]] std::vector<CandidateList> no_candidates(std::size_t begin, std::size_t end) const {
    std::vector<CandidateList> lists;
    for (std::size_t q = begin; q < end; ++q) lists.emplace_back(k_, margins_[q]);
    return lists;
  }

  void search_block(std::size_t begin, std::size_t end) {
    std::vector<CandidateList> lists = no_candidates(begin, end);
    look_through(begin, end, 0, table_.num_rows(), lists);
    for (std::size_t q = begin; q < end; ++q) finish(q, lists[q - begin].finish());
  }

  /// Fewer queries than threads: these share the rows, each with candidates of its own.
  void share_rows(int num_threads) {
    const std::size_t num_queries = queries_.size();
    const auto threads = static_cast<std::size_t>(num_threads);
    const std::size_t share = (table_.num_rows() + threads - 1) / threads;
    std::vector<std::vector<CandidateList>> lists(threads, no_candidates(0, num_queries));
    parallel_for(table_.num_rows(), share, num_threads, [&](std::size_t begin, std::size_t end) {
      look_through(0, num_queries, begin, end, lists[begin / share]);
    });
    for (std::size_t q = 0; q < num_queries; ++q) {
      CandidateList all(k_, margins_[q]);
      for (auto& of_thread : lists) {
        for (const Candidate& candidate : of_thread[q].finish()) all.add(candidate);
      }
      finish(q, all.finish());
    }
  }

  /// Of the queries [begin, end), what of the rows [first_row, end_row) may be among their best.
  void look_through(std::size_t begin, std::size_t end, std::size_t first_row, std::size_t end_row,
                    std::vector<CandidateList>& lists) const {
    const std::size_t block = bytes_ != nullptr ? kTableBlockOfBytes : kTableBlock;
    std::vector<float> scores(bytes_ != nullptr ? 0 : (end - begin) * block);
    std::vector<std::int32_t> dots;
    for (std::size_t first = first_row; first < end_row; first += block) {
      if (stop_.stop_requested()) throw Interrupted();
      const std::size_t count = std::min(block, end_row - first);
      if (bytes_ != nullptr) {
        bytes_->multiply(*byte_queries_, begin, end - begin, first, count, dots);
      } else {
        multiply_by_transposed({query_vectors_.data() + begin * dim_, end - begin, dim_},
                               {vectors_.data() + first * dim_, count, dim_}, scores.data());
      }
      for (std::size_t q = begin; q < end; ++q) {
        const std::size_t at = (q - begin) * count;
        if (bytes_ != nullptr) {
          collect(q, first, std::span(dots).subspan(at, count), lists[q - begin]);
        } else {
          collect(q, first, std::span(scores).subspan(at, count), lists[q - begin]);
        }
      }
    }
  }

  /// Of one query's scores with the rows from `first_row` on, what may be among its best.
  void collect(std::size_t q, std::size_t first_row, std::span<const float> scores,
               CandidateList& list) const {
    const auto next = [&](std::size_t begin) {
      return find_at_least(scores.data(), scores.size(), begin, list.threshold());
    };
    for (std::size_t i = next(0); i < scores.size(); i = next(i + 1)) {
      if (admits(policy_, queries_[q], table_, first_row + i)) {
        list.add({static_cast<std::int32_t>(first_row + i), scores[i]});
      }
    }
  }

  /// Of bytes, a few rows at a time: in most of them nothing is near enough.
  void collect(std::size_t q, std::size_t first_row, std::span<const std::int32_t> dots,
               CandidateList& list) const {
    float scores[kScoredTogether];
    for (std::size_t begin = 0; begin < dots.size(); begin += kScoredTogether) {
      const std::size_t count = std::min(kScoredTogether, dots.size() - begin);
      if (bytes_->to_scores(*byte_queries_, q, first_row + begin, dots.subspan(begin, count),
                            list.threshold(), scores)) {
        collect(q, first_row + begin, std::span<const float>(scores, count), list);
      }
    }
  }

  /// Of what bytes leave over, what float32 does: fewer are then compared exactly. The best go
  /// first; whoever lies further below the k-th of them than both kinds of scores can be off ends
  /// it.
  void narrow(std::size_t q, std::vector<Candidate>& candidates) const {
    const std::span<const float> vector = query(q);
    std::sort(candidates.begin(), candidates.end(), better);
    CandidateList nearer(k_, comparison_margin(vector));
    for (std::size_t i = 0; i < candidates.size(); ++i) {
      const Candidate& candidate = candidates[i];
      if (candidate.score + 0.5F * margins_[q] < nearer.threshold()) break;
      if (i + 1 < candidates.size()) prefetch_vector(row_vector(candidates[i + 1].row), dim_);
      nearer.add({candidate.row, quick_similarity(vector.data(), row_vector(candidate.row), dim_)});
    }
    candidates = std::move(nearer.finish());
  }

  void finish(std::size_t q, std::vector<Candidate>& candidates) {
    const std::span<const float> vector = query(q);
    // A query of which nothing is known is similar to nothing.
    if (std::all_of(vector.begin(), vector.end(), [](float value) { return value == 0.0F; }))
      return;
    if (bytes_ != nullptr) narrow(q, candidates);
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
  std::vector<float> margins_;  ///< of each query: twice how far a score may be off
  const ByteVectors* bytes_ = nullptr;
  std::optional<ByteQueries> byte_queries_;
  RetrievalResult result_;
};

}  // namespace

RetrievalResult search_exact(const bank::BankTable& table, std::span<const float> query_vectors,
                             std::span<const QueryIdentity> queries, int k,
                             const RetrievalPolicy& policy, int num_threads, std::stop_token stop,
                             const ByteVectors* bytes) {
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
  const int threads = std::max(1, num_threads);
  ExactSearch search(table, query_vectors, queries, k, policy, std::move(stop));
  std::optional<ByteVectors> own;
  if (bytes == nullptr && queries.size() >= kQueriesWorthBytes && table.retrieval_dim() > 0) {
    own.emplace(table.retrieval_vectors(), static_cast<std::size_t>(table.retrieval_dim()),
                threads);
    bytes = &*own;
  }
  if (bytes != nullptr) search.use(*bytes, threads);
  return search.run(threads);
}

}  // namespace mmra::retrieval
