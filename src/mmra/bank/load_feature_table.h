#pragma once

#include <memory>

#include "mmra/bank/feature_table.h"
#include "mmra/bank/memory_bank.h"

namespace mmra::bank {

/// A bank's table and features of one and the same commit: row i of both is the same record.
struct LoadedFeatures {
  std::shared_ptr<const BankTable> table;
  FeatureTable features;
};

/// Reads `columns` of all records into memory (tokens as float16). Begins again where the bank is
/// written meanwhile. `horizon`: labels of this one instead of the bank's. Throws Error{kIo} where
/// that happens too often, {kCorruptData} naming a record that cannot be read.
[[nodiscard]] LoadedFeatures load_feature_table(const MemoryBank& bank,
                                                const FeatureColumns& columns = {},
                                                std::optional<Duration> horizon = {});

}  // namespace mmra::bank
