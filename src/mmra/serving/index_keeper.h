#pragma once

#include <atomic>
#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <stop_token>
#include <string>

#include "mmra/bank/memory_bank.h"
#include "mmra/retrieval/index/segmented_index.h"
#include "mmra/serving/worker_pool.h"

namespace mmra::serving {

/// Brings the index of a bank in a directory up to date while the bank is written and searched:
/// what has come since is searched exactly, and that takes the longer the more there is. On one
/// thread of its own; searches go on meanwhile in the index that they have.
class IndexKeeper {
 public:
  using IndexPointer = std::shared_ptr<const retrieval::SegmentedIndex>;

  /// `bank` is open for writing and lives longer. `ready` is called on the thread with the index as
  /// it is then, `log` with one line.
  IndexKeeper(const bank::MemoryBank& bank, std::filesystem::path bank_directory,
              std::function<void(IndexPointer)> ready, std::function<void(const std::string&)> log);

  /// What searches go by now; null where they are exact. Begins what is worth it, and returns at
  /// once.
  void look_at(const IndexPointer& index);
  /// Stops what is under way: the bank then has the index that it had. May be called twice.
  void finish();
  /// How often there was something to bring up to date, and it was.
  [[nodiscard]] std::uint64_t num_updates() const { return num_updates_; }

 private:
  void update(const IndexPointer& index);

  const bank::MemoryBank& bank_;
  std::filesystem::path bank_directory_;
  std::function<void(IndexPointer)> ready_;
  std::function<void(const std::string&)> log_;
  std::stop_source stop_;
  std::atomic<bool> is_at_work_ = false;
  std::atomic<std::uint64_t> num_updates_ = 0;
  std::chrono::steady_clock::time_point not_before_{};  ///< of the thread at work
  WorkerPool worker_;
};

}  // namespace mmra::serving
