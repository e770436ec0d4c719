#include "mmra/retrieval/index/segmented_index.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <omp.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <numeric>
#include <set>
#include <thread>

#include "expect_error.h"
#include "mmra/bank/label_table.h"
#include "mmra/core/error.h"
#include "mmra/core/files.h"
#include "mmra/retrieval/index/index_builder.h"
#include "mmra/retrieval/index/index_files.h"
#include "retrieval/index/clustered_table.h"
#include "test_files.h"

namespace mmra::retrieval {
namespace {

namespace fs = std::filesystem;
using mmra::testing::expect_error;
using testing::ClusteredRow;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using testing::table_of;

constexpr int kDim = 16;
constexpr int kTop = 10;

class Segments : public ::testing::Test {
 protected:
  void SetUp() override { rows_ = testing::clustered_rows(3000, kDim, random_); }

  IndexReport build(const std::string& spec, std::size_t rows_per_segment = 1 << 20) {
    IndexOptions options;
    options.rows_per_segment = rows_per_segment;
    options.num_threads = 2;
    SilentProgress silent;
    return build_index(directory_.path(), *table(), spec, options, silent);
  }
  IndexReport update(bool all, std::size_t rows_per_segment = 1 << 20) {
    IndexOptions options;
    options.rows_per_segment = rows_per_segment;
    options.num_threads = 2;
    SilentProgress silent;
    return update_index(directory_.path(), table(), all, options, silent);
  }
  /// A commit later.
  void change() { ++generation_; }
  [[nodiscard]] std::shared_ptr<const bank::BankTable> table() const {
    return table_of(rows_, generation_);
  }
  [[nodiscard]] std::shared_ptr<const SegmentedIndex> open() const {
    return SegmentedIndex::open(directory_.path(), table(), 2);
  }
  void append(std::size_t count) {
    auto more = testing::clustered_rows(count, kDim, random_);
    for (ClusteredRow& row : more) {
      row.record.id = "s" + std::to_string(1'000'000 + rows_.size());
      rows_.push_back(std::move(row));
    }
    change();
  }
  [[nodiscard]] std::vector<fs::path> segment_files() const {
    std::vector<fs::path> files;
    for (const auto& entry : fs::directory_iterator(index_directory(directory_.path()))) {
      if (entry.path().extension() == ".bin") files.push_back(entry.path());
    }
    std::sort(files.begin(), files.end());
    return files;
  }

  /// Searches with every so-manieth row and compares with exact search: all are admitted, equal
  /// rows have equal similarities, and the share of the exact ones that are found.
  double recall(const SegmentedIndex& index, const bank::BankTable& table,
                const RetrievalPolicy& policy, std::optional<Timestamp> as_of) {
    std::vector<QueryIdentity> queries;
    std::vector<float> vectors;
    const auto dim = static_cast<std::size_t>(kDim);
    for (std::size_t row = 0; row < table.num_rows(); row += 37) {
      queries.push_back({row, as_of});
      const auto vector = table.retrieval_vectors().subspan(row * dim, dim);
      vectors.insert(vectors.end(), vector.begin(), vector.end());
    }
    const auto found = index.search(table, vectors, queries, kTop, policy, 2);
    const auto wanted = search_exact(table, vectors, queries, kTop, policy, 2);
    std::size_t num_wanted = 0;
    std::size_t num_found = 0;
    for (std::size_t q = 0; q < queries.size(); ++q) {
      std::set<std::int32_t> here;
      float last = 2.0F;
      for (int j = 0; j < kTop; ++j) {
        const std::size_t at = q * kTop + static_cast<std::size_t>(j);
        if (found.rows[at] == RetrievalResult::kNoInstance) break;
        EXPECT_TRUE(admits(policy, queries[q], table, static_cast<std::size_t>(found.rows[at])));
        EXPECT_TRUE(here.insert(found.rows[at]).second) << "found twice";
        EXPECT_LE(found.similarities[at], last);
        last = found.similarities[at];
      }
      for (int j = 0; j < kTop; ++j) {
        const std::size_t at = q * kTop + static_cast<std::size_t>(j);
        if (wanted.rows[at] == RetrievalResult::kNoInstance) break;
        ++num_wanted;
        num_found += here.count(wanted.rows[at]);
      }
    }
    EXPECT_GT(num_wanted, 100U) << "nothing was asked";
    return static_cast<double>(num_found) / static_cast<double>(num_wanted);
  }

  testing::TemporaryDirectory directory_;
  std::mt19937 random_{5};
  std::vector<ClusteredRow> rows_;
  std::uint64_t generation_ = 1;
};

TEST_F(Segments, WithoutASettingThereIsNoIndex) { EXPECT_EQ(open(), nullptr); }

TEST_F(Segments, FindMostOfWhatExactSearchFindsUnderEveryPolicy) {
  for (const char* spec : {"HNSW16", "IVF32,Flat", "IVF32,PQ8", "IVF32,PQ8x4fs"}) {
    for (const std::size_t rows_per_segment : {std::size_t{1} << 20, std::size_t{700}}) {
      const IndexReport report = build(spec, rows_per_segment);
      const std::size_t num_segments = (rows_.size() + rows_per_segment - 1) / rows_per_segment;
      EXPECT_EQ(report.num_segments, num_segments);
      EXPECT_GE(report.least_recall, 0.95F);
      const auto index = open();
      ASSERT_NE(index, nullptr);
      EXPECT_THAT(index->faults(), IsEmpty());
      EXPECT_THAT(index->tail(), IsEmpty());
      EXPECT_THAT(index->segments(), SizeIs(num_segments));
      for (const RetrievalPolicy& policy :
           {RetrievalPolicy::deployed(), RetrievalPolicy::honest_training()}) {
        for (const auto as_of :
             {std::optional<Timestamp>{}, std::optional(Timestamp{10'000}),
              std::optional(Timestamp{100'000}), std::optional(Timestamp{500'000})}) {
          EXPECT_GE(recall(*index, *index->table(), policy, as_of), 0.95)
              << spec << " " << rows_per_segment << " " << (as_of ? as_of->ms : -1);
        }
      }
    }
  }
}

TEST_F(Segments, SegmentsAreInTheOrderOfTime) {
  build("HNSW16", 500);
  const auto index = open();
  std::int64_t last = INT64_MIN;
  for (const PlacedSegment& placed : index->segments()) {
    for (const std::int64_t time : placed.segment->posted_at()) {
      EXPECT_LE(last, time);
      last = time;
    }
  }
}

TEST_F(Segments, WhatIsRemovedIsNeverFound) {
  build("HNSW16");
  std::erase_if(rows_, [](const ClusteredRow& row) { return row.record.id.back() == '7'; });
  change();
  const auto index = open();
  EXPECT_THAT(index->tail(), IsEmpty());
  EXPECT_EQ(index->segments().at(0).num_alive, rows_.size());
  EXPECT_GE(recall(*index, *index->table(), RetrievalPolicy::deployed(), {}), 0.95);
}

TEST_F(Segments, WhatHasAnotherVectorOrTimeIsSearchedExactly) {
  build("HNSW16");
  rows_[100].vector = testing::random_unit_vector(kDim, random_);
  rows_[200].record.posted_at = Timestamp{3};
  rows_[300].record.popularity = 77.0;  // this changes nothing for an index
  change();
  const auto index = open();
  EXPECT_THAT(index->tail(), ElementsAre(100U, 200U));
  const QueryIdentity nobody;
  const auto found = index->search(*index->table(), rows_[100].vector, std::span(&nobody, 1), 1,
                                   {SplitSet::all(), /*labelled_only=*/false}, 1);
  EXPECT_EQ(found.rows.at(0), 100);
}

TEST_F(Segments, WhatIsNewIsFoundAtOnce) {
  build("HNSW16");
  append(200);
  const auto index = open();
  EXPECT_THAT(index->tail(), SizeIs(200));
  EXPECT_GE(recall(*index, *index->table(), RetrievalPolicy::deployed(), {}), 0.95);
}

TEST_F(Segments, AnUpdatePutsTheTailIntoASegment) {
  build("HNSW16", 4000);
  append(200);
  EXPECT_EQ(update(/*all=*/false).num_made, 0U) << "so few are not worth it";
  EXPECT_EQ(open()->tail().size(), 200U);
  const IndexReport report = update(/*all=*/true, 4000);
  EXPECT_EQ(report.num_made, 1U);
  EXPECT_EQ(report.num_segments, 2U);
  auto index = open();
  EXPECT_THAT(index->tail(), IsEmpty());
  EXPECT_GE(recall(*index, *index->table(), RetrievalPolicy::deployed(), {}), 0.95);

  append(7000);
  EXPECT_EQ(update(/*all=*/false).num_made, 1U) << "so many are";
  index = open();
  EXPECT_THAT(index->tail(), IsEmpty());
  EXPECT_THAT(index->segments(), SizeIs(1)) << "smaller segments are joined";
  EXPECT_THAT(segment_files(), SizeIs(1)) << "files that nobody needs are gone";
  EXPECT_GE(recall(*index, *index->table(), RetrievalPolicy::deployed(), {}), 0.95);
}

TEST_F(Segments, AnUpdateMakesSegmentsAnewOfWhichMuchIsGone) {
  build("HNSW16");
  const auto before = segment_files();
  rows_.resize(2000);
  change();
  EXPECT_EQ(update(/*all=*/false).num_made, 1U);
  EXPECT_NE(segment_files(), before);
  EXPECT_EQ(open()->segments().at(0).segment->num_places(), 2000U);
}

// Who changes the setting may be killed between the two files that say it.
TEST_F(Segments, AnIndexOfAnotherSpecIsRebuilt) {
  build("HNSW16");
  EXPECT_FALSE(open()->is_of_another_spec());
  write_index_spec(directory_.path(), "IVF16,Flat");
  EXPECT_TRUE(open()->is_of_another_spec());
  EXPECT_EQ(update(/*all=*/false).num_made, 1U);
  const auto index = open();
  EXPECT_FALSE(index->is_of_another_spec());
  EXPECT_EQ(index->spec(), "IVF16,Flat");
  EXPECT_THAT(index->tail(), IsEmpty());
  EXPECT_LE(index->segments().at(0).segment->head().efforts.front().front().width, 16)
      << "lists to look through";
  EXPECT_EQ(update(/*all=*/false).num_made, 0U);
}

TEST_F(Segments, AnUpdateOfTooFewRowsForTheKindTakesMoreOfThem) {
  build("IVF4,PQ1");
  rows_.resize(200);
  change();
  EXPECT_EQ(update(/*all=*/false).num_made, 0U) << "256 centroids are not made of 200 rows";
  EXPECT_THAT(open()->segments(), IsEmpty());
  EXPECT_THAT(open()->tail(), SizeIs(200));
  append(1100);
  build("IVF4,PQ1");
  append(200);
  EXPECT_EQ(update(/*all=*/true).num_made, 1U);
  EXPECT_THAT(open()->segments(), SizeIs(1));
  EXPECT_THAT(open()->tail(), IsEmpty());
}

TEST_F(Segments, APartOfABankHasAsManyListsAsItsRowsAreWorth) {
  EXPECT_EQ(FaissIndex::spec_for_part("IVF1024,PQ64x4fs", 65'536), "IVF256,PQ64x4fs");
  EXPECT_EQ(FaissIndex::spec_for_part("IVF1024,PQ64x4fs", 1'000'000), "IVF1024,PQ64x4fs");
  EXPECT_EQ(FaissIndex::spec_for_part("OPQ16,IVF4096_HNSW32,PQ16", 10), "OPQ16,IVF1_HNSW32,PQ16");
  EXPECT_EQ(FaissIndex::spec_for_part("HNSW32", 10), "HNSW32");
  build("IVF2000,Flat");
  append(300);
  EXPECT_EQ(update(/*all=*/true).num_made, 1U) << "300 rows make no 2000 lists";
  EXPECT_THAT(open()->segments(), SizeIs(2));
  EXPECT_GE(recall(*open(), *table(), RetrievalPolicy::deployed(), {}), 0.95);
}

TEST_F(Segments, AllOfABankHasTheListsThatItsSettingNames) {
  build("IVF32,Flat");
  fs::remove(segment_files().at(0));
  EXPECT_EQ(update(/*all=*/true).num_made, 1U);
  EXPECT_EQ(open()->segments().at(0).segment->index().most_width(), 32);
}

TEST_F(Segments, AnUpdateBesideSearchesTakesTheOldestFirst) {
  build("IVF8,Flat");
  append(5000);
  IndexOptions options;
  options.most_new_rows = 4500;
  SilentProgress silent;
  EXPECT_EQ(update_index(directory_.path(), table(), /*all=*/false, options, silent).num_made, 1U);
  const auto index = open();
  ASSERT_THAT(index->tail(), SizeIs(500));
  ASSERT_THAT(index->segments(), SizeIs(2));
  std::int64_t newest = INT64_MIN;
  for (const PlacedSegment& placed : index->segments()) {
    if (placed.num_alive != 4500) continue;
    for (std::size_t place = 0; place < placed.rows.size(); ++place) {
      newest = std::max(newest, placed.segment->posted_at()[place]);
    }
  }
  EXPECT_NE(newest, INT64_MIN) << "no segment has 4,500 rows";
  for (const std::uint32_t row : index->tail()) {
    EXPECT_GE(segment_time_of(*index->table(), row), newest);
  }
}

// A bank that grows by as many rows again and again.
TEST_F(Segments, FourOfOneSizeAreJoined) {
  rows_ = testing::clustered_rows(5000, kDim, random_);
  build("IVF8,Flat");
  std::vector<std::size_t> numbers;
  for (int i = 0; i < 8; ++i) {
    append(5000);
    EXPECT_EQ(update(/*all=*/false).num_made, 1U);
    const auto index = open();
    EXPECT_THAT(index->tail(), IsEmpty());
    numbers.push_back(index->segments().size());
  }
  EXPECT_THAT(numbers, ElementsAre(2, 3, 1, 2, 3, 4, 2, 3));
}

/// As joins beside a server, of small segments.
IndexOptions joining(std::stop_token stop = {}) {
  IndexOptions options = joining_beside_searches(kDim, std::move(stop));
  options.least_rows_to_join = 500;
  return options;
}

TEST_F(Segments, AreJoinedIntoOne) {
  for (const char* spec : {"HNSW16", "IVF32,PQ8x4fs"}) {
    build(spec, 700);
    const auto before = open();
    ASSERT_THAT(before->segments(), SizeIs(5));
    EXPECT_FALSE(is_worth_joining(*before, joining_beside_searches(kDim, {}))) << "so small";
    EXPECT_TRUE(is_worth_joining(*before, joining()));
    SegmentFiles files(directory_.path());
    SilentProgress silent;
    const IndexReport report = join_segments(files, *before, joining(), silent);
    EXPECT_EQ(report.num_made, 1U);
    EXPECT_EQ(report.num_segments, 1U);
    EXPECT_THAT(report.segment_rows, ElementsAre(3000));
    const auto index = open();
    EXPECT_THAT(index->segments(), SizeIs(1));
    EXPECT_THAT(index->tail(), IsEmpty());
    EXPECT_THAT(segment_files(), SizeIs(1)) << "files that nobody needs are gone";
    EXPECT_GE(recall(*index, *index->table(), RetrievalPolicy::deployed(), {}), 0.95);
    EXPECT_GE(recall(*index, *index->table(), RetrievalPolicy::deployed(), Timestamp{300'000}),
              0.95);
    EXPECT_EQ(join_segments(files, *index, joining(), silent).num_made, 0U);
    // Who has opened the index before goes on with it.
    EXPECT_GE(recall(*before, *before->table(), RetrievalPolicy::deployed(), {}), 0.95);
  }
}

TEST_F(Segments, AreJoinedWhileTheBankIsUpdatedAndRecordsLeaveIt) {
  build("IVF16,Flat", 700);
  const auto before = open();
  // What comes, goes and is put into the index while the join is under way.
  append(5000);
  rows_.erase(rows_.begin(), rows_.begin() + 300);
  rows_[100].vector = rows_[200].vector;
  change();
  SegmentFiles files(directory_.path());
  SilentProgress silent;
  const std::string of_the_join = files.new_name();
  write_file_atomically(files.path_of(of_the_join), "half of a segment");
  IndexOptions few;
  few.rows_per_segment = 1000;  // so that it leaves those alone that the join has
  EXPECT_EQ(update_index(files, table(), /*all=*/false, few, silent).num_made, 6U);
  EXPECT_TRUE(fs::exists(files.path_of(of_the_join)));
  files.release(std::vector{of_the_join});
  const std::size_t num_of_the_update = open()->segments().size() - 5;
  EXPECT_EQ(join_segments(files, *before, joining(), silent).num_made, 1U);
  const auto index = open();
  EXPECT_THAT(index->segments(), SizeIs(num_of_the_update + 1));
  EXPECT_THAT(index->faults(), IsEmpty());
  EXPECT_THAT(index->tail(), IsEmpty());
  std::size_t num_alive = 0;
  for (const PlacedSegment& placed : index->segments()) num_alive += placed.num_alive;
  EXPECT_EQ(num_alive, rows_.size());
  EXPECT_GE(recall(*index, *index->table(), RetrievalPolicy::deployed(), {}), 0.95);
}

TEST_F(Segments, AreTheOldOnesWhereAJoinIsStopped) {
  build("IVF16,Flat", 700);
  const auto before = segment_files();
  std::stop_source stop;
  stop.request_stop();
  SegmentFiles files(directory_.path());
  SilentProgress silent;
  EXPECT_THROW(join_segments(files, *open(), joining(stop.get_token()), silent), Interrupted);
  EXPECT_EQ(segment_files(), before);
  EXPECT_THAT(open()->segments(), SizeIs(5));
}

// As many as a GiB of vectors is.
TEST_F(Segments, ThatAreJoinedAreTheSmallerTheLongerTheirVectors) {
  EXPECT_EQ(joining_beside_searches(128, {}).rows_per_segment, std::size_t{1} << 20);
  EXPECT_EQ(joining_beside_searches(1024, {}).rows_per_segment, std::size_t{1} << 18);
}

// What was changed, removed or put in between ids by another commit is told apart wherever it is.
TEST_F(Segments, PlacesAreThoseOfTheirIdsInEveryLaterTable) {
  build("IVF8,Flat", 700);
  std::mt19937 random(3);
  for (int round = 0; round < 30; ++round) {
    std::erase_if(rows_, [&](const ClusteredRow&) { return random() % 40 == 0; });
    for (std::size_t i = 0; i < rows_.size(); i += 1 + random() % 200) {
      ClusteredRow more = testing::clustered_rows(1, kDim, random_).at(0);
      more.record.id = rows_[i].record.id + static_cast<char>('~' - round);
      rows_.insert(rows_.begin() + static_cast<std::ptrdiff_t>(i) + 1, std::move(more));
    }
    change();
    const auto index = open();
    std::set<std::string_view> ids;
    for (const PlacedSegment& placed : index->segments()) {
      for (std::size_t place = 0; place < placed.rows.size(); ++place) {
        const std::string_view id = placed.segment->id(place);
        const auto row = index->table()->row_of(id);
        ASSERT_EQ(placed.rows[place], row ? static_cast<std::int32_t>(*row) : PlacedSegment::kDead);
        if (row) ids.insert(id);
      }
    }
    for (const std::uint32_t row : index->tail()) ids.insert(index->table()->id(row));
    ASSERT_EQ(ids.size(), rows_.size());
  }
}

TEST_F(Segments, AnUpdateThatIsNotWorthItLeavesFilesAlone) {
  build("HNSW16", 1500);
  const fs::path file = segment_files().at(0);
  write_file_atomically(file, "of a newer program");
  rows_.resize(2500);
  change();
  update(/*all=*/false);
  EXPECT_TRUE(fs::exists(file));
  EXPECT_THAT(open()->faults(), ElementsAre(HasSubstr(file.filename().string())));
}

// The list is read before the segments; whoever makes the index anew removes the old ones.
TEST_F(Segments, AreWholeForWhoOpensThemWhileTheyAreMade) {
  constexpr std::size_t kRowsPerSegment = 40;
  rows_.resize(2000);
  build("HNSW4", kRowsPerSegment);
  const auto table = this->table();
  std::atomic<bool> is_making{true};
  std::thread maker([&] {
    for (int i = 0; i < 12; ++i) build("HNSW4", kRowsPerSegment);
    is_making = false;
  });
  std::size_t num_opened = 0;
  for (; is_making; ++num_opened) {
    const auto index = SegmentedIndex::open(directory_.path(), table, 1);
    EXPECT_THAT(index->faults(), IsEmpty());
    EXPECT_THAT(index->tail(), IsEmpty());
  }
  maker.join();
  EXPECT_GT(num_opened, 20U) << "hardly ever opened";
}

TEST_F(Segments, LeaveTheCallersOpenMpThreadsAlone) {
  const int num_before = omp_get_max_threads();
  constexpr int kOfTheCaller = 5;
  omp_set_num_threads(kOfTheCaller);
  build("IVF32,PQ8");
  EXPECT_EQ(omp_get_max_threads(), kOfTheCaller) << "after building";
  const auto index = open();
  const QueryIdentity nobody;
  static_cast<void>(index->search(*index->table(), rows_[0].vector, std::span(&nobody, 1), 5,
                                  RetrievalPolicy::deployed(), 1));
  EXPECT_EQ(omp_get_max_threads(), kOfTheCaller) << "after a search";
  omp_set_num_threads(num_before);
}

// So many rows that a walk is cheaper than a scan, of records that a filter passes over in between.
TEST_F(Segments, AFilterThatAdmitsHalfFindsMost) {
  append(12'000);
  for (const char* spec : {"HNSW8", "IVF64,Flat", "IVF64,PQ8x4fs"}) {
    build(spec);
    const auto index = open();
    EXPECT_GE(recall(*index, *index->table(), RetrievalPolicy::deployed(), Timestamp{500'000}),
              0.95)
        << spec;
    EXPECT_GE(recall(*index, *index->table(), RetrievalPolicy::authors_training(), {}), 0.95)
        << spec;
  }
}

// A segment is searched for as many of the ten as its share of the bank is likely to have. Where
// like ones were posted at about the same time, one segment has all of them.
TEST_F(Segments, OfWhichEachHasAFewOrOneHasAllOfTheNearest) {
  rows_ = testing::clustered_rows(9000, kDim, random_);
  for (const bool bursts : {false, true}) {
    if (bursts) {
      const auto similarity = [](const ClusteredRow& a, const ClusteredRow& b) {
        return std::inner_product(a.vector.begin(), a.vector.end(), b.vector.begin(), 0.0F);
      };
      for (ClusteredRow& row : rows_) {
        std::int64_t nearest = 0;
        for (std::int64_t i = 1; i < 100; ++i) {
          const auto at = [&](std::int64_t n) { return rows_[static_cast<std::size_t>(n) * 90]; };
          if (similarity(row, at(i)) > similarity(row, at(nearest))) nearest = i;
        }
        row.record.posted_at =
            Timestamp{nearest * 1000 + static_cast<std::int64_t>(random_() % 999)};
      }
      change();
    }
    for (const std::string spec : {"IVF16,Flat", "IVF16,PQ8x4fs", "HNSW8"}) {
      build(spec, 750);
      const auto index = open();
      ASSERT_EQ(index->segments().size(), 12U);
      EXPECT_GE(recall(*index, *index->table(), RetrievalPolicy::deployed(), std::nullopt), 0.95)
          << spec << bursts;
      // Whoever sees the first segment alone has all ten in it, and most of them far off. (Those of
      // other bursts are like nothing in it, as no query was that its efforts were measured with.)
      const Timestamp first_end{index->segments().front().segment->posted_at().back() + 1};
      EXPECT_GE(recall(*index, *index->table(), RetrievalPolicy::deployed(), first_end),
                bursts ? 0.85 : 0.95)
          << spec << bursts;
      const auto& efforts = index->segments().front().segment->head().efforts;
      EXPECT_LE(efforts.back().front().width, efforts.front().front().width) << spec;
    }
  }
}

TEST_F(Segments, FlatMeansNoIndex) {
  build("HNSW16");
  const IndexReport report = build("Flat");
  EXPECT_EQ(report.num_segments, 0U);
  EXPECT_EQ(open(), nullptr);
  EXPECT_FALSE(fs::exists(index_directory(directory_.path())));
}

TEST_F(Segments, ASpecThatFaissDoesNotMakeChangesNothing) {
  build("HNSW16");
  const auto before = segment_files();
  expect_error(ErrorKind::kInvalidInput, "HNWS16", [&] { build("HNWS16"); });
  expect_error(ErrorKind::kInvalidInput, "3000 vectors", [&] { build("IVF4096,Flat"); });
  EXPECT_EQ(segment_files(), before);
  EXPECT_EQ(open()->spec(), "HNSW16");
  EXPECT_THAT(open()->tail(), IsEmpty());
}

TEST_F(Segments, OfAnEmptyBankAnIndexIsEmpty) {
  rows_.clear();
  build("HNSW16");
  const auto index = open();
  ASSERT_NE(index, nullptr);
  EXPECT_THAT(index->segments(), IsEmpty());
}

TEST_F(Segments, DamageIsFoundAndSearchedPast) {
  build("HNSW16", 1500);
  const fs::path file = segment_files().at(0);
  const std::string sound = read_file(file);
  std::mt19937 random(3);
  for (int round = 0; round < 60; ++round) {
    std::string damaged = sound;
    if (round % 4 == 0) {
      damaged.resize(random() % sound.size());
    } else {
      char& byte = damaged[random() % damaged.size()];
      byte = static_cast<char>(byte ^ static_cast<char>(1 + random() % 255));
    }
    write_file_atomically(file, damaged);
    const auto index = open();
    ASSERT_NE(index, nullptr);
    ASSERT_THAT(index->faults(), ElementsAre(HasSubstr(file.filename().string()))) << round;
    ASSERT_THAT(index->tail(), SizeIs(1500));
  }
  EXPECT_GE(recall(*open(), *table(), RetrievalPolicy::deployed(), {}), 0.95);
  update(/*all=*/true);
  EXPECT_THAT(open()->faults(), IsEmpty());
  EXPECT_THAT(open()->tail(), IsEmpty());
}

TEST_F(Segments, AMissingFileOrListIsSearchedPast) {
  build("HNSW16", 1500);
  fs::remove(segment_files().at(1));
  EXPECT_THAT(open()->faults(), SizeIs(1));
  EXPECT_THAT(open()->tail(), SizeIs(1500));
  write_file_atomically(index_directory(directory_.path()) / "segments.json", "{\"version\":");
  EXPECT_THAT(open()->faults(), SizeIs(1));
  EXPECT_THAT(open()->tail(), SizeIs(3000));
  fs::remove_all(index_directory(directory_.path()));
  EXPECT_THAT(open()->faults(), IsEmpty());
  EXPECT_THAT(open()->tail(), SizeIs(3000));
  update(/*all=*/true);
  EXPECT_THAT(open()->tail(), IsEmpty());
}

TEST_F(Segments, ASegmentOfAnotherDimensionIsAFault) {
  build("HNSW16");
  for (ClusteredRow& row : rows_) row.vector.resize(kDim / 2);
  change();
  EXPECT_THAT(open()->faults(), ElementsAre(HasSubstr("of 16 dimensions, the bank's have 8")));
}

TEST_F(Segments, AreReadOnceWhileTheyStayTheSame) {
  build("HNSW16");
  const auto first = open();
  append(10);
  const auto second = SegmentedIndex::open(directory_.path(), table(), 1, first.get());
  EXPECT_EQ(second->segments().at(0).segment, first->segments().at(0).segment);
  EXPECT_THAT(second->tail(), SizeIs(10));
}

TEST_F(Segments, KnowTheTableTheyWereOpenedWith) {
  build("HNSW16");
  const auto index = open();
  change();
  const QueryIdentity nobody;
  expect_error(ErrorKind::kInternal, "another table", [&] {
    static_cast<void>(index->search(*table(), rows_[0].vector, std::span(&nobody, 1), 1,
                                    RetrievalPolicy::deployed(), 1));
  });
  const auto at_horizon = bank::with_horizon(index->table(), Duration{5});
  EXPECT_EQ(index
                ->search(*at_horizon, rows_[0].vector, std::span(&nobody, 1), 3,
                         RetrievalPolicy::deployed(), 1)
                .rows.size(),
            3U);
}

TEST_F(Segments, AskedAmissSayWhat) {
  build("HNSW16");
  const auto index = open();
  const QueryIdentity nobody;
  expect_error(ErrorKind::kInvalidInput, "k must be", [&] {
    static_cast<void>(index->search(*index->table(), rows_[0].vector, std::span(&nobody, 1), 0,
                                    RetrievalPolicy::deployed(), 1));
  });
  expect_error(ErrorKind::kInvalidInput, "3 floats", [&] {
    static_cast<void>(index->search(*index->table(), std::vector<float>(3), std::span(&nobody, 1),
                                    1, RetrievalPolicy::deployed(), 1));
  });
}

TEST_F(Segments, AQueryOfWhichNothingIsKnownFindsNothing) {
  build("HNSW16");
  const auto index = open();
  const QueryIdentity nobody;
  const auto found = index->search(*index->table(), std::vector<float>(kDim), std::span(&nobody, 1),
                                   5, RetrievalPolicy::deployed(), 1);
  EXPECT_THAT(found.rows, Each(RetrievalResult::kNoInstance));
}

TEST_F(Segments, AskForMoreThanThereIsAndGetAll) {
  rows_.resize(40);
  build("HNSW4", 15);
  const auto index = open();
  const QueryIdentity nobody;
  const RetrievalPolicy all{SplitSet::all(), /*labelled_only=*/false};
  const auto found =
      index->search(*index->table(), rows_[0].vector, std::span(&nobody, 1), 50, all, 1);
  const auto wanted =
      search_exact(*index->table(), rows_[0].vector, std::span(&nobody, 1), 50, all, 1);
  EXPECT_EQ(found.rows, wanted.rows);
  EXPECT_EQ(found.similarities, wanted.similarities);
}

TEST_F(Segments, StopWhenAsked) {
  build("HNSW16");
  std::stop_source stop;
  stop.request_stop();
  IndexOptions options;
  options.stop = stop.get_token();
  SilentProgress silent;
  append(5000);
  const auto before = segment_files();
  EXPECT_THROW(update_index(directory_.path(), table(), true, options, silent), Interrupted);
  EXPECT_EQ(segment_files(), before) << "what was there stays";
  const auto index = open();
  const QueryIdentity nobody;
  EXPECT_THROW(
      static_cast<void>(index->search(*index->table(), rows_[0].vector, std::span(&nobody, 1), 1,
                                      RetrievalPolicy::deployed(), 1, stop.get_token())),
      Interrupted);
}

// Random changes between updates; nothing is ever lost, found twice or found after it went.
TEST_F(Segments, StayTrueThroughRandomChanges) {
  rows_.resize(800);
  build("HNSW8", 600);
  for (int round = 0; round < 12; ++round) {
    append(random_() % 400);
    std::erase_if(rows_, [&](const ClusteredRow&) { return random_() % 9 == 0; });
    for (std::size_t i = 0; i < 5; ++i) {
      rows_[random_() % rows_.size()].vector = testing::random_unit_vector(kDim, random_);
    }
    if (random_() % 3 == 0) update(random_() % 2 == 0, 600);
    const auto index = open();
    std::size_t num_alive = index->tail().size();
    for (const PlacedSegment& placed : index->segments()) num_alive += placed.num_alive;
    ASSERT_EQ(num_alive, rows_.size());
    ASSERT_GE(recall(*index, *index->table(), RetrievalPolicy::deployed(), {}), 0.95);
    ASSERT_GE(recall(*index, *index->table(), RetrievalPolicy::deployed(), Timestamp{300'000}),
              0.95);
  }
}

}  // namespace
}  // namespace mmra::retrieval
