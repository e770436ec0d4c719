#pragma once

#include <set>
#include <span>
#include <string>

#include "mmra/bank/bank_state.h"
#include "mmra/bank/memory_bank.h"
#include "mmra/bank/milvus/bank_head.h"
#include "mmra/bank/milvus/collections.h"
#include "mmra/bank/milvus/record_change.h"
#include "mmra/bank/milvus/writer_lease.h"

namespace mmra::bank {

/// A bank's one writer, for as long as it lives: what is written goes in commits, and a record is
/// its old or its new self at every moment of one (docs/formats/milvus.md). Not thread-safe.
class CommitWriter {
 public:
  /// Throws Error{kIo} where another one is at work.
  explicit CommitWriter(MilvusCollections& collections);

  /// Before anything is changed, now and then. Throws as the constructor.
  void renew_lease() { lease_.renew(); }
  /// Before anything is changed or flushed: puts right what a commit or a recovery that failed has
  /// left, since what is there is neither what was counted nor what is to be counted.
  void prepare();

  /// A change for each of `ids`, with what is there now.
  [[nodiscard]] RecordChanges begin(std::span<const std::string> ids) const;
  /// The vectors of those that stay as they are but for their label.
  void load_vectors(RecordChanges& changes) const;

  /// `with_counts`: the bank's schema, where the changes have counts with times; else null.
  ///
  /// Values first, then the rows that name them; what no row names any more goes when all of that
  /// is flushed. Whenever it is killed, each record is the old one or the new one, whole; and so it
  /// is when the server loses the end of either collection's log (docs/milvus.md), but for records
  /// that are new.
  void commit(const RecordChanges& changes, BankSchema* with_counts);
  void commit_schema(const BankSchema& schema);
  /// Removes the rows of these records, and puts right what a killed writer or server, or a commit
  /// that failed, left (recovery.h); then all is flushed.
  void commit_recovery(std::span<const std::string> damaged = {});

  /// Returns when all is written out, and what it replaced is gone.
  void flush();

 private:
  void raise_version(BankSchema& schema);
  void write_values(const RecordChanges& changes);
  /// Counts the changes in `state`.
  void write_rows(const RecordChanges& changes, BankState& state);
  void finish_commit(BankState state);

  MilvusCollections& collections_;
  WriterLease lease_;
  bool has_failed_ = false;  ///< a commit or a recovery ended halfway; until one is finished
  bool is_settled_ = true;
  std::set<std::string> stale_;  ///< values that no row names, since the last flush
};

}  // namespace mmra::bank
