#pragma once

#include <set>
#include <string>
#include <vector>

#include "mmra/bank/milvus/collections.h"
#include "mmra/bank/milvus/stored_row.h"

namespace mmra::bank {

// Values that no row names: what a killed writer wrote and what was replaced since the last flush.

/// Adds the keys of the values that a row names.
void insert_keys(const StoredRow& row, std::set<std::string>& keys);

/// The keys of records' values that are not among `named`; those that are there are taken out of
/// it.
[[nodiscard]] std::vector<std::string> unnamed_values(const MilvusCollections& collections,
                                                      std::set<std::string>& named);

/// Those of `keys` that the rows of their records, each asked for by its id, do not name either.
[[nodiscard]] std::vector<std::string> without_named(const MilvusCollections& collections,
                                                     std::vector<std::string> keys);

}  // namespace mmra::bank
