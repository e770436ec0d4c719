#include "mmra/retrieval/index/index_builder.h"

#include <algorithm>
#include <cstdio>
#include <numeric>
#include <random>
#include <utility>
#include <vector>

#include "mmra/core/error.h"
#include "mmra/core/files.h"
#include "mmra/retrieval/index/index_files.h"
#include "mmra/retrieval/index/recall_sample.h"
#include "mmra/retrieval/index/segment.h"
#include "mmra/retrieval/index/segmented_index.h"

namespace mmra::retrieval {
namespace {

namespace fs = std::filesystem;

// A tail is worth a segment from a tenth of the index on, but not before scanning it takes as long
// as a search, and at the latest when a scan takes as long as some tens of them; a segment with so
// many dead places is worth making anew.
constexpr double kTailShare = 0.1;
constexpr std::size_t kLeastTail = 4096;
constexpr std::size_t kMostTail = 32'768;
constexpr double kDeadShare = 0.25;
constexpr std::size_t kTrainingRowsPerList = 64;
// So many segments of about one size are joined.
constexpr std::size_t kSegmentsOfATier = 4;

std::string new_segment_name() {
  std::random_device device;
  char name[48];
  std::snprintf(name, sizeof name, "segment-%08x%08x.bin", device(), device());
  return name;
}

void sort_by_time(const bank::BankTable& table, std::vector<std::uint32_t>& rows) {
  std::vector<std::pair<std::int64_t, std::uint32_t>> keys;
  keys.reserve(rows.size());
  for (const std::uint32_t row : rows) keys.emplace_back(segment_time_of(table, row), row);
  std::sort(keys.begin(), keys.end());
  std::transform(keys.begin(), keys.end(), rows.begin(),
                 [](const auto& key) { return key.second; });
}

std::size_t dim_of(const bank::BankTable& table) {
  return static_cast<std::size_t>(table.retrieval_dim());
}

std::vector<float> vectors_of(const bank::BankTable& table, std::span<const std::uint32_t> rows) {
  const std::size_t dim = dim_of(table);
  std::vector<float> vectors(rows.size() * dim);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    std::copy_n(table.retrieval_vectors().begin() + static_cast<std::ptrdiff_t>(rows[i] * dim), dim,
                vectors.begin() + static_cast<std::ptrdiff_t>(i * dim));
  }
  return vectors;
}

class Builder {
 public:
  Builder(const fs::path& bank, const bank::BankTable& table, const IndexOptions& options,
          ProgressSink& progress)
      : bank_(bank), table_(table), options_(options), progress_(progress) {}

  /// Makes segments of these rows, and keeps those of `list`. `is_part`: they are too few
  /// for all the lists that the spec names, or the index has others.
  void make(std::vector<std::uint32_t> rows, SegmentList& list, bool is_part = false) {
    sort_by_time(table_, rows);
    const std::size_t num_segments =
        (rows.size() + options_.rows_per_segment - 1) / options_.rows_per_segment;
    make_directories(index_directory(bank_));
    progress_.begin("indexing", static_cast<std::int64_t>(rows.size()));
    for (std::size_t i = 0; i < num_segments; ++i) {
      const std::size_t begin = i * rows.size() / num_segments;
      const std::size_t end = (i + 1) * rows.size() / num_segments;
      const std::string spec =
          is_part ? FaissIndex::spec_for_part(list.spec, end - begin) : list.spec;
      list.files.push_back(make_segment(spec, std::span(rows).subspan(begin, end - begin)));
    }
    progress_.end();
  }

  [[nodiscard]] const IndexReport& report() const { return report_; }

 private:
  std::string make_segment(const std::string& spec, std::span<const std::uint32_t> rows) {
    const std::vector<float> vectors = vectors_of(table_, rows);
    const std::size_t dim = dim_of(table_);
    IndexBuild how{spec, options_.num_threads, options_.stop, {}};
    how.added = [&](std::size_t count) { progress_.advance(static_cast<std::int64_t>(count)); };
    FaissIndex index = FaissIndex::build(how, vectors, dim);
    SegmentHead head;
    head.generation = table_.generation();
    head.commit_id = table_.commit_id();
    head.dim = static_cast<std::uint32_t>(dim);
    const RecallSample sample(vectors, dim, options_.num_threads, options_.stop);
    const ChosenEfforts chosen =
        choose_efforts(index, sample, options_.wanted_recall,
                       static_cast<double>(rows.size()) / static_cast<double>(table_.num_rows()));
    head.efforts = chosen.efforts;
    head.sample_recall = chosen.recall;
    std::string name = new_segment_name();
    write_segment(index_directory(bank_) / name, table_, rows, index, head);
    ++report_.num_made;
    report_.least_recall = std::min(report_.least_recall, head.sample_recall);
    return name;
  }

  const fs::path& bank_;
  const bank::BankTable& table_;
  const IndexOptions& options_;
  ProgressSink& progress_;
  IndexReport report_;
};

bool means_exact(const std::string& spec) { return spec.empty() || spec == "Flat"; }

void check_rows_per_segment(const IndexOptions& options) {
  if (options.rows_per_segment > 0 && options.rows_per_segment <= INT32_MAX) return;
  throw Error(ErrorKind::kInvalidInput, "a segment has 1 to 2147483647 rows");
}

std::int64_t bytes_of(const fs::path& bank, const SegmentList& list) {
  std::int64_t bytes = 0;
  for (const std::string& file : list.files) {
    std::error_code code;
    const auto size = fs::file_size(index_directory(bank) / file, code);
    if (!code) bytes += static_cast<std::int64_t>(size);
  }
  return bytes;
}

IndexReport complete(IndexReport report, const fs::path& bank, const SegmentList& list) {
  report.num_segments = list.files.size();
  report.bytes = bytes_of(bank, list);
  return report;
}

/// What of an index stays, and which rows are to be put into new segments.
struct Plan {
  SegmentList kept;
  std::vector<std::uint32_t> rows;
};

std::size_t num_dead(const PlacedSegment& placed) {
  return placed.segment->num_places() - placed.num_alive;
}

void dissolve(const PlacedSegment& placed, std::vector<std::uint32_t>& rows) {
  for (const std::int32_t row : placed.rows) {
    if (row != PlacedSegment::kDead) rows.push_back(static_cast<std::uint32_t>(row));
  }
}

std::vector<std::uint32_t> all_rows_of(const bank::BankTable& table) {
  std::vector<std::uint32_t> rows(table.num_rows());
  std::iota(rows.begin(), rows.end(), 0U);
  return rows;
}

bool is_much_dead(const PlacedSegment& placed) {
  return static_cast<double>(num_dead(placed)) >=
         kDeadShare * static_cast<double>(placed.segment->num_places());
}

/// Segments of one tier differ in size by less than kSegmentsOfATier.
int tier_of(std::size_t num_rows) {
  int tier = 0;
  for (std::size_t most = kSegmentsOfATier * kLeastTail; num_rows >= most;
       most *= kSegmentsOfATier) {
    ++tier;
  }
  return tier;
}

/// How many of the smallest segments are dissolved, so that new ones are made of their rows and of
/// `num_rows` others. So many of one tier make one of the next: a row is put into a new segment
/// once for each tier, and a search goes through a few segments of each. `num_needed`: new segments
/// have so many rows, if the index has.
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

Plan plan_update(const SegmentedIndex& index, const IndexOptions& options, std::size_t num_needed) {
  Plan plan{{index.spec(), {}}, oldest_of(*index.table(), index.tail(), options.most_new_rows)};
  std::vector<const PlacedSegment*> smallest_first;
  for (const PlacedSegment& placed : index.segments()) {
    if (is_much_dead(placed)) {
      dissolve(placed, plan.rows);
    } else {
      smallest_first.push_back(&placed);
    }
  }
  std::stable_sort(smallest_first.begin(), smallest_first.end(),
                   [](const auto* a, const auto* b) { return a->num_alive < b->num_alive; });
  const std::size_t num_joined =
      num_to_join(smallest_first, plan.rows.size(), num_needed, options.rows_per_segment);
  const auto kept = smallest_first.begin() + static_cast<std::ptrdiff_t>(num_joined);
  std::for_each(smallest_first.begin(), kept,
                [&](const auto* placed) { dissolve(*placed, plan.rows); });
  for (const PlacedSegment& placed : index.segments()) {
    if (std::find(kept, smallest_first.end(), &placed) != smallest_first.end()) {
      plan.kept.files.push_back(placed.file);
    }
  }
  return plan;
}

SegmentList list_of(const SegmentedIndex& index) {
  SegmentList list{index.spec(), {}};
  for (const PlacedSegment& placed : index.segments()) list.files.push_back(placed.file);
  return list;
}

}  // namespace

IndexOptions beside_searches(int num_threads, std::stop_token stop) {
  IndexOptions options;
  options.num_threads = num_threads;
  options.stop = std::move(stop);
  options.most_new_rows = std::size_t{1} << 16;
  options.rows_per_segment = std::size_t{1} << 17;
  return options;
}

bool is_worth_updating(const SegmentedIndex& index) {
  if (index.is_of_another_spec()) return true;
  std::size_t num_alive = 0;
  for (const PlacedSegment& placed : index.segments()) {
    if (is_much_dead(placed)) return true;
    num_alive += placed.num_alive;
  }
  const std::size_t enough = std::clamp(
      static_cast<std::size_t>(kTailShare * static_cast<double>(num_alive)), kLeastTail, kMostTail);
  return index.tail().size() >= enough;
}

IndexReport build_index(const fs::path& bank, const bank::BankTable& table, const std::string& spec,
                        const IndexOptions& options, ProgressSink& progress) {
  check_rows_per_segment(options);
  if (means_exact(spec)) {
    write_index_spec(bank, std::nullopt);
    std::error_code code;
    fs::remove_all(index_directory(bank), code);
    if (code) throw system_error("remove", index_directory(bank).string(), code.value());
    return {};
  }
  FaissIndex::check_spec(spec, dim_of(table));
  SegmentList list{spec, {}};
  Builder builder(bank, table, options, progress);
  if (table.num_rows() > 0) builder.make(all_rows_of(table), list);
  // A killed program leaves the old list, whose spec is the old setting's, or the new one; a
  // setting that differs from its list's is put right by the next update.
  write_segment_list(bank, list);
  write_index_spec(bank, spec);
  remove_other_segments(bank, list);
  return complete(builder.report(), bank, list);
}

IndexReport update_index(const fs::path& bank, const std::shared_ptr<const bank::BankTable>& table,
                         bool all, const IndexOptions& options, ProgressSink& progress,
                         const SegmentedIndex* read_already) {
  check_rows_per_segment(options);
  const auto index = SegmentedIndex::open(bank, table, options.num_threads, read_already);
  if (index == nullptr) return {};
  const bool has_work = !index->tail().empty() || !index->faults().empty();
  if (!is_worth_updating(*index) && !(all && has_work)) return complete({}, bank, list_of(*index));
  const std::size_t num_needed =
      FaissIndex::num_needed(FaissIndex::spec_for_part(index->spec(), 0), dim_of(*table));
  Plan plan = index->is_of_another_spec() ? Plan{{index->spec(), {}}, all_rows_of(*table)}
                                          : plan_update(*index, options, num_needed);
  if (plan.rows.size() < num_needed) plan.rows.clear();  // there are no more in the bank
  Builder builder(bank, *table, options, progress);
  // All of a bank (its only segment was lost, say) gets the lists that its setting names, once it
  // has enough to train them on.
  const bool is_whole =
      plan.rows.size() == table->num_rows() &&
      plan.rows.size() >=
          kTrainingRowsPerList * FaissIndex::num_needed(index->spec(), dim_of(*table));
  const bool is_part = !index->is_of_another_spec() && !is_whole;
  if (!plan.rows.empty()) builder.make(std::move(plan.rows), plan.kept, is_part);
  write_segment_list(bank, plan.kept);
  remove_other_segments(bank, plan.kept);
  return complete(builder.report(), bank, plan.kept);
}

}  // namespace mmra::retrieval
