#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <stop_token>

#include "mmra/bank/memory_bank.h"

namespace mmra::bank {

struct TransferReport {
  std::int64_t num_records = 0;  ///< of the bank that is copied
  std::int64_t num_sent = 0;
  std::int64_t num_same = 0;  ///< were there already, checksum and all
};

struct TransferOptions {
  std::function<void(std::int64_t num_to_send)> begin;
  std::function<void(std::int64_t num_sent)> acknowledge;  ///< after each batch
  std::function<void()> begin_verifying;
  std::stop_token stop;
};

/// Makes the bank in `into` a copy of that in `from`, encoders and all; either may be a directory
/// or on a server. Only what differs is sent, in durable batches: stopped or killed, it goes on
/// when it is called again. Afterwards the copy is read in full, and count and checksums are
/// compared; what is damaged there (MemoryBank::repair) is sent again, once. Throws
/// Error{kInvalidInput} where `into` holds another bank's records, {kCorruptData} where the copy is
/// not the same afterwards, Interrupted.
TransferReport transfer_bank(const std::filesystem::path& from, const std::filesystem::path& into,
                             const TransferOptions& options);

}  // namespace mmra::bank
