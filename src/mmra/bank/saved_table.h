#pragma once

#include <filesystem>
#include <memory>

#include "mmra/bank/memory_bank.h"
#include "mmra/bank/vector_table.h"

namespace mmra::bank {

// A table and its file (vector_table.h), which is a convenience: where it cannot be written or
// read, the table is made again.

/// Null where the file is of another commit or dimension, or none that can be read.
[[nodiscard]] std::shared_ptr<const BankTable> find_saved_table(const std::filesystem::path& file,
                                                                const CommitStamp& stamp,
                                                                int retrieval_dim);

/// Writes the file and maps it; where that cannot be, the same table in memory.
[[nodiscard]] std::shared_ptr<const BankTable> save_table(const std::filesystem::path& file,
                                                          const CommitStamp& stamp,
                                                          const TableColumns& columns,
                                                          int retrieval_dim,
                                                          const ForEachVector& for_each_vector);

}  // namespace mmra::bank
