#include "mmra/retrieval/index/index_search.h"

#include <utility>

#include "mmra/bank/label_table.h"

namespace mmra::retrieval {

BankSearchResult search_index(const SegmentedIndex& index, const BankQuery& query, int k,
                              const RetrievalPolicy& policy, int num_threads,
                              const std::stop_token& stop) {
  BankSearchResult found;
  found.table = index.table();
  if (query.horizon) found.table = bank::with_horizon(std::move(found.table), *query.horizon);
  found.identity.own_row = found.table->row_of(query.own_id);
  found.identity.as_of = query.as_of;
  found.result = index.search(*found.table, query.vector, std::span(&found.identity, 1), k, policy,
                              num_threads, stop);
  return found;
}

}  // namespace mmra::retrieval
