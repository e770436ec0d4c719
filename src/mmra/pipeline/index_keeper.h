#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>

#include "mmra/bank/memory_bank.h"
#include "mmra/retrieval/index/index_builder.h"
#include "mmra/retrieval/index/segment_files.h"
#include "mmra/retrieval/index/segmented_index.h"

namespace mmra::pipeline {

/// Keeps the index of a bank in a directory beside whoever writes and searches it. One thread puts
/// what has come into new segments, within seconds: it is searched exactly until then, and that
/// takes the longer the more there is. Another, of low priority, joins segments when they have
/// become many: a search goes through each. Searches go on meanwhile in the index that they have.
/// What goes wrong (a full disk) is tried again a minute later, when there is something to do.
class IndexKeeper {
 public:
  using IndexPointer = std::shared_ptr<const retrieval::SegmentedIndex>;

  struct Options {
    std::size_t least_rows_to_join = retrieval::IndexOptions{}.least_rows_to_join;
    /// Called on either thread with the index as it is then.
    std::function<void(IndexPointer)> ready = {};
    /// Called on either thread with one line.
    std::function<void(const std::string&)> log = {};
  };

  /// `bank` is open for writing and outlives this.
  IndexKeeper(const bank::MemoryBank& bank, std::filesystem::path bank_directory, Options options);
  ~IndexKeeper();
  IndexKeeper(const IndexKeeper&) = delete;
  IndexKeeper& operator=(const IndexKeeper&) = delete;

  /// What searches go by now; null where they are exact. Begins what is worth it, and returns at
  /// once.
  void look_at(const IndexPointer& index);
  /// So many rows more are durable: once they are many, the index is looked at.
  void note(std::size_t num_rows);
  /// Stops what is under way: the bank then has the index that it had. May be called twice.
  void finish();

  /// How often there was something to bring up to date, or to join, and it was.
  [[nodiscard]] std::uint64_t num_updates() const { return num_updates_; }
  [[nodiscard]] std::uint64_t num_joins() const { return num_joins_; }

 private:
  using Clock = std::chrono::steady_clock;

  /// What one of the threads is to do next.
  struct Work {
    bool is_wanted = false;
    bool is_under_way = false;
    IndexPointer index = nullptr;  ///< that of whoever wants it: its segments need not be read
    Clock::time_point not_before = {};
  };

  void want(Work& work, const IndexPointer& index);
  [[nodiscard]] std::optional<IndexPointer> wait_for(Work& work, const std::stop_token& stop);
  void do_all(Work& work, const std::stop_token& stop,
              const std::function<void(const IndexPointer&)>& task);
  void update(const IndexPointer& index, const std::stop_token& stop);
  void join(const IndexPointer& index, const std::stop_token& stop);
  [[nodiscard]] IndexPointer open(std::shared_ptr<const bank::BankTable> table,
                                  const IndexPointer& read_already) const;
  [[nodiscard]] retrieval::IndexOptions join_options(const bank::BankTable& table,
                                                     std::stop_token stop = {}) const;
  void tell(const retrieval::IndexReport& report, const IndexPointer& index, const char* what);
  void log(const std::string& line) const;

  const bank::MemoryBank& bank_;
  Options options_;
  retrieval::SegmentFiles files_;
  std::atomic<std::uint64_t> num_updates_ = 0;
  std::atomic<std::uint64_t> num_joins_ = 0;
  std::mutex mutex_;  ///< of what follows
  std::condition_variable_any changed_;
  std::size_t num_new_ = 0;
  Work update_;
  Work join_;
  // The last members: they use the others.
  std::jthread updater_;
  std::jthread joiner_;
};

}  // namespace mmra::pipeline
