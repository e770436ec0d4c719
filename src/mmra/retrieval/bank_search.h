#pragma once

#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>

#include "mmra/bank/memory_bank.h"
#include "mmra/retrieval/exact_search.h"
#include "mmra/retrieval/retrieval_policy.h"

namespace mmra::retrieval {

/// One query to a bank.
struct BankQuery {
  std::span<const float> vector;
  std::string own_id = {};  ///< of the query in the bank; empty: it is not there
  std::optional<Timestamp> as_of = {};
  /// The labels of this horizon; empty: the bank's own.
  std::optional<Duration> horizon = {};
};

/// What was found, as rows of a table that has them (and perhaps no others).
struct BankSearchResult {
  std::shared_ptr<const bank::BankTable> table;
  RetrievalResult result;
  QueryIdentity identity;  ///< the query in that table
};

/// The k most similar records that the policy admits. A bank with an index of its own is asked for
/// candidates, more and more of them until no other could be among the k; what is admitted is
/// decided here in either case, and similarities and ties are those of search_exact. Throws what
/// search_exact throws, and Error{kIo}.
[[nodiscard]] BankSearchResult search_bank(const bank::MemoryBank& bank, const BankQuery& query,
                                           int k, const RetrievalPolicy& policy, int num_threads,
                                           const std::stop_token& stop = {});

}  // namespace mmra::retrieval
