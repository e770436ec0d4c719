#include "mmra/retrieval/random_instances.h"

#include <gtest/gtest.h>

#include <random>
#include <set>
#include <vector>

#include "expect_error.h"
#include "retrieval/memory_table.h"

namespace mmra::retrieval {
namespace {

using testing::expect_error;
using testing::MemoryTable;
using testing::random_table;

constexpr int kDim = 6;

/// All rows of a table as queries.
struct Queries {
  std::vector<float> vectors;
  std::vector<QueryIdentity> identities;
};

Queries all_rows(const MemoryTable& table) {
  const auto vectors = table.retrieval_vectors();
  Queries queries{{vectors.begin(), vectors.end()}, {}};
  for (std::size_t row = 0; row < table.num_rows(); ++row) {
    queries.identities.push_back({row, table.posted_at(row)});
  }
  return queries;
}

TEST(RandomInstances, AreDifferentAdmittedRowsAsManyAsThereAre) {
  std::mt19937 random(5);
  const MemoryTable table = random_table(kDim, 150, random);
  const Queries queries = all_rows(table);
  for (const RetrievalPolicy& policy :
       {RetrievalPolicy::honest_training(), RetrievalPolicy::deployed()}) {
    constexpr int kK = 20;
    const RetrievalResult result =
        draw_random(table, queries.vectors, queries.identities, kK, policy);
    const RetrievalResult similar =
        search_exact(table, queries.vectors, queries.identities, kK, policy, 1);
    ASSERT_EQ(result.rows.size(), 150U * kK);
    for (std::size_t q = 0; q < 150; ++q) {
      std::set<std::int32_t> seen;
      for (std::size_t j = q * kK; j < (q + 1) * kK; ++j) {
        // As many as the search finds, which leaves none of them out.
        ASSERT_EQ(result.rows[j] < 0, similar.rows[j] < 0) << q;
        if (result.rows[j] < 0) continue;
        EXPECT_TRUE(seen.insert(result.rows[j]).second) << "twice";
        EXPECT_TRUE(
            admits(policy, queries.identities[q], table, static_cast<std::size_t>(result.rows[j])));
        if (j > q * kK) {
          EXPECT_LE(result.similarities[j], result.similarities[j - 1]);
        }
      }
    }
  }
}

TEST(RandomInstances, HaveTheSimilarityThatTheSearchReports) {
  std::mt19937 random(6);
  const MemoryTable table = random_table(kDim, 40, random);
  const Queries queries = all_rows(table);
  const auto policy = RetrievalPolicy::deployed();
  // k as large as the table: both give all admitted rows, in the same order.
  const RetrievalResult drawn = draw_random(table, queries.vectors, queries.identities, 40, policy);
  const RetrievalResult similar =
      search_exact(table, queries.vectors, queries.identities, 40, policy, 1);
  EXPECT_EQ(drawn.rows, similar.rows);
  EXPECT_EQ(drawn.similarities, similar.similarities);
}

TEST(RandomInstances, AreTheSameWhicheverOtherQueriesThereAre) {
  std::mt19937 random(7);
  const MemoryTable table = random_table(kDim, 80, random);
  const Queries queries = all_rows(table);
  const auto policy = RetrievalPolicy::honest_training();
  const RetrievalResult all = draw_random(table, queries.vectors, queries.identities, 5, policy);
  for (std::size_t q = 0; q < 80; q += 7) {
    const RetrievalResult one =
        draw_random(table, std::span(queries.vectors).subspan(q * kDim, kDim),
                    std::span(queries.identities).subspan(q, 1), 5, policy);
    for (std::size_t j = 0; j < 5; ++j) EXPECT_EQ(one.rows[j], all.rows[q * 5 + j]);
  }
}

TEST(RandomInstances, AreDrawnEvenly) {
  std::vector<MemoryTable::Row> rows;
  std::mt19937 random(8);
  for (int i = 0; i < 2000; ++i) {
    rows.push_back({std::to_string(10'000 + i), testing::random_unit_vector(kDim, random), 1.0,
                    std::nullopt, i < 20 ? bank::Split::kTrain : bank::Split::kTest});
  }
  const MemoryTable table(kDim, std::move(rows));
  const Queries queries = all_rows(table);
  // Twenty of 2000 are admitted (from all of them), or 1980 (by trial).
  std::vector<int> counts(20);
  const RetrievalResult few = draw_random(table, queries.vectors, queries.identities, 2,
                                          RetrievalPolicy::honest_training());
  for (const std::int32_t row : few.rows) ++counts.at(static_cast<std::size_t>(row));
  for (const int count : counts) {
    EXPECT_GT(count, 140) << "200 expected";
    EXPECT_LT(count, 260);
  }
  const RetrievalResult many =
      draw_random(table, queries.vectors, queries.identities, 10, RetrievalPolicy::deployed());
  std::vector<int> halves(2);
  for (const std::int32_t row : many.rows) ++halves[row < 1000 ? 0 : 1];
  EXPECT_NEAR(halves[0], 10'000, 400);
}

TEST(RandomInstances, AQueryOfWhichNothingIsKnownGetsNone) {
  const MemoryTable table(2, {{"a", {1.0F, 0.0F}, 5.0, std::nullopt, bank::Split::kTrain},
                              {"b", {0.0F, 0.0F}, 5.0, std::nullopt, bank::Split::kTrain}});
  const Queries queries = all_rows(table);
  const RetrievalResult result =
      draw_random(table, queries.vectors, queries.identities, 2, RetrievalPolicy::deployed());
  EXPECT_EQ(result.rows, (std::vector<std::int32_t>{1, -1, -1, -1}));
}

TEST(RandomInstances, RefuseWhatDoesNotFitAndStopWhenAsked) {
  const MemoryTable table(2, {{"a", {1.0F, 0.0F}, 5.0, std::nullopt, bank::Split::kTrain}});
  const std::vector<float> vector{1.0F, 0.0F};
  const std::vector<QueryIdentity> one(1);
  const auto policy = RetrievalPolicy::deployed();
  expect_error(ErrorKind::kInvalidInput, "2 and 0 were given",
               [&] { (void)draw_random(table, vector, one, 0, policy); });
  expect_error(ErrorKind::kInvalidInput, "1 and 1 were given",
               [&] { (void)draw_random(table, std::span(vector).first(1), one, 1, policy); });
  std::stop_source stop;
  stop.request_stop();
  EXPECT_THROW((void)draw_random(table, vector, one, 1, policy, stop.get_token()), Interrupted);
}

TEST(RandomInstances, TheChoiceDecidesWhichWay) {
  std::mt19937 random(9);
  const MemoryTable table = random_table(kDim, 60, random);
  const Queries queries = all_rows(table);
  const auto policy = RetrievalPolicy::deployed();
  EXPECT_EQ(
      retrieve(table, queries.vectors, queries.identities, 3, policy, Choice::kRandom, 1).rows,
      draw_random(table, queries.vectors, queries.identities, 3, policy).rows);
  EXPECT_EQ(
      retrieve(table, queries.vectors, queries.identities, 3, policy, Choice::kSimilar, 1).rows,
      search_exact(table, queries.vectors, queries.identities, 3, policy, 1).rows);
  EXPECT_EQ(parse_choice("random"), Choice::kRandom);
  EXPECT_EQ(parse_choice("similar"), Choice::kSimilar);
  EXPECT_FALSE(parse_choice("best").has_value());
}

}  // namespace
}  // namespace mmra::retrieval
