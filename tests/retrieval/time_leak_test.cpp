#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <string>
#include <vector>

#include "mmra/bank/label_table.h"
#include "mmra/bank/vector_table.h"
#include "mmra/retrieval/index/index_builder.h"
#include "mmra/retrieval/index/segmented_index.h"
#include "mmra/retrieval/random_instances.h"
#include "retrieval/memory_table.h"
#include "test_files.h"

namespace mmra::retrieval {
namespace {

using bank::BankTable;
using bank::Observation;
using testing::random_unit_vector;

constexpr int kDim = 6;
constexpr std::int64_t kEnd = 60;  ///< all moments lie before it

/// What a bank would know, kept in the plainest way.
struct KnownRow {
  bank::Record record;
  bank::PopularityHistory history;
};

std::vector<KnownRow> random_rows(std::mt19937& random, std::size_t num_rows) {
  std::vector<KnownRow> rows(num_rows);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    KnownRow& row = rows[i];
    row.record.id = std::to_string(100'000 + i);
    row.record.split = static_cast<bank::Split>(random() % 3);
    if (random() % 8 != 0) {
      row.record.posted_at = Timestamp{static_cast<std::int64_t>(random() % 40)};
    }
    if (random() % 3 != 0) row.history.untimed = 10'000.0 + static_cast<double>(i);
    const std::int64_t first = row.record.posted_at ? row.record.posted_at->ms : 0;
    for (std::size_t counts = random() % 5; counts > 0; --counts) {
      const std::int64_t moment = first + static_cast<std::int64_t>(random() % 20);
      row.history.add({{moment}, static_cast<double>(moment) + 0.5});  // the count tells its time
    }
    row.record.popularity =
        bank::label_of({row.history.untimed, row.history.timed}, row.record.posted_at, {})
            .popularity;
  }
  return rows;
}

std::shared_ptr<const BankTable> table_of(const std::vector<KnownRow>& rows, std::mt19937& random) {
  bank::TableColumns columns;
  for (const KnownRow& row : rows) columns.append(row.record, &row.history);
  return bank::make_vector_table({1, 1}, columns, kDim, [&](const auto& visit) {
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const std::vector<float> vector = random_unit_vector(kDim, random);
      visit(std::as_bytes(std::span(vector)));
    }
  });
}

/// Written apart from the code it checks: could this label of this row be known before `moment`?
bool was_known(const KnownRow& row, double label, Timestamp moment,
               std::optional<Duration> horizon) {
  if (horizon && row.record.posted_at) {
    const std::int64_t due = row.record.posted_at->ms + horizon->ms;
    if (due >= moment.ms) return false;
    // Nothing that was counted after the horizon.
    return label >= 10'000.0 || label - 0.5 <= static_cast<double>(due);
  }
  return label >= 10'000.0 || label - 0.5 < static_cast<double>(moment.ms);
}

struct Case {
  RetrievalPolicy policy;
  std::optional<Duration> horizon;
  Choice choice;
};

std::vector<std::int32_t> random_folds(std::size_t num_rows, std::mt19937& random) {
  std::vector<std::int32_t> folds(num_rows);
  for (auto& fold : folds) fold = static_cast<std::int32_t>(random() % 5) - 1;
  return folds;
}

std::vector<Case> all_cases(const std::vector<std::int32_t>& folds) {
  std::vector<Case> cases;
  for (const RetrievalPolicy& policy :
       {RetrievalPolicy::deployed(), RetrievalPolicy::deployed().with_labels_as_of(),
        RetrievalPolicy::honest_training(), RetrievalPolicy::authors_training(),
        RetrievalPolicy::honest_training().out_of_fold(folds)}) {
    for (const std::int64_t horizon : {0, 1, 7, 30}) {
      for (const Choice choice : {Choice::kSimilar, Choice::kRandom}) {
        cases.push_back(
            {policy, horizon > 0 ? std::optional(Duration{horizon}) : std::nullopt, choice});
      }
    }
  }
  return cases;
}

struct Queries {
  std::vector<QueryIdentity> identities;
  std::vector<float> vectors;
};

/// Each with a time: its own row's, or any.
Queries random_queries(const std::vector<KnownRow>& rows, std::mt19937& random) {
  Queries queries;
  for (int q = 0; q < 12; ++q) {
    QueryIdentity query;
    if (random() % 2 == 0) query.own_row = random() % rows.size();
    query.as_of = query.own_row ? rows[*query.own_row].record.posted_at : std::nullopt;
    if (!query.as_of) query.as_of = Timestamp{static_cast<std::int64_t>(random() % kEnd)};
    queries.identities.push_back(query);
    const auto vector = random_unit_vector(kDim, random);
    queries.vectors.insert(queries.vectors.end(), vector.begin(), vector.end());
  }
  return queries;
}

/// How many instances were looked at.
struct Seen {
  std::size_t num_all = 0;
  std::size_t num_earlier_counts = 0;  ///< whose label is not what it came to be
};

/// Of everything that was retrieved post and label must have been known at the query's time.
void expect_known(const std::vector<KnownRow>& rows, const BankTable& table, const Case& in,
                  const Queries& queries, const RetrievalResult& result, Seen& seen) {
  const auto k = static_cast<std::size_t>(result.k);
  for (std::size_t i = 0; i < result.rows.size(); ++i) {
    if (result.rows[i] == RetrievalResult::kNoInstance) continue;
    const QueryIdentity& query = queries.identities[i / k];
    const auto row = static_cast<std::size_t>(result.rows[i]);
    const KnownRow& known = rows[row];
    ASSERT_TRUE(known.record.posted_at && *known.record.posted_at < *query.as_of) << row;
    const auto label =
        in.policy.labels_as_of ? popularity_of(table, row, query) : table.popularity(row);
    ASSERT_TRUE(label.has_value());
    ASSERT_TRUE(was_known(known, *label, *query.as_of, in.horizon))
        << "label " << *label << " of " << known.record.id << " posted at "
        << known.record.posted_at->ms << " seen at " << query.as_of->ms;
    seen.num_earlier_counts += label != table.popularity(row) ? 1 : 0;
    ++seen.num_all;
  }
}

std::shared_ptr<const BankTable> seen_at(const std::shared_ptr<const BankTable>& base,
                                         const Case& in) {
  return in.horizon ? bank::with_horizon(base, *in.horizon) : base;
}

TEST(TimeLeak, NothingPostedOrCountedLaterIsEverRetrieved) {
  std::mt19937 random(71);
  Seen seen;
  for (int round = 0; round < 12; ++round) {
    const std::vector<KnownRow> rows = random_rows(random, 40 + random() % 60);
    const auto base = table_of(rows, random);
    const auto folds = random_folds(rows.size(), random);
    for (const Case& each : all_cases(folds)) {
      const auto table = seen_at(base, each);
      const Queries queries = random_queries(rows, random);
      expect_known(rows, *table, each, queries,
                   retrieve(*table, queries.vectors, queries.identities, /*k=*/200, each.policy,
                            each.choice, 2),
                   seen);
    }
  }
  EXPECT_GT(seen.num_all, 5000U) << "a policy that admits nothing leaks nothing";
  EXPECT_GT(seen.num_earlier_counts, 100U);
}

// So few are wanted of so many that graphs are walked and lists probed, not scanned.
TEST(TimeLeak, NorThroughAnIndex) {
  std::mt19937 random(73);
  for (const char* spec : {"HNSW8", "IVF32,Flat", "IVF16,PQ3x4", "SQ8"}) {
    const std::vector<KnownRow> rows = random_rows(random, 6000);
    const auto base = table_of(rows, random);
    const testing::TemporaryDirectory bank;
    SilentProgress silent;
    build_index(bank.path(), *base, spec, {.rows_per_segment = 4000, .num_threads = 2}, silent);
    const auto index = SegmentedIndex::open(bank.path(), base, 2);
    Seen seen;
    const auto folds = random_folds(rows.size(), random);
    for (const Case& each : all_cases(folds)) {
      if (each.choice != Choice::kSimilar) continue;
      const auto table = seen_at(base, each);
      const Queries queries = random_queries(rows, random);
      expect_known(
          rows, *table, each, queries,
          index->search(*table, queries.vectors, queries.identities, /*k=*/5, each.policy, 2),
          seen);
    }
    EXPECT_GT(seen.num_all, 500U) << spec;
    EXPECT_GT(seen.num_earlier_counts, 5U) << spec;
  }
}

// And the other way round: what was known is found.
TEST(TimeLeak, WhatWasKnownIsFound) {
  std::mt19937 random(72);
  for (int round = 0; round < 20; ++round) {
    const std::vector<KnownRow> rows = random_rows(random, 40 + random() % 60);
    const auto base = table_of(rows, random);
    const auto at_7 = bank::with_horizon(base, Duration{7});
    const QueryIdentity query{{}, Timestamp{static_cast<std::int64_t>(random() % kEnd)}};
    for (std::size_t row = 0; row < rows.size(); ++row) {
      const bank::Record& record = rows[row].record;
      const bool posted = record.posted_at && *record.posted_at < *query.as_of;
      const bank::HistoryView view{rows[row].history.untimed, rows[row].history.timed};
      EXPECT_EQ(admits(RetrievalPolicy::deployed().with_labels_as_of(), query, *base, row),
                posted && bank::latest_before(view, *query.as_of).has_value());
      EXPECT_EQ(admits(RetrievalPolicy::deployed(), query, *at_7, row),
                posted && record.posted_at->ms + 7 < query.as_of->ms &&
                    bank::label_of(view, record.posted_at, Duration{7}).popularity.has_value());
    }
  }
}

}  // namespace
}  // namespace mmra::retrieval
