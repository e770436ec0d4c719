#pragma once

#include <span>
#include <stop_token>
#include <string>

#include "mmra/bank/memory_bank.h"
#include "mmra/bank/milvus/collections.h"
#include "mmra/bank/milvus/stored_row.h"

namespace mmra::bank {

// The server's own index over the retrieval vectors.

/// As MemoryBank::own_index().
[[nodiscard]] std::string kind_of_own_index(const MilvusCollections& collections);

/// As MemoryBank::set_own_index().
void make_own_index(const IndexKind& kind, const std::stop_token& stop,
                    MilvusCollections& collections);

/// As MemoryBank::find_candidates().
[[nodiscard]] Candidates search_own_index(const MilvusCollections& collections,
                                          std::span<const float> vector,
                                          const CandidateFilter& filter, int limit);

}  // namespace mmra::bank
