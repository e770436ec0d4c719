#pragma once

#include <cstdint>
#include <functional>
#include <stop_token>

#include "mmra/bank/memory_bank.h"

namespace mmra::bank {

/// Of two records with one id.
enum class Conflict {
  kKeep,  ///< the one of the bank that is merged into stays
  kTake,  ///< the other one's takes its place
};

struct MergeReport {
  std::int64_t num_records = 0;  ///< of the other bank
  std::int64_t num_added = 0;
  std::int64_t num_replaced = 0;
  std::int64_t num_kept = 0;     ///< the bank's own stayed
  std::int64_t num_counted = 0;  ///< own ones that stayed and got counts of the other's
};

struct MergeOptions {
  Conflict conflict = Conflict::kKeep;
  std::function<void(std::int64_t num_done)> acknowledge;  ///< after each commit
  std::stop_token stop;
};

/// Puts the records of `from` into `into`, with features, thumbnails and counts. Both must have
/// been made by the same encoders with the same dimensions, and count the same unit at the same
/// horizon; context columns are added. Of two records with one id `conflict` says which stays; its
/// counts are those of both, at one moment its own. In durable batches: stopped or killed, it goes
/// on when it is called again. Throws Error{kInvalidInput} saying what differs, Interrupted.
MergeReport merge_banks(MemoryBank& into, const MemoryBank& from, const MergeOptions& options);

}  // namespace mmra::bank
