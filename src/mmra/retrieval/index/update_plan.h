#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "mmra/retrieval/index/segmented_index.h"

namespace mmra::retrieval {

// Which segments are joined, as in a log-structured merge tree (O'Neil et al., Acta Informatica
// 33, 1996): so many of about one size become one, so that a row is put into a new segment once for
// each size, and a search goes through a few segments of each.

/// What is to become new segments.
struct UpdatePlan {
  std::vector<std::string> dissolved;  ///< segments that no longer are
  std::vector<std::uint32_t> rows;     ///< theirs that are alive, and others
};

/// Rows of the tail, at most `most_new_rows` of them or a quarter where that is more, and with them
/// the segments that are small beside what comes, or of which much is dead. `num_needed`: new
/// segments have so many rows, if the index has.
[[nodiscard]] UpdatePlan plan_update(const SegmentedIndex& index, std::size_t most_new_rows,
                                     std::size_t rows_per_segment, std::size_t num_needed);

/// Which of segments with so many rows each a join makes one of, by their numbers; none where it is
/// not worth it. Those of fewer than `least_rows` are left to updates, those of half of
/// `rows_per_segment` stay as they are.
[[nodiscard]] std::vector<std::size_t> segments_to_join(std::span<const std::size_t> num_rows,
                                                        std::size_t least_rows,
                                                        std::size_t rows_per_segment);
/// The same of an index. Segments of which much is dead are left to updates.
[[nodiscard]] std::vector<std::size_t> segments_to_join(const SegmentedIndex& index,
                                                        std::size_t least_rows,
                                                        std::size_t rows_per_segment);
/// The rows of those; nothing where it is not worth it.
[[nodiscard]] UpdatePlan plan_join(const SegmentedIndex& index, std::size_t least_rows,
                                   std::size_t rows_per_segment);

/// A quarter of its places is dead.
[[nodiscard]] bool is_much_dead(const PlacedSegment& placed);
/// Orders rows by when they were posted, those without a time last.
void sort_by_time(const bank::BankTable& table, std::vector<std::uint32_t>& rows);

}  // namespace mmra::retrieval
