#pragma once

#include <span>
#include <stop_token>

#include "mmra/bank/memory_bank.h"
#include "mmra/retrieval/exact_search.h"
#include "mmra/retrieval/retrieval_policy.h"

namespace mmra::retrieval {

/// The control of an experiment: k different rows drawn evenly from those that the policy admits,
/// sorted as search_exact sorts, with their true similarities. What a query gets depends on its id
/// (or, of one that is not in the table, on its vector) and the table alone, so that training,
/// evaluation and prediction see the same. A query of which nothing is known gets none, as there.
/// Throws what search_exact throws.
[[nodiscard]] RetrievalResult draw_random(const bank::BankTable& table,
                                          std::span<const float> query_vectors,
                                          std::span<const QueryIdentity> queries, int k,
                                          const RetrievalPolicy& policy,
                                          const std::stop_token& stop = {});

/// search_exact or draw_random.
[[nodiscard]] RetrievalResult retrieve(const bank::BankTable& table,
                                       std::span<const float> query_vectors,
                                       std::span<const QueryIdentity> queries, int k,
                                       const RetrievalPolicy& policy, Choice choice,
                                       int num_threads, const std::stop_token& stop = {},
                                       const ByteVectors* bytes = nullptr);

}  // namespace mmra::retrieval
