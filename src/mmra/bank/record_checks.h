#pragma once

#include <string>

#include "mmra/bank/memory_bank.h"

namespace mmra::bank {

// Whether something fits a bank's schema. Each throws Error{kInvalidInput} naming the id.

void check_record(const Record& record, const BankSchema& schema);
void check_features(const std::string& id, const Features& features, const BankSchema& schema);
void check_history(const std::string& id, const PopularityHistory& history);
void check_schema(const BankSchema& schema);

}  // namespace mmra::bank
