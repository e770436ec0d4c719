#pragma once

#include <memory>

#include "mmra/bank/memory_bank.h"

namespace mmra::bank {

/// The same rows with the labels of a horizon (label_of), known from posted_at + horizon on. Made
/// from the histories of `table`, whatever labels that one has.
[[nodiscard]] std::shared_ptr<const BankTable> with_horizon(std::shared_ptr<const BankTable> table,
                                                            Duration horizon);

}  // namespace mmra::bank
