#pragma once

#include <filesystem>
#include <vector>

#include "mmra/bank/snapshot.h"

namespace mmra::bank {

/// Looks at everything of a snapshot, and at the derived file, and lists what is wrong.
[[nodiscard]] std::vector<Problem> find_problems(const Snapshot& snapshot,
                                                 const std::filesystem::path& bank);

/// Puts right what can be put right: what is damaged beyond that is removed. What was found at
/// LMDB's pages or in the schema is not among it. Commits where it changed anything.
[[nodiscard]] std::vector<Repair> repair_records(Snapshot& snapshot);

}  // namespace mmra::bank
