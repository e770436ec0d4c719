#pragma once

#include <span>
#include <vector>

#include "mmra/bank/memory_bank.h"
#include "mmra/bank/milvus/collections.h"
#include "mmra/bank/milvus/record_values.h"
#include "mmra/bank/milvus/stored_row.h"

namespace mmra::bank {

/// Looks at everything of a bank on a server, and lists what is wrong.
[[nodiscard]] std::vector<Problem> find_problems(const MilvusCollections& collections);

/// Whether a record's row, its vector (padded) and all of its values fit each other and the schema.
/// Throws Error that says what does not.
void check_row(const StoredRow& row, std::span<const float> vector, const RecordValues& values,
               const BankSchema& schema);

}  // namespace mmra::bank
