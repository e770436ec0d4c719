#include "mmra/retrieval/bank_search.h"

#include <cmath>
#include <utility>
#include <vector>

#include "mmra/bank/label_table.h"
#include "mmra/core/error.h"

namespace mmra::retrieval {
namespace {

/// More than k, so that ties and what the policy refuses beyond the filter seldom need a second
/// question.
constexpr int kSpare = 22;
constexpr int kMostCandidates = 16'384;

/// How far a float inner product may lie from the exact one in whatever order it is summed, for
/// vectors of at most unit length; an index in half precision is no exact one.
float rounding(std::span<const float> vector) {
  double squares = 0.0;
  for (const float value : vector) squares += static_cast<double>(value) * value;
  return static_cast<float>(static_cast<double>(vector.size() + 2) * 0x1.0p-23 *
                            std::sqrt(squares));
}

BankSearchResult search_table(std::shared_ptr<const bank::BankTable> table, const BankQuery& query,
                              int k, const RetrievalPolicy& policy, int num_threads,
                              const std::stop_token& stop) {
  if (query.horizon) table = bank::with_horizon(std::move(table), *query.horizon);
  BankSearchResult found;
  found.identity.own_row = table->row_of(query.own_id);
  found.identity.as_of = query.as_of;
  found.result = search_exact(*table, query.vector, std::span(&found.identity, 1), k, policy,
                              num_threads, stop);
  found.table = std::move(table);
  return found;
}

/// Whether a record beyond the candidates could belong to the k.
bool may_miss(const RetrievalResult& result, const std::optional<float>& others_at_most,
              float margin) {
  if (!others_at_most) return false;
  if (result.rows.back() == RetrievalResult::kNoInstance) return true;
  return result.similarities.back() <= *others_at_most + margin;
}

bool is_zero(std::span<const float> vector) {
  for (const float value : vector) {
    if (value != 0.0F) return false;
  }
  return true;
}

}  // namespace

BankSearchResult search_bank(const bank::MemoryBank& bank, const BankQuery& query, int k,
                             const RetrievalPolicy& policy, int num_threads,
                             const std::stop_token& stop) {
  if (k < 1) {
    throw Error(ErrorKind::kInvalidInput, "k must be at least 1, not " + std::to_string(k));
  }
  std::vector<std::string> without;
  if (!query.own_id.empty()) without.push_back(query.own_id);
  const bank::CandidateFilter filter = candidate_filter(
      policy, {std::nullopt, query.as_of}, std::move(without), !query.horizon.has_value());
  const float margin = rounding(query.vector);
  for (int limit = std::min(k + kSpare, kMostCandidates); policy.folds == nullptr; limit *= 4) {
    if (stop.stop_requested()) throw Interrupted();
    auto candidates = bank.find_candidates(query.vector, filter, std::min(limit, kMostCandidates));
    if (!candidates) break;
    BankSearchResult found =
        search_table(std::move(candidates->table), query, k, policy, num_threads, stop);
    // A query of which nothing is known is similar to nothing.
    if (is_zero(query.vector) || !may_miss(found.result, candidates->others_at_most, margin)) {
      return found;
    }
    if (limit >= kMostCandidates) break;  // then everything is looked at
  }
  return search_table(bank.table(), query, k, policy, num_threads, stop);
}

}  // namespace mmra::retrieval
