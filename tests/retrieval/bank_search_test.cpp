#include "mmra/retrieval/bank_search.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "bank/any_bank.h"
#include "bank/made_records.h"
#include "mmra/bank/label_table.h"

namespace mmra::retrieval {
namespace {

using testing::made_record;
using testing::RandomValues;
using testing::small_schema;

constexpr std::int64_t kDay = 86'400'000;
constexpr std::size_t kDim = 4;

Timestamp random_day(RandomValues& random) {
  return {static_cast<std::int64_t>(random.below(40)) * kDay};
}

std::vector<float> random_vector(RandomValues& random) {
  // Few values, so that there are many ties and equal vectors.
  std::vector<float> vector(kDim);
  double squares = 0.0;
  for (float& value : vector) {
    value = static_cast<float>(random.below(4)) - 1.0F;
    squares += static_cast<double>(value) * value;
  }
  if (squares == 0.0) return vector;
  for (float& value : vector) value = static_cast<float>(value / std::sqrt(squares));
  return vector;
}

/// A bank of random records, and what its table says of a query.
class SearchedBank : public testing::OnAnyEngine {
 protected:
  void make(const std::string& horizon, std::uint64_t seed) {
    bank::BankSchema schema = small_schema();
    schema.popularity_horizon = horizon;
    bank_ = bank::create_bank(place("bank" + std::to_string(seed)), schema);
    RandomValues random(seed);
    std::vector<bank::StoredRecord> records;
    std::vector<bank::RecordObservation> counts;
    for (int i = 0; i < kRecords; ++i) {
      bank::StoredRecord stored = made_record("v" + std::to_string(i));
      stored.features.retrieval_vector = random_vector(random);
      stored.record.split = static_cast<bank::Split>(random.below(3));
      stored.record.posted_at.reset();
      stored.record.popularity.reset();
      if (!random.one_in(4)) stored.record.posted_at = random_day(random);
      if (!random.one_in(3)) stored.record.popularity = static_cast<double>(random.below(100));
      for (std::size_t n = random.below(3); n > 0; --n) {
        counts.push_back({stored.record.id, {random_day(random), 5.0 + static_cast<double>(n)}});
      }
      records.push_back(std::move(stored));
    }
    bank_->put(records);
    (void)bank_->observe(counts);
  }

  void expect_same_as_table(std::shared_ptr<const bank::BankTable> table, const BankQuery& query,
                            int k, const RetrievalPolicy& policy) const {
    if (query.horizon) table = bank::with_horizon(table, *query.horizon);
    const QueryIdentity identity{table->row_of(query.own_id), query.as_of};
    const RetrievalResult expected =
        search_exact(*table, query.vector, std::span(&identity, 1), k, policy, 1);
    const BankSearchResult found = search_bank(*bank_, query, k, policy, 1);
    ASSERT_EQ(found.result.rows.size(), expected.rows.size());
    for (std::size_t j = 0; j < expected.rows.size(); ++j) {
      ASSERT_EQ(found.result.rows[j] < 0, expected.rows[j] < 0) << "place " << j;
      if (expected.rows[j] < 0) continue;
      const auto row = static_cast<std::size_t>(found.result.rows[j]);
      const auto expected_row = static_cast<std::size_t>(expected.rows[j]);
      EXPECT_EQ(found.table->id(row), table->id(expected_row)) << "place " << j;
      EXPECT_EQ(found.result.similarities[j], expected.similarities[j]);
      EXPECT_EQ(popularity_of(*found.table, row, found.identity),
                popularity_of(*table, expected_row, identity));
    }
  }

  void expect_same_for_random_queries(std::uint64_t seed, int num_queries) const {
    RandomValues random(seed);
    const auto table = bank_->table();
    for (int i = 0; i < num_queries && !HasFailure(); ++i) {
      const std::vector<float> vector = random_vector(random);
      BankQuery query{vector};
      if (random.one_in(2)) query.own_id = "v" + std::to_string(random.below(kRecords));
      if (!random.one_in(3)) query.as_of = random_day(random);
      if (random.one_in(4)) query.horizon = Duration{3 * kDay};
      RetrievalPolicy policy =
          random.one_in(2) ? RetrievalPolicy::deployed() : RetrievalPolicy::honest_training();
      if (random.one_in(3)) policy = RetrievalPolicy::authors_training();
      if (random.one_in(2)) policy = policy.with_labels_as_of();
      policy.labelled_only = !random.one_in(5);
      const int k = 1 + static_cast<int>(random.below(12));
      SCOPED_TRACE("query " + std::to_string(i) + " with k = " + std::to_string(k));
      expect_same_as_table(table, query, k, policy);
    }
  }

  static constexpr int kRecords = 300;
  std::unique_ptr<bank::MemoryBank> bank_;

  void TearDown() override {
    bank_.reset();
    testing::OnAnyEngine::TearDown();
  }
};

MMRA_ON_EVERY_ENGINE(SearchedBank);

TEST_P(SearchedBank, FindsWhatItsTableHas) {
  make("", 1);
  expect_same_for_random_queries(2, 40);
}

TEST_P(SearchedBank, FindsWhatItsTableHasAtAHorizon) {
  make("7d", 3);
  expect_same_for_random_queries(4, 40);
}

TEST_P(SearchedBank, FindsNothingForAQueryOfWhichNothingIsKnown) {
  make("", 5);
  const std::vector<float> nothing(kDim);
  const auto found = search_bank(*bank_, {nothing}, 3, RetrievalPolicy::deployed(), 1);
  EXPECT_THAT(found.result.rows, ::testing::Each(RetrievalResult::kNoInstance));
}

/// Whether a record passes the filter, by what the table says of it.
bool passes(const bank::CandidateFilter& filter, const bank::BankTable& table, std::size_t row) {
  const auto posted_at = table.posted_at(row);
  const auto known_at = table.label_known_at(row);
  const auto before = [](const std::optional<Timestamp>& moment, Timestamp limit) {
    return !moment || *moment < limit;
  };
  if (!filter.takes_split[static_cast<int>(table.split(row))]) return false;
  if (filter.labelled_only && !table.popularity(row)) return false;
  if (filter.posted_before && !(posted_at && *posted_at < *filter.posted_before)) return false;
  if (filter.label_known_before && !before(known_at, *filter.label_known_before)) return false;
  if (filter.any_label_known_before &&
      !table.popularity_as_of(row, *filter.any_label_known_before)) {
    return false;
  }
  for (const std::string& id : filter.without_ids) {
    if (table.id(row) == id) return false;
  }
  return true;
}

// The filter may let more through than the policy, never less; with the bank's labels exactly it.
TEST_P(SearchedBank, TheFilterIsThePolicyInOtherWords) {
  if (GetParam() != testing::Engine::kDirectory) GTEST_SKIP() << "needs no server";
  for (const char* horizon : {"", "7d"}) {
    make(horizon, horizon[0] == '7' ? 7 : 8);
    const auto table = bank_->table();
    RandomValues random(9);
    for (int i = 0; i < 200; ++i) {
      QueryIdentity query;
      std::vector<std::string> without;
      if (random.one_in(2)) {
        query.own_row = random.below(kRecords);
        without.emplace_back(table->id(*query.own_row));
      }
      if (random.one_in(2)) query.as_of = random_day(random);
      RetrievalPolicy policy = RetrievalPolicy::honest_training();
      if (random.one_in(2)) policy = RetrievalPolicy::deployed();
      if (random.one_in(2)) policy = policy.with_labels_as_of();
      const auto filter = candidate_filter(policy, query, without, true);
      const auto wider = candidate_filter(policy, query, without, false);
      for (std::size_t row = 0; row < table->num_rows(); ++row) {
        const bool is_admitted = admits(policy, query, *table, row);
        ASSERT_EQ(passes(filter, *table, row), is_admitted) << i << ", row " << row;
        ASSERT_TRUE(!is_admitted || passes(wider, *table, row)) << i << ", row " << row;
      }
    }
  }
}

}  // namespace
}  // namespace mmra::retrieval
