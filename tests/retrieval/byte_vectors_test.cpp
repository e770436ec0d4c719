#include "mmra/retrieval/byte_vectors.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

#include "retrieval/memory_table.h"

namespace mmra::retrieval {
namespace {

using testing::random_unit_vector;

double inner_product(std::span<const float> a, std::span<const float> b) {
  double sum = 0.0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += static_cast<double>(a[i]) * b[i];
  return sum;
}

/// Unit vectors, vectors with one component that dwarfs the others, zeros, the tiniest and large
/// ones.
std::vector<float> difficult_vectors(std::size_t count, std::size_t dim, std::mt19937& random) {
  std::vector<float> vectors;
  for (std::size_t i = 0; i < count; ++i) {
    std::vector<float> vector = random_unit_vector(static_cast<int>(dim), random);
    const auto kind = random() % 8;
    if (kind == 0) vector.at(random() % dim) = 40.0F;
    for (float& value : vector) {
      if (kind == 1) value = 0.0F;
      if (kind == 2) value *= 1e-39F;
      if (kind == 3) value *= 1e6F;
      if (kind == 4) value = value > 0.0F ? 1.0F : -1.0F;  // the largest codes everywhere
      if (kind == 5) value = 1.0F;
    }
    vectors.insert(vectors.end(), vector.begin(), vector.end());
  }
  return vectors;
}

class ByteVectorsProperties : public ::testing::TestWithParam<unsigned> {};

TEST_P(ByteVectorsProperties, ScoresLieWithinTheBound) {
  std::mt19937 random(GetParam());
  const std::size_t dim = 1 + random() % 1200;
  const std::size_t num_rows = 1 + random() % 60;
  const std::vector<float> rows = difficult_vectors(num_rows, dim, random);
  for (const std::size_t num_queries : {1U, 3U, 4U, 9U}) {  // the loop's, and the product's
    const std::vector<float> queries = difficult_vectors(num_queries, dim, random);
    const ByteVectors bytes(rows, dim, 2);
    const ByteQueries byte_queries(queries, bytes);
    ASSERT_EQ(byte_queries.size(), num_queries);
    std::vector<std::int32_t> dots;
    std::vector<float> scores(num_queries * num_rows);
    bytes.score(byte_queries, 0, num_queries, 0, num_rows, dots, scores);
    for (std::size_t q = 0; q < num_queries; ++q) {
      const double bound = bytes.error_bound(byte_queries, q);
      for (std::size_t row = 0; row < num_rows; ++row) {
        const double exact = inner_product(std::span(queries).subspan(q * dim, dim),
                                           std::span(rows).subspan(row * dim, dim));
        ASSERT_LE(std::abs(scores[q * num_rows + row] - exact), bound) << q << " " << row;
      }
    }
  }
}

TEST_P(ByteVectorsProperties, WhatIsAskedTogetherDoesNotMatter) {
  std::mt19937 random(GetParam());
  const std::size_t dim = 1 + random() % 300;
  const std::vector<float> rows = difficult_vectors(37, dim, random);
  const std::vector<float> queries = difficult_vectors(11, dim, random);
  const ByteVectors bytes(rows, dim, 1);
  const ByteQueries byte_queries(queries, bytes);
  std::vector<std::int32_t> dots;
  std::vector<float> together(11 * 37);
  bytes.score(byte_queries, 0, 11, 0, 37, dots, together);
  std::vector<float> piece(2 * 5);
  for (std::size_t q = 0; q + 2 <= 11; q += 3) {
    bytes.score(byte_queries, q, 2, 7, 5, dots, piece);
    for (std::size_t i = 0; i < 2; ++i) {
      for (std::size_t j = 0; j < 5; ++j) {
        ASSERT_EQ(piece[i * 5 + j], together[(q + i) * 37 + 7 + j]);
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, ByteVectorsProperties, ::testing::Range(1U, 21U));

TEST(ByteVectors, BoundUnitVectorsClosely) {
  std::mt19937 random(3);
  std::vector<float> vectors;
  for (int i = 0; i < 50; ++i) {
    const auto vector = random_unit_vector(1024, random);
    vectors.insert(vectors.end(), vector.begin(), vector.end());
  }
  const ByteVectors bytes(vectors, 1024, 1);
  EXPECT_LT(bytes.error_bound(ByteQueries(vectors, bytes), 7), 0.04);
}

/// Unit vectors that are mostly a few large components, as those of counted words are.
std::vector<float> peaked_vectors(std::size_t count, std::size_t dim, std::mt19937& random) {
  std::vector<float> vectors;
  for (std::size_t i = 0; i < count; ++i) {
    std::vector<float> vector = random_unit_vector(static_cast<int>(dim), random);
    for (int j = 0; j < 5; ++j) vector.at(random() % dim) = random() % 2 == 0 ? 0.6F : -0.4F;
    const auto norm = static_cast<float>(std::sqrt(inner_product(vector, vector)));
    for (float& value : vector) value /= norm;
    vectors.insert(vectors.end(), vector.begin(), vector.end());
  }
  return vectors;
}

TEST(ByteVectors, BoundVectorsWithAFewLargeComponentsAsClosely) {
  std::mt19937 random(4);
  for (const std::size_t dim : {384U, 1024U, 1088U}) {
    const std::vector<float> vectors = peaked_vectors(50, dim, random);
    const ByteVectors bytes(vectors, dim, 1);
    const ByteQueries queries(vectors, bytes);
    EXPECT_LT(bytes.error_bound(queries, 7), 0.04) << dim;
    std::vector<std::int32_t> dots;
    std::vector<float> scores(50 * 50);
    bytes.score(queries, 0, 50, 0, 50, dots, scores);
    for (std::size_t q = 0; q < 50; ++q) {
      for (std::size_t row = 0; row < 50; ++row) {
        const double exact = inner_product(std::span(vectors).subspan(q * dim, dim),
                                           std::span(vectors).subspan(row * dim, dim));
        ASSERT_LE(std::abs(scores[q * 50 + row] - exact), bytes.error_bound(queries, q));
      }
    }
  }
}

}  // namespace
}  // namespace mmra::retrieval
