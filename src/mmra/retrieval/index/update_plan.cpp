#include "mmra/retrieval/index/update_plan.h"

#include <algorithm>
#include <utility>

#include "mmra/retrieval/index/segment.h"

namespace mmra::retrieval {
namespace {

// A segment with so many dead places is worth making anew.
constexpr double kDeadShare = 0.25;
// So many segments of about one size are joined.
constexpr std::size_t kSegmentsOfATier = 4;
constexpr std::size_t kRowsOfTheFirstTier = 16'384;

void dissolve(const PlacedSegment& placed, UpdatePlan& plan) {
  plan.dissolved.push_back(placed.file);
  for (const std::int32_t row : placed.rows) {
    if (row != PlacedSegment::kDead) plan.rows.push_back(static_cast<std::uint32_t>(row));
  }
}

/// Segments of one tier differ in size by less than kSegmentsOfATier.
int tier_of(std::size_t num_rows) {
  int tier = 0;
  for (std::size_t most = kRowsOfTheFirstTier; num_rows >= most; most *= kSegmentsOfATier) ++tier;
  return tier;
}

/// How many of the smallest segments are dissolved, so that new ones are made of their rows and of
/// `num_rows` others.
std::size_t num_to_join(std::span<const PlacedSegment* const> smallest_first, std::size_t num_rows,
                        std::size_t num_needed, std::size_t rows_per_segment) {
  if (num_rows == 0) return 0;
  std::size_t num_joined = 0;
  const auto join_up_to = [&](std::size_t count) {
    for (; num_joined < count; ++num_joined) num_rows += smallest_first[num_joined]->num_alive;
  };
  for (const PlacedSegment* placed : smallest_first) {
    const bool is_small =
        2 * placed->num_alive < num_rows && placed->num_alive < rows_per_segment / 2;
    if (num_rows >= num_needed && !is_small) break;
    join_up_to(num_joined + 1);
  }
  while (true) {
    std::size_t end = num_joined;
    while (end < smallest_first.size() &&
           tier_of(smallest_first[end]->num_alive) <= tier_of(num_rows) &&
           smallest_first[end]->num_alive < rows_per_segment / 2) {
      ++end;
    }
    if (end - num_joined + 1 < kSegmentsOfATier) return num_joined;
    join_up_to(end);
  }
}

/// At most so many rows, the oldest, in any order.
std::vector<std::uint32_t> oldest_of(const bank::BankTable& table, std::vector<std::uint32_t> rows,
                                     std::size_t most) {
  most = std::max(most, rows.size() / 4);
  if (rows.size() <= most) return rows;
  sort_by_time(table, rows);
  rows.resize(most);
  return rows;
}

}  // namespace

bool is_much_dead(const PlacedSegment& placed) {
  const std::size_t num_places = placed.segment->num_places();
  return static_cast<double>(num_places - placed.num_alive) >=
         kDeadShare * static_cast<double>(num_places);
}

void sort_by_time(const bank::BankTable& table, std::vector<std::uint32_t>& rows) {
  std::vector<std::pair<std::int64_t, std::uint32_t>> keys;
  keys.reserve(rows.size());
  for (const std::uint32_t row : rows) keys.emplace_back(segment_time_of(table, row), row);
  std::sort(keys.begin(), keys.end());
  std::transform(keys.begin(), keys.end(), rows.begin(),
                 [](const auto& key) { return key.second; });
}

UpdatePlan plan_update(const SegmentedIndex& index, std::size_t most_new_rows,
                       std::size_t rows_per_segment, std::size_t num_needed) {
  UpdatePlan plan{{}, oldest_of(*index.table(), index.tail(), most_new_rows)};
  std::vector<const PlacedSegment*> smallest_first;
  for (const PlacedSegment& placed : index.segments()) {
    if (is_much_dead(placed)) {
      dissolve(placed, plan);
    } else {
      smallest_first.push_back(&placed);
    }
  }
  std::stable_sort(smallest_first.begin(), smallest_first.end(),
                   [](const auto* a, const auto* b) { return a->num_alive < b->num_alive; });
  const std::size_t num_joined =
      num_to_join(smallest_first, plan.rows.size(), num_needed, rows_per_segment);
  for (std::size_t i = 0; i < num_joined; ++i) dissolve(*smallest_first[i], plan);
  return plan;
}

std::vector<std::size_t> segments_to_join(std::span<const std::size_t> num_rows,
                                          std::size_t least_rows, std::size_t rows_per_segment) {
  const std::size_t most_rows = rows_per_segment / 2;
  for (int tier = tier_of(least_rows); tier <= tier_of(most_rows); ++tier) {
    std::vector<std::size_t> numbers;
    for (std::size_t i = 0; i < num_rows.size(); ++i) {
      const bool may_be_joined = num_rows[i] >= least_rows && num_rows[i] < most_rows;
      if (may_be_joined && tier_of(num_rows[i]) == tier) numbers.push_back(i);
    }
    if (numbers.size() >= kSegmentsOfATier) return numbers;
  }
  return {};
}

std::vector<std::size_t> segments_to_join(const SegmentedIndex& index, std::size_t least_rows,
                                          std::size_t rows_per_segment) {
  std::vector<std::size_t> num_rows;
  for (const PlacedSegment& placed : index.segments()) {
    num_rows.push_back(is_much_dead(placed) ? 0 : placed.num_alive);
  }
  return segments_to_join(num_rows, least_rows, rows_per_segment);
}

UpdatePlan plan_join(const SegmentedIndex& index, std::size_t least_rows,
                     std::size_t rows_per_segment) {
  UpdatePlan plan;
  for (const std::size_t number : segments_to_join(index, least_rows, rows_per_segment)) {
    dissolve(index.segments()[number], plan);
  }
  return plan;
}

}  // namespace mmra::retrieval
