#include "mmra/retrieval/exact_search.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

#include "expect_error.h"
#include "retrieval/memory_table.h"

namespace mmra::retrieval {
namespace {

using testing::expect_error;
using testing::MemoryTable;
using testing::random_table;
using testing::random_unit_vector;

/// The slow oracle: every candidate, in double, sorted.
struct Hit {
  std::int32_t row;
  double similarity;
};

std::vector<Hit> all_hits(const MemoryTable& table, std::span<const float> query,
                          const QueryIdentity& identity, const RetrievalPolicy& policy) {
  std::vector<Hit> hits;
  const auto dim = static_cast<std::size_t>(table.retrieval_dim());
  for (std::size_t row = 0; row < table.num_rows(); ++row) {
    if (!admits(policy, identity, table, row)) continue;
    double sum = 0.0;
    for (std::size_t i = 0; i < dim; ++i) {
      sum += static_cast<double>(query[i]) * table.retrieval_vectors()[row * dim + i];
    }
    hits.push_back({static_cast<std::int32_t>(row), sum});
  }
  return hits;
}

struct Queries {
  std::vector<float> vectors;
  std::vector<QueryIdentity> identities;
};

/// Some rows of the table as queries, some strangers, with and without a time.
Queries random_queries(const MemoryTable& table, std::size_t count, std::mt19937& random) {
  Queries queries;
  const auto dim = static_cast<std::size_t>(table.retrieval_dim());
  for (std::size_t i = 0; i < count; ++i) {
    QueryIdentity identity;
    std::vector<float> vector = random_unit_vector(table.retrieval_dim(), random);
    if (random() % 2 == 0) {
      identity.own_row = random() % table.num_rows();
      const auto own = table.retrieval_vectors().subspan(*identity.own_row * dim, dim);
      vector.assign(own.begin(), own.end());
    }
    if (random() % 2 == 0) identity.as_of = Timestamp{static_cast<std::int64_t>(random() % 110)};
    queries.vectors.insert(queries.vectors.end(), vector.begin(), vector.end());
    queries.identities.push_back(identity);
  }
  return queries;
}

bool is_zero(std::span<const float> vector) {
  return std::all_of(vector.begin(), vector.end(), [](float value) { return value == 0.0F; });
}

class ExactSearchProperties : public ::testing::TestWithParam<unsigned> {};

TEST_P(ExactSearchProperties, EqualsTheSlowOracleAndNeverLeaks) {
  std::mt19937 random(GetParam());
  const int dim = 1 + static_cast<int>(random() % 70);
  const MemoryTable table = random_table(dim, 1 + random() % 3000, random);
  const Queries queries = random_queries(table, 1 + random() % 300, random);
  const int k = 1 + static_cast<int>(random() % 25);
  const RetrievalPolicy policies[] = {RetrievalPolicy::deployed(),
                                      RetrievalPolicy::honest_training(),
                                      RetrievalPolicy::authors_training()};
  const RetrievalPolicy& policy = policies[random() % 3];
  const RetrievalResult result =
      search_exact(table, queries.vectors, queries.identities, k, policy, 2);
  const auto width = static_cast<std::size_t>(dim);
  for (std::size_t q = 0; q < queries.identities.size(); ++q) {
    const auto vector = std::span<const float>(queries.vectors).subspan(q * width, width);
    const QueryIdentity& identity = queries.identities[q];
    std::vector<Hit> hits = all_hits(table, vector, identity, policy);
    if (is_zero(vector)) hits.clear();
    std::sort(hits.begin(), hits.end(),
              [](const Hit& a, const Hit& b) { return a.similarity > b.similarity; });
    const std::size_t expected = std::min<std::size_t>(hits.size(), static_cast<std::size_t>(k));
    for (std::size_t j = 0; j < static_cast<std::size_t>(k); ++j) {
      const std::int32_t row = result.rows[q * static_cast<std::size_t>(k) + j];
      const float similarity = result.similarities[q * static_cast<std::size_t>(k) + j];
      if (j >= expected) {
        ASSERT_EQ(row, RetrievalResult::kNoInstance);
        continue;
      }
      ASSERT_NE(row, RetrievalResult::kNoInstance);
      const auto index = static_cast<std::size_t>(row);
      ASSERT_NEAR(similarity, hits[j].similarity, 1e-6);
      // Never self, never another split than allowed, never at or after its time, never unlabelled.
      ASSERT_NE(identity.own_row, std::optional(index));
      ASSERT_TRUE(policy.splits.contains(table.split(index)));
      ASSERT_TRUE(table.popularity(index).has_value());
      if (identity.as_of) {
        ASSERT_TRUE(table.posted_at(index).has_value());
        ASSERT_LT(*table.posted_at(index), *identity.as_of);
      }
      if (j > 0) {
        const std::size_t before = q * static_cast<std::size_t>(k) + j - 1;
        ASSERT_TRUE(result.similarities[before] > similarity ||
                    (result.similarities[before] == similarity && result.rows[before] < row))
            << "sorted by similarity, ties by id";
      }
    }
  }
}

TEST_P(ExactSearchProperties, DoesNotDependOnThreadsOrBatches) {
  std::mt19937 random(GetParam());
  const MemoryTable table = random_table(33, 2500, random);
  const Queries queries = random_queries(table, 300, random);
  const auto policy = RetrievalPolicy::deployed();
  const RetrievalResult one =
      search_exact(table, queries.vectors, queries.identities, 7, policy, 1);
  for (const int num_threads : {2, 5}) {
    const RetrievalResult many =
        search_exact(table, queries.vectors, queries.identities, 7, policy, num_threads);
    ASSERT_EQ(one.rows, many.rows);
    ASSERT_EQ(one.similarities, many.similarities);
  }
  for (std::size_t q = 0; q < 300; q += 37) {
    const RetrievalResult single =
        search_exact(table, std::span<const float>(queries.vectors).subspan(q * 33, 33),
                     std::span(&queries.identities[q], 1), 7, policy, 2);
    for (std::size_t j = 0; j < 7; ++j) {
      ASSERT_EQ(single.rows[j], one.rows[q * 7 + j]);
      ASSERT_EQ(single.similarities[j], one.similarities[q * 7 + j]);
    }
  }
}

TEST_P(ExactSearchProperties, IsTheSameThroughBytes) {
  std::mt19937 random(GetParam());
  const int dim = 40 + static_cast<int>(random() % 100);
  const auto width = static_cast<std::size_t>(dim);
  const MemoryTable table = random_table(dim, 4500, random);
  const ByteVectors bytes(table.retrieval_vectors(), width, 2);
  const Queries queries = random_queries(table, 70, random);  // so many go through bytes anyway
  const auto policy = RetrievalPolicy::deployed();
  const RetrievalResult many =
      search_exact(table, queries.vectors, queries.identities, 9, policy, 2);
  for (std::size_t q = 0; q < 70; ++q) {
    const auto vector = std::span<const float>(queries.vectors).subspan(q * width, width);
    const auto identity = std::span(&queries.identities[q], 1);
    const RetrievalResult floats = search_exact(table, vector, identity, 9, policy, 3);
    const RetrievalResult through =
        search_exact(table, vector, identity, 9, policy, 1 + static_cast<int>(q % 3), {}, &bytes);
    ASSERT_EQ(through.rows, floats.rows) << q;
    ASSERT_EQ(through.similarities, floats.similarities) << q;
    for (std::size_t j = 0; j < 9; ++j) ASSERT_EQ(many.rows[q * 9 + j], floats.rows[j]) << q;
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, ExactSearchProperties, ::testing::Range(1U, 13U));

TEST(ExactSearch, EqualVectorsTieExactlyWhereverTheyLie) {
  std::mt19937 random(5);
  const std::vector<float> same = random_unit_vector(1024, random);
  std::vector<MemoryTable::Row> rows;
  for (int i = 0; i < 5000; ++i) {
    rows.push_back({std::to_string(100'000 + i),
                    i % 3 == 0 ? same : random_unit_vector(1024, random), 1.0, std::nullopt,
                    bank::Split::kTrain});
  }
  const MemoryTable table(1024, std::move(rows));
  const QueryIdentity nobody;
  const RetrievalResult result =
      search_exact(table, same, std::span(&nobody, 1), 100, RetrievalPolicy::deployed(), 2);
  for (int j = 0; j < 100; ++j) {
    ASSERT_EQ(result.rows[static_cast<std::size_t>(j)], 3 * j);
    ASSERT_EQ(result.similarities[static_cast<std::size_t>(j)], result.similarities[0]);
  }
}

TEST(ExactSearch, FindsWhatBytesCannotTellApart) {
  // A table around one direction: what lies between neighbours is far less than a byte's step.
  std::mt19937 random(8);
  std::vector<MemoryTable::Row> rows;
  const std::vector<float> centre = random_unit_vector(256, random);
  for (int i = 0; i < 3000; ++i) {
    std::vector<float> vector = random_unit_vector(256, random);
    for (std::size_t j = 0; j < 256; ++j) vector[j] = 0.9999F * centre[j] + 0.001F * vector[j];
    rows.push_back({std::to_string(10'000 + i), vector, 1.0, std::nullopt, bank::Split::kTrain});
  }
  const MemoryTable table(256, std::move(rows));
  const ByteVectors bytes(table.retrieval_vectors(), 256, 1);
  const QueryIdentity nobody;
  for (int i = 0; i < 10; ++i) {
    const std::vector<float> query = random_unit_vector(256, random);
    const auto policy = RetrievalPolicy::deployed();
    const RetrievalResult floats = search_exact(table, query, std::span(&nobody, 1), 5, policy, 1);
    const RetrievalResult through =
        search_exact(table, query, std::span(&nobody, 1), 5, policy, 2, {}, &bytes);
    EXPECT_EQ(through.rows, floats.rows);
    EXPECT_EQ(through.similarities, floats.similarities);
  }
}

TEST(ExactSearch, AQueryOfWhichNothingIsKnownIsSimilarToNothing) {
  std::mt19937 random(6);
  const MemoryTable table = random_table(8, 50, random);
  const QueryIdentity nobody;
  const RetrievalResult result = search_exact(
      table, std::vector<float>(8, 0.0F), std::span(&nobody, 1), 3, RetrievalPolicy::deployed(), 1);
  EXPECT_EQ(result.rows, std::vector<std::int32_t>(3, RetrievalResult::kNoInstance));
}

TEST(ExactSearch, RefusesSizesThatDoNotFitAndStops) {
  std::mt19937 random(7);
  const MemoryTable table = random_table(8, 50, random);
  const QueryIdentity nobody;
  const auto policy = RetrievalPolicy::deployed();
  const std::vector<float> query(8, 0.5F);
  expect_error(ErrorKind::kInvalidInput, "need 8 floats, 3 were given", [&] {
    (void)search_exact(table, std::vector<float>(3), std::span(&nobody, 1), 3, policy, 1);
  });
  expect_error(ErrorKind::kInvalidInput, "k must be at least 1",
               [&] { (void)search_exact(table, query, std::span(&nobody, 1), 0, policy, 1); });
  std::stop_source source;
  source.request_stop();
  EXPECT_THROW(
      (void)search_exact(table, query, std::span(&nobody, 1), 3, policy, 1, source.get_token()),
      Interrupted);
}

}  // namespace
}  // namespace mmra::retrieval
