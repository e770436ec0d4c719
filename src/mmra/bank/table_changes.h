#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "mmra/bank/memory_bank.h"

namespace mmra::bank {

/// Which records a bank's one writer has changed since a table of it was made, so that the next
/// table is made from that one and from these records alone. Thread-safe.
class TableChanges {
 public:
  /// Before the commit of `generation`, which changes these records; one that then fails does no
  /// harm.
  void note(std::span<const std::string> ids, std::uint64_t generation);
  /// This table is of the bank, and later changes have been noted or will be.
  void follow(std::shared_ptr<const BankTable> table);
  [[nodiscard]] bool is_following() const;
  /// Nothing that was made before counts any more.
  void forget();

  struct Since {
    std::shared_ptr<const BankTable> table;
    std::vector<std::string> ids;  ///< ascending; all that differs between it and `generation`
  };
  /// Empty where no table is followed that is as old or older.
  [[nodiscard]] std::optional<Since> before(std::uint64_t generation) const;

 private:
  mutable std::mutex mutex_;
  std::shared_ptr<const BankTable> table_;
  std::map<std::string, std::uint64_t> last_changes_;  ///< id: generation, later than table_'s
};

}  // namespace mmra::bank
