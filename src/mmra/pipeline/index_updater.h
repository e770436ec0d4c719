#pragma once

#include <condition_variable>
#include <cstddef>
#include <filesystem>
#include <mutex>
#include <thread>

#include "mmra/bank/memory_bank.h"

namespace mmra::pipeline {

/// Brings the index of a bank up to date beside its writer, who goes on for as long as there is
/// something to write: on a thread of its own, whenever enough rows have come. What goes wrong (a
/// full disk) is tried again with the next rows, and said by who brings it up to date at the end.
class IndexUpdater {
 public:
  /// `bank` is open for writing and outlives this.
  IndexUpdater(const bank::MemoryBank& bank, std::filesystem::path bank_directory, int num_threads);
  /// Stops an update that is under way; the index is then the old one.
  ~IndexUpdater();
  IndexUpdater(const IndexUpdater&) = delete;
  IndexUpdater& operator=(const IndexUpdater&) = delete;

  /// So many rows more are durable. Thread-safe.
  void note(std::size_t num_rows);

 private:
  void work(const std::stop_token& stop);

  const bank::MemoryBank& bank_;
  std::filesystem::path bank_directory_;
  int num_threads_;
  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::size_t num_new_ = 0;
  std::jthread worker_;  // the last member: it uses the others
};

}  // namespace mmra::pipeline
