#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "mmra/bank/bank_state.h"
#include "mmra/bank/lmdb_environment.h"
#include "mmra/bank/memory_bank.h"

namespace mmra::bank {

/// What of a bank one transaction sees.
class Snapshot {
 public:
  /// `owner`: whatever keeps `environment` open.
  Snapshot(const Environment& environment, const std::filesystem::path& bank,
           Transaction::Kind kind, std::shared_ptr<const void> owner = nullptr)
      : owner_(std::move(owner)), transaction_(environment, kind), bank_(bank.string()) {}

  [[nodiscard]] BankSchema schema() const;
  [[nodiscard]] BankState state() const;
  void set_schema(const BankSchema& schema);
  /// A new generation: commits everything.
  void commit(BankState state);

  [[nodiscard]] std::optional<Record> find(std::string_view id) const;
  [[nodiscard]] std::optional<PopularityHistory> find_history(std::string_view id) const;
  /// Throws Error{kCorruptData} where there are none.
  [[nodiscard]] ByteView features_value(std::string_view id) const;
  [[nodiscard]] Transaction& transaction() { return transaction_; }
  [[nodiscard]] const Transaction& transaction() const { return transaction_; }

 private:
  [[nodiscard]] std::string text(std::string_view key) const;

  std::shared_ptr<const void> owner_;
  Transaction transaction_;
  std::string bank_;
};

}  // namespace mmra::bank
