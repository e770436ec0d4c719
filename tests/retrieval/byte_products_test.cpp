#include "mmra/retrieval/byte_products.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace mmra::retrieval {
namespace {

class ByteProducts : public ::testing::TestWithParam<unsigned> {};

TEST_P(ByteProducts, AreWhatTheyAreOnAnyProcessor) {
  std::mt19937 random(GetParam());
  const std::size_t stride = kByteStride * (1 + random() % 20);
  const std::size_t num_queries = 1 + random() % 12;
  const std::size_t num_rows = 1 + random() % 50;
  std::vector<std::uint8_t> queries(num_queries * stride);
  std::vector<std::int8_t> rows(num_rows * stride);
  const auto [largest_query, largest_row] = widest_byte_range();
  for (auto& code : queries) code = static_cast<std::uint8_t>(random() % (largest_query + 1));
  for (auto& code : rows) {
    code =
        static_cast<std::int8_t>(static_cast<int>(random() % (2 * largest_row + 1)) - largest_row);
  }
  std::vector<std::int32_t> expected(num_queries * num_rows);
  multiply_bytes_plainly(queries.data(), num_queries, rows.data(), num_rows, stride,
                         expected.data());
  std::vector<std::int32_t> dots(expected.size(), -1);
  multiply_bytes(queries.data(), num_queries, rows.data(), num_rows, stride, dots.data());
  EXPECT_EQ(dots, expected);
}

INSTANTIATE_TEST_SUITE_P(Seeds, ByteProducts, ::testing::Range(1U, 31U));

TEST(ByteProductsAtTheirLargest, DoNotOverflow) {
  const auto [largest_query, largest_row] = widest_byte_range();
  const std::vector<std::uint8_t> queries(5 * kByteStride,
                                          static_cast<std::uint8_t>(largest_query));
  for (const int sign : {-1, 1}) {
    const std::vector<std::int8_t> rows(5 * kByteStride,
                                        static_cast<std::int8_t>(sign * largest_row));
    for (const std::size_t num_queries : {1U, 5U}) {
      std::vector<std::int32_t> dots(num_queries * 5);
      multiply_bytes(queries.data(), num_queries, rows.data(), 5, kByteStride, dots.data());
      for (const std::int32_t dot : dots) {
        EXPECT_EQ(dot, sign * 64 * largest_query * largest_row);
      }
    }
  }
}

}  // namespace
}  // namespace mmra::retrieval
