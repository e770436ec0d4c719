#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "mmra/bank/memory_bank.h"
#include "mmra/retrieval/exact_search.h"
#include "mmra/retrieval/index/segment.h"
#include "mmra/retrieval/retrieval_policy.h"

namespace mmra::retrieval {

/// A segment seen from a table: which of its places are still what they were.
struct PlacedSegment {
  static constexpr std::int32_t kDead = -1;
  std::string file;  ///< its name in the index's directory
  std::shared_ptr<const Segment> segment;
  /// The table's row of each place; kDead where the record is gone, or has another vector or time.
  std::vector<std::int32_t> rows;
  std::size_t num_alive = 0;
};

/// A bank's index over one table: segments in the order of time, and the tail, which are the rows
/// that no segment has (yet) and that are searched exactly. Whatever files there are, what the
/// policy refuses is never returned, and what was removed or changed is never taken from a segment:
/// a segment is only trusted where its checksum is right and the record is the one it was made
/// from. Immutable; thread-safe.
class SegmentedIndex {
 public:
  /// Null where the bank in `bank` (a directory) has no index setting. Segments that cannot be read
  /// are left out, and their rows searched exactly; faults() says which. Where the index is made
  /// anew meanwhile, it is the old one or the new one, whole. `previous`: its segments are used
  /// again where they are still the bank's. Throws Error{kCorruptData|kUnsupported} where the
  /// setting itself cannot be read.
  [[nodiscard]] static std::shared_ptr<const SegmentedIndex> open(
      const std::filesystem::path& bank, std::shared_ptr<const bank::BankTable> table,
      int num_threads, const SegmentedIndex* previous = nullptr);

  /// The k most similar of the admitted rows, most of the time: as search_exact(), but approximate.
  /// Similarities are those of search_exact. `table`: the one it was opened with, or its view with
  /// another horizon's labels. Throws as search_exact().
  [[nodiscard]] RetrievalResult search(const bank::BankTable& table,
                                       std::span<const float> query_vectors,
                                       std::span<const QueryIdentity> queries, int k,
                                       const RetrievalPolicy& policy, int num_threads,
                                       const std::stop_token& stop = {}) const;

  /// The bank's setting.
  [[nodiscard]] const std::string& spec() const { return spec_; }
  /// Whether the segments were made for another setting: who changed it was killed in between.
  [[nodiscard]] bool is_of_another_spec() const { return !files_.empty() && files_spec_ != spec_; }
  [[nodiscard]] const std::vector<PlacedSegment>& segments() const { return segments_; }
  /// Rows that no segment has, ascending.
  [[nodiscard]] const std::vector<std::uint32_t>& tail() const { return tail_; }
  /// All that its list names, and those of them that were left out.
  [[nodiscard]] const std::vector<std::string>& files() const { return files_; }
  [[nodiscard]] std::vector<std::string> unreadable_files() const;
  /// One line for each file that was left out.
  [[nodiscard]] const std::vector<std::string>& faults() const { return faults_; }
  /// The one it was opened with.
  [[nodiscard]] const std::shared_ptr<const bank::BankTable>& table() const { return table_; }
  /// Whether it is of this very commit.
  [[nodiscard]] bool is_of(const bank::BankTable& table) const;

 private:
  SegmentedIndex(std::string spec, std::shared_ptr<const bank::BankTable> table)
      : spec_(std::move(spec)), table_(std::move(table)) {}

  void take_list(const std::filesystem::path& bank);
  bool take_segments(const std::filesystem::path& bank, int num_threads,
                     const SegmentedIndex* previous);
  void require_dim(const Segment& segment, const std::filesystem::path& file) const;

  std::string spec_;
  std::shared_ptr<const bank::BankTable> table_;
  std::string files_spec_;  ///< what the list of segments says it is of
  std::vector<std::string> files_;
  std::vector<PlacedSegment> segments_;
  std::vector<std::uint32_t> tail_;
  std::vector<std::string> faults_;
};

}  // namespace mmra::retrieval
