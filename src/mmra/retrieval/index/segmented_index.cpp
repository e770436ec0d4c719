#include "mmra/retrieval/index/segmented_index.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "mmra/bank/row_search.h"
#include "mmra/core/error.h"
#include "mmra/core/threads.h"
#include "mmra/retrieval/index/index_files.h"
#include "mmra/retrieval/similarity.h"

namespace mmra::retrieval {
namespace {

namespace fs = std::filesystem;

// So many places of a segment are asked how many of them are admitted, about; the first few are
// enough where all are.
constexpr std::size_t kSampledPlaces = 128;
constexpr std::size_t kFirstSampledPlaces = 16;
// Looking whether a place is admitted costs about half of what comparing its vector does.
constexpr double kCostOfAdmission = 0.5;
// From this share of admitted places on, codes are searched as if all were.
constexpr double kShareToAskLast = 0.9;
constexpr std::size_t kRowsPerTask = 16'384;
constexpr std::size_t kQueriesPerTask = 16;
// Whoever makes an index anew removes the old segments: who opens it then looks again, so often.
constexpr int kAttemptsMore = 3;

struct Candidate {
  std::int32_t row;
  float score;
};

bool better(const Candidate& a, const Candidate& b) {
  return a.score != b.score ? a.score > b.score : a.row < b.row;
}

/// Finds ids that are asked for in ascending order, each from where the last one was.
class AscendingIds {
 public:
  explicit AscendingIds(const bank::BankTable& table) : table_(table) {}

  [[nodiscard]] std::optional<std::size_t> row_of(std::string_view id) {
    const std::size_t num_rows = table_.num_rows();
    if (position_ > 0 && table_.id(position_ - 1) >= id) return table_.row_of(id);  // not ascending
    // Whatever is before `position_` is less; so is, after this loop, all before `low`.
    std::size_t low = position_;
    std::size_t step = 1;
    while (low + step <= num_rows && table_.id(low + step - 1) < id) {
      low += step;
      step *= 2;
    }
    // The one at low + step - 1 is not less.
    position_ = bank::first_row_from(table_, id, low, std::min(num_rows, low + step - 1));
    if (position_ == num_rows || table_.id(position_) != id) return std::nullopt;
    return position_;
  }

 private:
  const bank::BankTable& table_;
  std::size_t position_ = 0;
};

/// Of a segment that was made from another commit: which rows its places are now. Both are gone
/// through by id, since to look for each of a million rows anew reads memory in no order.
void place_by_id(const bank::BankTable& table, int num_threads, PlacedSegment& placed) {
  const Segment& segment = *placed.segment;
  parallel_for(
      placed.rows.size(), kRowsPerTask, num_threads, [&](std::size_t begin, std::size_t end) {
        AscendingIds ids(table);
        for (const std::uint32_t place : segment.places_by_id().subspan(begin, end - begin)) {
          const auto row = ids.row_of(segment.id(place));
          const bool is_same = row && segment_time_of(table, *row) == segment.posted_at()[place] &&
                               vector_hash_of(table, *row) == segment.vector_hashes()[place];
          if (is_same) placed.rows[place] = static_cast<std::int32_t>(*row);
        }
      });
}

void place(const bank::BankTable& table, int num_threads, PlacedSegment& placed) {
  const Segment& segment = *placed.segment;
  placed.rows.assign(segment.num_places(), PlacedSegment::kDead);
  const bool is_of_this_commit = segment.head().generation == table.generation() &&
                                 segment.head().commit_id == table.commit_id();
  if (!is_of_this_commit) {
    place_by_id(table, num_threads, placed);
    return;
  }
  for (std::size_t i = 0; i < segment.num_places(); ++i) {
    const std::uint32_t row = segment.rows()[i];
    if (row < table.num_rows()) placed.rows[i] = static_cast<std::int32_t>(row);
  }
}

/// A row belongs to the first segment that has it; to the others it is dead.
void claim_rows(PlacedSegment& placed, std::vector<bool>& is_claimed) {
  for (std::int32_t& row : placed.rows) {
    if (row == PlacedSegment::kDead) continue;
    const auto at = static_cast<std::size_t>(row);
    if (is_claimed[at]) {
      row = PlacedSegment::kDead;
    } else {
      is_claimed[at] = true;
      ++placed.num_alive;
    }
  }
}

std::shared_ptr<const Segment> segment_of(const fs::path& bank, const std::string& file,
                                          const SegmentedIndex* previous) {
  if (previous != nullptr) {
    for (const PlacedSegment& placed : previous->segments()) {
      if (placed.file == file) return placed.segment;
    }
  }
  return Segment::open(index_directory(bank) / file);
}

/// One query through all segments and the tail.
class QuerySearch {
 public:
  QuerySearch(const bank::BankTable& table, std::span<const float> vector,
              const QueryIdentity& identity, int k, const RetrievalPolicy& policy)
      : table_(table),
        vector_(vector),
        identity_(identity),
        k_(static_cast<std::size_t>(k)),
        policy_(policy) {}

  /// How many of all rows this query may see, about, and of each segment's; before the others.
  void expect(std::span<const PlacedSegment> segments, std::span<const std::uint32_t> tail) {
    for (const PlacedSegment& placed : segments) {
      const std::size_t end = end_of(*placed.segment);
      const double admitted =
          expect_admitted(end, [&](std::size_t place) { return admits_row(placed.rows[place]); });
      expected_.push_back({end, admitted});
      admitted_of_all_ += admitted;
    }
    admitted_of_all_ += expect_admitted(
        tail.size(), [&](std::size_t i) { return admits_row(static_cast<std::int32_t>(tail[i])); });
  }

  /// `prepared`: what FaissIndex::prepare() gives for this query. `number`: of the segment.
  void look_through(const PlacedSegment& placed, std::size_t number,
                    std::span<const float> prepared) {
    const Segment& segment = *placed.segment;
    prepared_ = prepared;
    const auto [end, expected] = expected_[number];
    if (end == 0) return;
    const double share = expected / static_cast<double>(segment.num_places());
    const std::size_t rank = rank_for(expected / admitted_of_all_);
    const SearchEffort effort = effort_for(segment.head().efforts[rank], share);
    if (scan_is_cheaper(end, expected, segment.index().cost_of(effort, share))) {
      scan(placed, end, expected);
    } else {
      search(placed, end, expected, effort, rank);
    }
  }

  void look_through(std::span<const std::uint32_t> rows) {
    std::vector<Candidate> best;
    std::vector<std::int32_t> together;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      together.push_back(static_cast<std::int32_t>(rows[i]));
      if (together.size() < kScannedTogether && i + 1 < rows.size()) continue;
      keep_best(together, row_vector(0), together, /*all_are_admitted=*/false, best);
      together.clear();
    }
    candidates_.insert(candidates_.end(), best.begin(), best.end());
  }

  /// The k best by the similarity that search_exact reports.
  std::span<const Candidate> finish() {
    for (std::size_t i = 0; i < candidates_.size(); ++i) {
      if (i + 1 < candidates_.size()) {
        prefetch_vector(vector_of(candidates_[i + 1]), vector_.size());
      }
      candidates_[i].score =
          canonical_similarity(vector_, {vector_of(candidates_[i]), vector_.size()});
    }
    const std::size_t count = std::min(k_, candidates_.size());
    std::partial_sort(candidates_.begin(), candidates_.begin() + static_cast<std::ptrdiff_t>(count),
                      candidates_.end(), better);
    return std::span(candidates_).first(count);
  }

 private:
  [[nodiscard]] bool admits_row(std::int32_t row) const {
    return row != PlacedSegment::kDead &&
           admits(policy_, identity_, table_, static_cast<std::size_t>(row));
  }
  [[nodiscard]] const float* row_vector(std::size_t row) const {
    return table_.retrieval_vectors().data() + row * vector_.size();
  }
  [[nodiscard]] const float* vector_of(const Candidate& candidate) const {
    return row_vector(static_cast<std::size_t>(candidate.row));
  }
  [[nodiscard]] float similarity_to(const float* vector) const {
    return quick_similarity(vector_.data(), vector, vector_.size());
  }

  /// Places are in the order of time: what was posted too late is a matter of one comparison.
  [[nodiscard]] std::size_t end_of(const Segment& segment) const {
    const auto times = segment.posted_at();
    if (!identity_.as_of) return times.size();
    return static_cast<std::size_t>(
        std::lower_bound(times.begin(), times.end(), identity_.as_of->ms) - times.begin());
  }

  /// How many of the places before `end` are admitted, by a sample of them.
  template <typename IsAdmitted>
  [[nodiscard]] static double expect_admitted(std::size_t end, const IsAdmitted& is_admitted) {
    const auto count = [&](std::size_t sample_size) {
      std::size_t num_admitted = 0;
      for (std::size_t i = 0; i < sample_size; ++i) {
        num_admitted += is_admitted(i * end / sample_size) ? 1 : 0;
      }
      return num_admitted;
    };
    std::size_t size = std::min(end, kFirstSampledPlaces);
    std::size_t num_admitted = count(size);
    if (num_admitted < size) {
      size = std::min(end, kSampledPlaces);
      num_admitted = count(size);
    }
    // One more than were seen: none of the sample does not mean none at all.
    return size == end ? static_cast<double>(num_admitted)
                       : static_cast<double>(end) * static_cast<double>(num_admitted + 1) /
                             static_cast<double>(size + 1);
  }

  /// Whether so many are admitted that a scan compares all and asks only for those that would be
  /// kept; else it asks first.
  [[nodiscard]] static bool are_most(double expected, std::size_t end) {
    return expected > (1.0 - kCostOfAdmission) * static_cast<double>(end);
  }

  /// A search goes on until it has found enough that are admitted; a scan looks at all places.
  [[nodiscard]] bool scan_is_cheaper(std::size_t end, double expected, double of_search) const {
    if (expected <= static_cast<double>(2 * k_)) return true;
    const auto all = static_cast<double>(end);
    const double scan = are_most(expected, end) ? all : all * kCostOfAdmission + expected;
    return scan < of_search;
  }

  void scan(const PlacedSegment& placed, std::size_t end, double expected) {
    const std::span<const float> vectors = placed.segment->index().vectors();
    const bool asks_first = !are_most(expected, end);
    std::vector<Candidate> best;
    std::vector<std::int32_t> rows;    // some together, so that they are fetched ahead
    std::vector<std::int32_t> places;  // of the same, where the index has the vectors
    for (std::size_t place = 0; place < end; ++place) {
      const std::int32_t row = placed.rows[place];
      if (row != PlacedSegment::kDead && (!asks_first || admits_row(row))) {
        rows.push_back(row);
        places.push_back(static_cast<std::int32_t>(place));
      }
      if (rows.size() < kScannedTogether && place + 1 < end) continue;
      if (vectors.empty()) {
        keep_best(rows, row_vector(0), rows, asks_first, best);
      } else {
        keep_best(rows, vectors.data(), places, asks_first, best);
      }
      rows.clear();
      places.clear();
    }
    candidates_.insert(candidates_.end(), best.begin(), best.end());
  }

  /// Keeps the best of `rows`, whose vectors are at `places` of `vectors`: only those are asked for
  /// that would be kept. How many of them were refused.
  std::size_t keep_best(std::span<const std::int32_t> rows, const float* vectors,
                        std::span<const std::int32_t> places, bool all_are_admitted,
                        std::vector<Candidate>& best) const {
    std::vector<float> scores(rows.size());
    quick_similarities(vector_.data(), vectors, vector_.size(), places, scores.data());
    std::size_t num_refused = 0;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const Candidate candidate{rows[i], scores[i]};
      if (!is_kept(best, candidate)) continue;
      if (all_are_admitted || admits_row(candidate.row)) {
        keep(best, candidate);
      } else {
        ++num_refused;
      }
    }
    return num_refused;
  }

  void search(const PlacedSegment& placed, std::size_t end, double expected, SearchEffort effort,
              std::size_t rank) {
    const Segment& segment = *placed.segment;
    const double share = expected / static_cast<double>(segment.num_places());
    const bool asks_last =
        segment.index().only_proposes() && expected >= kShareToAskLast * static_cast<double>(end);
    if (asks_last && search_and_ask_last(placed, end, effort)) return;
    const Admission admission = [&](std::size_t place) {
      return place < end && admits_row(placed.rows[place]);
    };
    const std::vector<Found> found =
        segment.index().search(vector_, segment.index().places_for(k_, effort), effort.width,
                               &admission, share, end, prepared_);
    // A graph may have parts that no walk comes to, lists that are not probed may have them all.
    const std::size_t wanted = (k_ * kEffortRanks[rank] + kEffortRanks[0] - 1) / kEffortRanks[0];
    if (found.size() < std::min(wanted, static_cast<std::size_t>(expected / 2))) {
      scan(placed, end, expected);
      return;
    }
    if (segment.index().only_proposes()) {
      static_cast<void>(compare(placed, found, /*all_are_admitted=*/true));
      return;
    }
    for (const Found& each : found) {
      candidates_.push_back({placed.rows[static_cast<std::size_t>(each.place)], each.score});
    }
  }

  /// Where most places are admitted only those are asked for that would be kept. False where it
  /// came otherwise here, and nothing is kept then.
  bool search_and_ask_last(const PlacedSegment& placed, std::size_t end, SearchEffort effort) {
    const FaissIndex& index = placed.segment->index();
    const std::vector<Found> found = index.search(vector_, index.places_for(k_, effort),
                                                  effort.width, nullptr, 1.0, end, prepared_);
    const std::size_t num_before = candidates_.size();
    const std::size_t num_refused = compare(placed, found, /*all_are_admitted=*/false);
    if (num_refused <= k_ && candidates_.size() - num_before >= std::min(k_, found.size())) {
      return true;
    }
    candidates_.resize(num_before);
    return false;
  }

  /// Keeps the best of what was proposed, by their vectors. How many of them were refused.
  std::size_t compare(const PlacedSegment& placed, std::span<const Found> found,
                      bool all_are_admitted) {
    std::vector<std::int32_t> rows;
    rows.reserve(found.size());
    for (const Found& each : found) {
      const std::int32_t row = placed.rows[static_cast<std::size_t>(each.place)];
      if (row != PlacedSegment::kDead) rows.push_back(row);
    }
    std::vector<Candidate> best;
    best.reserve(k_ + kSpare);
    const std::size_t num_refused = keep_best(rows, row_vector(0), rows, all_are_admitted, best);
    candidates_.insert(candidates_.end(), best.begin(), best.end());
    return num_refused;
  }

  /// `best` is a heap of the k best and a few, the worst on top: float32 in this order of summation
  /// may rank near ties otherwise than finish() does.
  void keep(std::vector<Candidate>& best, Candidate candidate) const {
    if (!is_kept(best, candidate)) return;
    if (best.size() < k_ + kSpare) {
      best.push_back(candidate);
    } else {
      std::pop_heap(best.begin(), best.end(), better);
      best.back() = candidate;
    }
    std::push_heap(best.begin(), best.end(), better);
  }
  [[nodiscard]] bool is_kept(const std::vector<Candidate>& best, const Candidate& candidate) const {
    return best.size() < k_ + kSpare || better(candidate, best.front());
  }

  static constexpr std::size_t kSpare = 6;
  static constexpr std::size_t kScannedTogether = 128;

  struct Expected {
    std::size_t end;  ///< places from here on were posted too late
    double admitted;
  };

  const bank::BankTable& table_;
  std::span<const float> vector_;
  const QueryIdentity& identity_;
  std::size_t k_;
  const RetrievalPolicy& policy_;
  std::vector<Expected> expected_;  ///< of each segment
  double admitted_of_all_ = 0.0;
  std::span<const float> prepared_;
  std::vector<Candidate> candidates_;
};

/// Several queries, of `vectors`, through a segment, which has this number.
void look_through(const PlacedSegment& placed, std::size_t number, std::span<const float> vectors,
                  std::span<QuerySearch> searches) {
  const std::vector<float> prepared = placed.segment->index().prepare(vectors);
  const std::size_t size = prepared.size() / searches.size();
  for (std::size_t i = 0; i < searches.size(); ++i) {
    searches[i].look_through(placed, number, std::span(prepared).subspan(i * size, size));
  }
}

bool is_zero(std::span<const float> vector) {
  return std::all_of(vector.begin(), vector.end(), [](float value) { return value == 0.0F; });
}

}  // namespace

std::shared_ptr<const SegmentedIndex> SegmentedIndex::open(
    const fs::path& bank, std::shared_ptr<const bank::BankTable> table, int num_threads,
    const SegmentedIndex* previous) {
  std::shared_ptr<const SegmentedIndex> last;
  for (int attempt = 0;; ++attempt) {
    const auto spec = read_index_spec(bank);
    if (!spec) return nullptr;
    std::shared_ptr<SegmentedIndex> index(new SegmentedIndex(*spec, table));
    index->take_list(bank);
    if (index->take_segments(bank, num_threads, previous) || attempt == kAttemptsMore) return index;
    last = std::move(index);
    previous = last.get();  // what it has read need not be read again
  }
}

void SegmentedIndex::take_list(const fs::path& bank) {
  try {
    SegmentList list = read_segment_list(bank).value_or(SegmentList{});
    files_spec_ = std::move(list.spec);
    files_ = std::move(list.files);
  } catch (const Error& error) {
    faults_.emplace_back(error.what());
  }
}

/// False where a file was not there: either it is lost, or the index was made anew since the list
/// was read.
bool SegmentedIndex::take_segments(const fs::path& bank, int num_threads,
                                   const SegmentedIndex* previous) {
  bool are_all_there = true;
  std::vector<bool> is_claimed(table_->num_rows(), false);
  for (const std::string& file : files_) {
    try {
      PlacedSegment placed;
      placed.file = file;
      placed.segment = segment_of(bank, file, previous);
      require_dim(*placed.segment, index_directory(bank) / file);
      place(*table_, num_threads, placed);
      claim_rows(placed, is_claimed);
      segments_.push_back(std::move(placed));
    } catch (const Error& error) {
      faults_.emplace_back(error.what());
      if (error.kind() == ErrorKind::kNotFound) are_all_there = false;
    }
  }
  for (std::size_t row = 0; row < is_claimed.size(); ++row) {
    if (!is_claimed[row]) tail_.push_back(static_cast<std::uint32_t>(row));
  }
  return are_all_there;
}

std::vector<std::string> SegmentedIndex::unreadable_files() const {
  std::vector<std::string> unreadable;
  std::copy_if(files_.begin(), files_.end(), std::back_inserter(unreadable),
               [this](const std::string& file) {
                 return std::none_of(segments_.begin(), segments_.end(),
                                     [&](const auto& placed) { return placed.file == file; });
               });
  return unreadable;
}

void SegmentedIndex::require_dim(const Segment& segment, const fs::path& file) const {
  if (segment.head().dim == static_cast<std::uint32_t>(table_->retrieval_dim())) return;
  throw Error(ErrorKind::kCorruptData,
              file.string() + " is of vectors of " + std::to_string(segment.head().dim) +
                  " dimensions, the bank's have " + std::to_string(table_->retrieval_dim()) +
                  "; make it anew with `mmra bank reindex`");
}

bool SegmentedIndex::is_of(const bank::BankTable& table) const {
  return table.generation() == table_->generation() && table.commit_id() == table_->commit_id() &&
         table.num_rows() == table_->num_rows();
}

RetrievalResult SegmentedIndex::search(const bank::BankTable& table,
                                       std::span<const float> query_vectors,
                                       std::span<const QueryIdentity> queries, int k,
                                       const RetrievalPolicy& policy, int num_threads,
                                       const std::stop_token& stop) const {
  const auto dim = static_cast<std::size_t>(table.retrieval_dim());
  if (query_vectors.size() != queries.size() * dim) {
    throw Error(ErrorKind::kInvalidInput, std::to_string(queries.size()) + " queries of dim " +
                                              std::to_string(dim) + " were given as " +
                                              std::to_string(query_vectors.size()) + " floats");
  }
  if (k < 1) {
    throw Error(ErrorKind::kInvalidInput, "k must be at least 1, not " + std::to_string(k));
  }
  if (!is_of(table)) throw Error(ErrorKind::kInternal, "an index of another table");
  RetrievalResult result;
  result.k = k;
  result.rows.assign(queries.size() * static_cast<std::size_t>(k), RetrievalResult::kNoInstance);
  result.similarities.assign(result.rows.size(), 0.0F);
  const auto search_some = [&](std::size_t begin, std::size_t end) {
    std::vector<QuerySearch> searches;
    for (std::size_t q = begin; q < end; ++q) {
      searches.emplace_back(table, query_vectors.subspan(q * dim, dim), queries[q], k, policy);
      searches.back().expect(segments_, tail_);
    }
    const auto vectors = query_vectors.subspan(begin * dim, (end - begin) * dim);
    for (std::size_t i = 0; i < segments_.size(); ++i) {
      look_through(segments_[i], i, vectors, searches);
    }
    for (std::size_t q = begin; q < end; ++q) {
      // A query of which nothing is known is similar to nothing.
      if (is_zero(query_vectors.subspan(q * dim, dim))) continue;
      QuerySearch& one = searches[q - begin];
      one.look_through(tail_);
      std::size_t at = q * static_cast<std::size_t>(k);
      for (const Candidate& candidate : one.finish()) {
        result.rows[at] = candidate.row;
        result.similarities[at++] = candidate.score;
      }
    }
  };
  parallel_for(queries.size(), kQueriesPerTask, num_threads,
               [&](std::size_t begin, std::size_t end) {
                 if (stop.stop_requested()) throw Interrupted();
                 search_some(begin, end);
               });
  return result;
}

}  // namespace mmra::retrieval
