#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "mmra/bank/memory_bank.h"
#include "mmra/core/progress.h"
#include "mmra/retrieval/index/index_builder.h"
#include "mmra/retrieval/index/segmented_index.h"

namespace mmra::pipeline {

/// The index of a bank in a directory over this table of it; null where it has none, and search is
/// exact. Always null for a bank on a server, which has one of its own.
[[nodiscard]] std::shared_ptr<const retrieval::SegmentedIndex> open_bank_index(
    const std::filesystem::path& bank_directory, std::shared_ptr<const bank::BankTable> table,
    int num_threads, const retrieval::SegmentedIndex* previous = nullptr);

/// The same over the bank's present table, which is not read where there is no index.
[[nodiscard]] std::shared_ptr<const retrieval::SegmentedIndex> open_bank_index(
    const std::filesystem::path& bank_directory, const bank::MemoryBank& bank, int num_threads);

/// Whether the bank has an index of files beside its records: a setting that says so. One on a
/// server has none here. Throws Error{kCorruptData|kUnsupported} where the setting cannot be read.
[[nodiscard]] bool has_index(const std::filesystem::path& bank_directory);

/// After writing: saves the derived files of what the bank holds now, and brings its index up to
/// date where that is worth it. `read_already`: segments that need not be read again.
retrieval::IndexReport update_derived_files(
    const bank::MemoryBank& bank, const std::filesystem::path& bank_directory,
    const retrieval::IndexOptions& options, ProgressSink& progress,
    const retrieval::SegmentedIndex* read_already = nullptr);

/// Makes the bank's index as `spec` says (FAISS's factory string; "Flat": none), and keeps that as
/// the bank's setting; empty: the setting stays, and its index is made anew. A bank on a server
/// makes its own index (MemoryBank::set_own_index), and only where a `spec` is given. Throws as
/// that and as retrieval::build_index().
retrieval::IndexReport reindex_bank(bank::MemoryBank& bank,
                                    const std::filesystem::path& bank_directory,
                                    const std::optional<std::string>& spec,
                                    const retrieval::IndexOptions& options, ProgressSink& progress);

/// What is wrong with the index's files; each is searched past, never trusted.
[[nodiscard]] std::vector<bank::Problem> find_index_problems(
    const bank::MemoryBank& bank, const std::filesystem::path& bank_directory, int num_threads);

/// Makes anew what find_index_problems() finds, and says what it found and did; a setting that
/// cannot be read is removed, and search is exact then. Throws as retrieval::update_index().
std::vector<bank::Repair> repair_bank_index(const bank::MemoryBank& bank,
                                            const std::filesystem::path& bank_directory,
                                            const retrieval::IndexOptions& options,
                                            ProgressSink& progress);

/// Copies the bank (MemoryBank::backup) with its setting, of which the copy's index can be made; a
/// setting that cannot be read stays behind. Throws Error{kInvalidInput} where `to` names a server.
void backup_bank(const bank::MemoryBank& bank, const std::filesystem::path& bank_directory,
                 const std::filesystem::path& to);

/// What search costs in a bank, and what its index would change.
struct SearchCost {
  std::string index = "exact";  ///< the setting
  std::size_t num_segments = 0;
  std::size_t num_indexed = 0;  ///< records in segments
  std::size_t num_dead = 0;     ///< of removed or changed records, in segments
  std::size_t num_in_tail = 0;  ///< records that are searched exactly
  std::int64_t bytes = 0;       ///< of the segments' files
  float least_recall = 1.0F;    ///< at 10, of the segments' samples
  /// Of one query by exact search on one thread; measured now, on as many made vectors or fewer.
  double exact_seconds = 0.0;
};
[[nodiscard]] SearchCost measure_search(const bank::MemoryBank& bank,
                                        const std::filesystem::path& bank_directory,
                                        int num_threads);

/// From when on an index is worth its memory: exact search of one query takes longer.
inline constexpr double kSecondsWorthAnIndex = 0.01;

}  // namespace mmra::pipeline
