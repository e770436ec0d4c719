#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <stop_token>
#include <vector>

#include "mmra/bank/memory_bank.h"
#include "mmra/core/progress.h"
#include "mmra/retrieval/byte_vectors.h"
#include "mmra/retrieval/retrieval_policy.h"

namespace mmra::retrieval {

/// The instances of many queries: row-major [num_queries × k]. Sorted by similarity descending,
/// ties by row (that is by id) ascending. Where fewer than k candidates are admitted, the rest of
/// the row is kNoInstance with similarity 0.
struct RetrievalResult {
  static constexpr std::int32_t kNoInstance = -1;
  int k = 0;
  std::vector<std::int32_t> rows;
  std::vector<float> similarities;  ///< inner products, paper eq. 1
};

/// Exact maximum-inner-product search (paper 2.1.2, eq. 1) by blocked matrix products. Many queries
/// look through the table as bytes first, few do where the caller keeps `bytes` of it; what may
/// then be among the best is compared in float32, so that the answer is the same to the last bit.
/// `query_vectors` is row-major [queries.size() × table.retrieval_dim()]. Deterministic for any
/// number of threads. Throws Error{kInvalidInput} where sizes do not fit or k < 1, Interrupted.
[[nodiscard]] RetrievalResult search_exact(const bank::BankTable& table,
                                           std::span<const float> query_vectors,
                                           std::span<const QueryIdentity> queries, int k,
                                           const RetrievalPolicy& policy, int num_threads,
                                           std::stop_token stop = {},
                                           const ByteVectors* bytes = nullptr);

}  // namespace mmra::retrieval
