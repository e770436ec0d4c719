#pragma once

#include <map>
#include <string>

#include "mmra/bank/memory_bank.h"

namespace mmra::bank {

// Whether something fits a bank's schema. Each throws Error{kInvalidInput} naming the id.

void check_record(const Record& record, const BankSchema& schema);
void check_features(const std::string& id, const Features& features, const BankSchema& schema);
void check_history(const std::string& id, const PopularityHistory& history);
void check_schema(const BankSchema& schema);

/// Adds columns to the schema of the bank named `bank`; false where it has them all. Throws where
/// it has one with another type.
[[nodiscard]] bool merge_columns(const std::map<std::string, ColumnType>& columns,
                                 const std::string& bank, BankSchema& schema);

}  // namespace mmra::bank
