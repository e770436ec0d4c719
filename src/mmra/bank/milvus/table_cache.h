#pragma once

#include <filesystem>
#include <memory>
#include <mutex>

#include "mmra/bank/memory_bank.h"
#include "mmra/bank/milvus/collections.h"
#include "mmra/bank/vector_table.h"

namespace mmra::bank {

/// The table of a bank's last commit, kept in memory and in a file on this machine, so that it is
/// read from the server once for each commit. Thread-safe.
class TableCache {
 public:
  TableCache(const MilvusCollections& collections, std::filesystem::path file);

  /// With the labels of the bank's horizon. Throws Error{kIo} where commits come too fast for it to
  /// be read.
  [[nodiscard]] std::shared_ptr<const BankTable> table();
  /// Removes the file too.
  void forget();

 private:
  [[nodiscard]] CommitStamp last_commit() const;
  [[nodiscard]] std::shared_ptr<const BankTable> map_or_make(const BankSchema& schema,
                                                             const CommitStamp& stamp) const;

  const MilvusCollections& collections_;
  std::filesystem::path file_;
  std::mutex mutex_;
  std::shared_ptr<const BankTable> table_;
  CommitStamp stamp_;
};

}  // namespace mmra::bank
