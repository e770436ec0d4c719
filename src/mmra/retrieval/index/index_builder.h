#pragma once

#include <cstdint>
#include <filesystem>
#include <stop_token>
#include <string>
#include <vector>

#include "mmra/bank/memory_bank.h"
#include "mmra/core/progress.h"
#include "mmra/retrieval/index/segment_files.h"
#include "mmra/retrieval/index/segmented_index.h"

namespace mmra::retrieval {

struct IndexOptions {
  /// A segment has no more rows than that; filters by time are the faster the smaller segments are,
  /// queries without one the faster the fewer there are.
  std::size_t rows_per_segment = std::size_t{1} << 20;
  int num_threads = 1;
  std::stop_token stop = {};
  /// A segment's searches are the narrowest that find so much of the ten nearest, at a confidence
  /// of 95 %, by a sample of its own vectors (recall_sample.h).
  float wanted_recall = 0.975F;
  /// An update takes no more rows of the tail than that, or a quarter of them where that is more,
  /// the oldest: where searches go on beside it, they have less to scan the sooner. Whoever wants
  /// all of them in an index updates it again.
  std::size_t most_new_rows = SIZE_MAX;
  /// Segments of fewer rows are joined by updates alone.
  std::size_t least_rows_to_join = std::size_t{1} << 16;
};

/// Options of an update beside searches and writes, which is done within seconds: while it goes on
/// the tail grows, every query scans it, and so the update takes longer still. What was made so
/// stays in segments of 65,536 to 131,072 rows until they are joined (join_segments()).
[[nodiscard]] IndexOptions beside_searches(int num_threads, std::stop_token stop);
/// Options of a join beside searches, writes and updates, which may take minutes of one thread and
/// holds a GiB of vectors of `dim` floats, at most.
[[nodiscard]] IndexOptions joining_beside_searches(std::size_t dim, std::stop_token stop);

struct IndexReport {
  std::size_t num_segments = 0;  ///< of the index now
  std::size_t num_made = 0;      ///< of these, by this call
  float least_recall = 1.0F;     ///< at 10, of a sample, of the segments made by this call
  std::int64_t bytes = 0;        ///< of all segments' files
  std::vector<std::size_t> segment_rows = {};  ///< alive, where anything was done
};

/// Makes the bank's index of this kind, all of it anew, and the setting; "Flat" (exact search) and
/// an empty spec remove both. The caller has the bank open for writing; `table` is of it. Killed at
/// any moment, the bank has the old index or the new one. Throws Error{kInvalidInput} where FAISS
/// cannot make it (nothing has changed then), {kIo}; Interrupted (the old index is still there).
IndexReport build_index(const std::filesystem::path& bank, const bank::BankTable& table,
                        const std::string& spec, const IndexOptions& options,
                        ProgressSink& progress);

/// Whether an index has so much that is searched exactly, or so much that is dead, that bringing it
/// up to date is worth the work.
[[nodiscard]] bool is_worth_updating(const SegmentedIndex& index);

/// Brings the bank's index up to date, where it has one: rows of the tail come into a new segment,
/// small segments are joined, and those of which a quarter is dead, or that cannot be read, are
/// made anew; so is all of an index that is not of the bank's setting. `all`: however little there
/// is to do; else only where it is worth it. Rows that are too few for the setting's kind of index
/// stay in the tail. `read_already`: segments that need not be read again.
IndexReport update_index(const std::filesystem::path& bank,
                         const std::shared_ptr<const bank::BankTable>& table, bool all,
                         const IndexOptions& options, ProgressSink& progress,
                         const SegmentedIndex* read_already = nullptr);
/// The same beside others that write segments of this index: joins, not a second update.
IndexReport update_index(SegmentFiles& files, const std::shared_ptr<const bank::BankTable>& table,
                         bool all, const IndexOptions& options, ProgressSink& progress,
                         const SegmentedIndex* read_already = nullptr);

/// Whether it has so many segments of about one size that join_segments() would join some; or has
/// after an update that reports so.
[[nodiscard]] bool is_worth_joining(const SegmentedIndex& index, const IndexOptions& options);
[[nodiscard]] bool is_worth_joining(const IndexReport& report, const IndexOptions& options);

/// Makes one segment of several that have `least_rows_to_join` or more each: in a bank that grows
/// while it is searched, updates make many, and a search goes through all of them. (Two, where they
/// would be more than `rows_per_segment`.) Updates may go on meanwhile; what
/// is removed meanwhile is dead in the new one. Nothing is done where it is not worth it. Throws as
/// update_index().
IndexReport join_segments(SegmentFiles& files, const SegmentedIndex& index,
                          const IndexOptions& options, ProgressSink& progress);

}  // namespace mmra::retrieval
