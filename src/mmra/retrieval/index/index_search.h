#pragma once

#include "mmra/retrieval/bank_search.h"
#include "mmra/retrieval/index/segmented_index.h"

namespace mmra::retrieval {

/// What search_bank() does, by a directory bank's index, approximately, in the table that it was
/// opened with.
[[nodiscard]] BankSearchResult search_index(const SegmentedIndex& index, const BankQuery& query,
                                            int k, const RetrievalPolicy& policy, int num_threads,
                                            const std::stop_token& stop = {});

}  // namespace mmra::retrieval
