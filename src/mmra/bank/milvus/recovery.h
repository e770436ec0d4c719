#pragma once

#include "mmra/bank/bank_state.h"
#include "mmra/bank/milvus/collections.h"

namespace mmra::bank {

/// Whether the bank is as its last writer left it: else recover() is due before anything is
/// written.
[[nodiscard]] bool is_as_left(const MilvusCollections& collections);

/// After a writer or the server was killed: makes one row of those that are there twice, removes
/// new records whose values are lost (whoever wrote them was not done, and writes them again) and
/// values that no row names, and counts anew; then all is written out, what its last writer did not
/// flush as well. Nothing is erased on the word of a scan alone. Returns the counts, which are the
/// caller's to commit, with the generation as it was.
[[nodiscard]] BankState recover(MilvusCollections& collections);

/// The counts of the rows that are there.
[[nodiscard]] BankState recount(const MilvusCollections& collections);

}  // namespace mmra::bank
