#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <string>
#include <vector>

#include "mmra/bank/label_table.h"
#include "mmra/bank/vector_table.h"
#include "mmra/retrieval/random_instances.h"
#include "retrieval/memory_table.h"

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

std::vector<KnownRow> random_rows(std::mt19937& random) {
  std::vector<KnownRow> rows(40 + random() % 60);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    KnownRow& row = rows[i];
    row.record.id = std::to_string(1000 + i);
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

TEST(TimeLeak, NothingPostedOrCountedLaterIsEverRetrieved) {
  std::mt19937 random(71);
  std::size_t num_seen = 0;
  std::size_t num_earlier_counts = 0;
  for (int round = 0; round < 12; ++round) {
    const std::vector<KnownRow> rows = random_rows(random);
    const auto base = table_of(rows, random);
    std::vector<std::int32_t> folds(rows.size());
    for (auto& fold : folds) fold = static_cast<std::int32_t>(random() % 5) - 1;
    for (const Case& each : all_cases(folds)) {
      const auto table = each.horizon ? bank::with_horizon(base, *each.horizon) : base;
      std::vector<QueryIdentity> queries;
      std::vector<float> vectors;
      for (int q = 0; q < 12; ++q) {
        QueryIdentity query;
        if (random() % 2 == 0) query.own_row = random() % rows.size();
        query.as_of = query.own_row ? rows[*query.own_row].record.posted_at : std::nullopt;
        if (!query.as_of) query.as_of = Timestamp{static_cast<std::int64_t>(random() % kEnd)};
        queries.push_back(query);
        const auto vector = random_unit_vector(kDim, random);
        vectors.insert(vectors.end(), vector.begin(), vector.end());
      }
      constexpr int kAll = 200;
      const RetrievalResult result =
          retrieve(*table, vectors, queries, kAll, each.policy, each.choice, 2);
      for (std::size_t q = 0; q < queries.size(); ++q) {
        const Timestamp moment = *queries[q].as_of;
        for (int j = 0; j < kAll; ++j) {
          const std::int32_t found = result.rows[q * kAll + static_cast<std::size_t>(j)];
          if (found == RetrievalResult::kNoInstance) break;
          const auto row = static_cast<std::size_t>(found);
          const KnownRow& known = rows[row];
          ASSERT_TRUE(known.record.posted_at && *known.record.posted_at < moment) << row;
          const auto label = each.policy.labels_as_of ? popularity_of(*table, row, queries[q])
                                                      : table->popularity(row);
          ASSERT_TRUE(label.has_value());
          ASSERT_TRUE(was_known(known, *label, moment, each.horizon))
              << "label " << *label << " of " << known.record.id << " posted at "
              << known.record.posted_at->ms << " seen at " << moment.ms;
          num_earlier_counts += label != table->popularity(row) ? 1 : 0;
          ++num_seen;
        }
      }
    }
  }
  EXPECT_GT(num_seen, 5000U) << "a policy that admits nothing leaks nothing";
  EXPECT_GT(num_earlier_counts, 100U);
}

// And the other way round: what was known is found.
TEST(TimeLeak, WhatWasKnownIsFound) {
  std::mt19937 random(72);
  for (int round = 0; round < 20; ++round) {
    const std::vector<KnownRow> rows = random_rows(random);
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
