#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "mmra/bank/memory_bank.h"

namespace mmra::serving {

/// What a list of the bank's records shows of one.
struct ListedRecord {
  std::string id;
  std::string title;
  std::optional<double> popularity;
  std::optional<Timestamp> posted_at;
  bank::Split split = bank::Split::kTrain;
  bool has_video = false;
};

[[nodiscard]] ListedRecord listed(const bank::Record& record);

struct ListQuery {
  enum class Sort { kId, kPopularity, kPostedAt };
  Sort sort = Sort::kId;
  bool descending = false;
  std::size_t limit = 50;
  std::optional<std::string> after;  ///< the last id of the page before
  std::optional<Timestamp> from;     ///< posted then or later
  std::optional<Timestamp> to;       ///< posted before
  std::string title_part;            ///< of the title, without regard to case
};

struct ListPage {
  std::vector<ListedRecord> records;
  std::optional<std::string> next;  ///< to be given as `after`
  std::size_t total = 0;            ///< of all pages
};

/// The bank's records in memory, for lists that are sorted, searched and cut into pages; read again
/// when the bank has changed. Records without the value that is sorted by come last. Thread-safe.
class BankListing {
 public:
  explicit BankListing(const bank::MemoryBank& bank) : bank_(bank) {}

  /// `generation` is the bank's present one. Throws Refusal where `after` is no record (any more).
  [[nodiscard]] ListPage page(const ListQuery& query, std::uint64_t generation);

 private:
  struct Row {
    ListedRecord record;
    std::string folded_title;
  };
  using Rows = std::vector<Row>;
  [[nodiscard]] std::shared_ptr<const Rows> rows(std::uint64_t generation);

  const bank::MemoryBank& bank_;
  std::mutex mutex_;
  std::shared_ptr<const Rows> rows_;
  std::uint64_t generation_ = 0;
};

}  // namespace mmra::serving
