#include "mmra/retrieval/index/index_builder.h"

#include <algorithm>
#include <numeric>
#include <utility>
#include <vector>

#include "mmra/core/error.h"
#include "mmra/core/files.h"
#include "mmra/retrieval/index/index_files.h"
#include "mmra/retrieval/index/recall_sample.h"
#include "mmra/retrieval/index/segment.h"
#include "mmra/retrieval/index/segment_files.h"
#include "mmra/retrieval/index/segmented_index.h"
#include "mmra/retrieval/index/update_plan.h"

namespace mmra::retrieval {
namespace {

namespace fs = std::filesystem;

// A tail is worth a segment from a tenth of the index on, but not before scanning it takes as long
// as a search, and at the latest when a scan takes as long as some tens of them.
constexpr double kTailShare = 0.1;
constexpr std::size_t kLeastTail = 4096;
constexpr std::size_t kMostTail = 32'768;
constexpr std::size_t kTrainingRowsPerList = 64;
// Who makes a segment holds its vectors: beside a server a GiB of them.
constexpr std::size_t kMostFloatsOfAJoin = std::size_t{1} << 28;

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
  Builder(SegmentFiles& files, const bank::BankTable& table, const IndexOptions& options,
          ProgressSink& progress)
      : files_(files), table_(table), options_(options), progress_(progress) {}
  Builder(const Builder&) = delete;
  Builder& operator=(const Builder&) = delete;
  ~Builder() { files_.release(names_); }

  /// Counts what stays.
  void keep(const SegmentedIndex& index, const UpdatePlan& plan) {
    for (const PlacedSegment& placed : index.segments()) {
      const auto& gone = plan.dissolved;
      if (std::find(gone.begin(), gone.end(), placed.file) != gone.end()) continue;
      report_.segment_rows.push_back(placed.num_alive);
    }
  }

  /// Makes segments of these rows. `is_part`: they are too few for all the lists that the spec
  /// names, or the index has others.
  void make(const std::string& spec, std::vector<std::uint32_t> rows, bool is_part) {
    sort_by_time(table_, rows);
    const std::size_t num_segments =
        (rows.size() + options_.rows_per_segment - 1) / options_.rows_per_segment;
    make_directories(index_directory(files_.bank()));
    progress_.begin("indexing", static_cast<std::int64_t>(rows.size()));
    for (std::size_t i = 0; i < num_segments; ++i) {
      const std::size_t begin = i * rows.size() / num_segments;
      const std::size_t end = (i + 1) * rows.size() / num_segments;
      make_segment(is_part ? FaissIndex::spec_for_part(spec, end - begin) : spec,
                   std::span(rows).subspan(begin, end - begin));
    }
    progress_.end();
  }

  /// Of what was made.
  [[nodiscard]] const std::vector<std::string>& names() const { return names_; }
  [[nodiscard]] IndexReport report(const SegmentList& list) const {
    IndexReport report = report_;
    report.num_segments = list.files.size();
    report.bytes = files_.bytes_of(list);
    return report;
  }

 private:
  void make_segment(const std::string& spec, std::span<const std::uint32_t> rows) {
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
    names_.push_back(files_.new_name());
    write_segment(files_.path_of(names_.back()), table_, rows, index, head);
    report_.segment_rows.push_back(rows.size());
    ++report_.num_made;
    report_.least_recall = std::min(report_.least_recall, head.sample_recall);
  }

  SegmentFiles& files_;
  const bank::BankTable& table_;
  const IndexOptions& options_;
  ProgressSink& progress_;
  std::vector<std::string> names_;
  IndexReport report_;
};

bool means_exact(const std::string& spec) { return spec.empty() || spec == "Flat"; }

void check_rows_per_segment(const IndexOptions& options) {
  if (options.rows_per_segment > 0 && options.rows_per_segment <= INT32_MAX) return;
  throw Error(ErrorKind::kInvalidInput, "a segment has 1 to 2147483647 rows");
}

std::vector<std::uint32_t> all_rows_of(const bank::BankTable& table) {
  std::vector<std::uint32_t> rows(table.num_rows());
  std::iota(rows.begin(), rows.end(), 0U);
  return rows;
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

IndexOptions joining_beside_searches(std::size_t dim, std::stop_token stop) {
  IndexOptions options;
  options.stop = std::move(stop);
  options.rows_per_segment = std::clamp<std::size_t>(
      kMostFloatsOfAJoin / std::max<std::size_t>(1, dim), 1, options.rows_per_segment);
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
  SegmentFiles files(bank);
  Builder builder(files, table, options, progress);
  if (table.num_rows() > 0) builder.make(spec, all_rows_of(table), /*is_part=*/false);
  const SegmentList list{spec, builder.names()};
  // A killed program leaves the old list, whose spec is the old setting's, or the new one; a
  // setting that differs from its list's is put right by the next update.
  write_segment_list(bank, list);
  write_index_spec(bank, spec);
  remove_other_segments(bank, list);
  return builder.report(list);
}

IndexReport update_index(const fs::path& bank, const std::shared_ptr<const bank::BankTable>& table,
                         bool all, const IndexOptions& options, ProgressSink& progress,
                         const SegmentedIndex* read_already) {
  SegmentFiles files(bank);
  return update_index(files, table, all, options, progress, read_already);
}

IndexReport update_index(SegmentFiles& files, const std::shared_ptr<const bank::BankTable>& table,
                         bool all, const IndexOptions& options, ProgressSink& progress,
                         const SegmentedIndex* read_already) {
  check_rows_per_segment(options);
  const auto index = SegmentedIndex::open(files.bank(), table, options.num_threads, read_already);
  if (index == nullptr) return {};
  Builder builder(files, *table, options, progress);
  const bool has_work = !index->tail().empty() || !index->faults().empty();
  if (!is_worth_updating(*index) && !(all && has_work)) {
    return builder.report({index->spec(), index->files()});
  }
  const std::size_t num_needed =
      FaissIndex::num_needed(FaissIndex::spec_for_part(index->spec(), 0), dim_of(*table));
  UpdatePlan plan = index->is_of_another_spec() ? UpdatePlan{index->files(), all_rows_of(*table)}
                                                : plan_update(*index, options.most_new_rows,
                                                              options.rows_per_segment, num_needed);
  if (plan.rows.size() < num_needed) plan.rows.clear();  // there are no more in the bank
  // All of a bank (its only segment was lost, say) gets the lists that its setting names, once it
  // has enough to train them on.
  const bool is_whole =
      plan.rows.size() == table->num_rows() &&
      plan.rows.size() >=
          kTrainingRowsPerList * FaissIndex::num_needed(index->spec(), dim_of(*table));
  const bool is_part = !index->is_of_another_spec() && !is_whole;
  builder.keep(*index, plan);
  if (!plan.rows.empty()) builder.make(index->spec(), std::move(plan.rows), is_part);
  const std::vector<std::string> unreadable = index->unreadable_files();
  plan.dissolved.insert(plan.dissolved.end(), unreadable.begin(), unreadable.end());
  return builder.report(files.commit(index->spec(), plan.dissolved, builder.names()));
}

bool is_worth_joining(const SegmentedIndex& index, const IndexOptions& options) {
  return !index.is_of_another_spec() &&
         !segments_to_join(index, options.least_rows_to_join, options.rows_per_segment).empty();
}

bool is_worth_joining(const IndexReport& report, const IndexOptions& options) {
  return !segments_to_join(report.segment_rows, options.least_rows_to_join,
                           options.rows_per_segment)
              .empty();
}

IndexReport join_segments(SegmentFiles& files, const SegmentedIndex& index,
                          const IndexOptions& options, ProgressSink& progress) {
  check_rows_per_segment(options);
  if (!is_worth_joining(index, options)) return {};
  UpdatePlan plan = plan_join(index, options.least_rows_to_join, options.rows_per_segment);
  Builder builder(files, *index.table(), options, progress);
  builder.keep(index, plan);
  builder.make(index.spec(), std::move(plan.rows), /*is_part=*/true);
  return builder.report(files.commit(index.spec(), plan.dissolved, builder.names()));
}

}  // namespace mmra::retrieval
