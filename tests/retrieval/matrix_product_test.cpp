#include "mmra/retrieval/matrix_product.h"

#include <gtest/gtest.h>

#include <vector>

namespace mmra::retrieval {
namespace {

TEST(MatrixProduct, IsThatOfRowsAndColumns) {
  const std::vector<float> a{1, 2, 3, 4, 5, 6};  // 2 × 3
  const std::vector<float> b{1, 0, 2, 1, 3, 0, 0, 1, 1, 1, 0, 2};
  std::vector<float> by_transposed(8, -1.0F);
  multiply_by_transposed({a.data(), 2, 3}, {b.data(), 4, 3}, by_transposed.data());
  EXPECT_EQ(by_transposed, (std::vector<float>{7, 7, 5, 7, 16, 19, 11, 16}));
  std::vector<float> plain(8, -1.0F);
  multiply({a.data(), 2, 3}, {b.data(), 3, 4}, plain.data());  // the same numbers as 3 × 4
  EXPECT_EQ(plain, (std::vector<float>{10, 3, 2, 9, 25, 6, 8, 21}));
}

TEST(MatrixProduct, OfBytesIsExactUpToTheLargest) {
  const std::vector<std::uint8_t> a(5 * 301, 127);
  for (const int sign : {1, -1}) {
    const std::vector<std::int8_t> b(7 * 301, static_cast<std::int8_t>(127 * sign));
    std::vector<std::int32_t> product(5 * 7, 0);
    multiply_bytes_by_transposed(a.data(), 5, b.data(), 7, 301, product.data());
    EXPECT_EQ(product, std::vector<std::int32_t>(5 * 7, sign * 127 * 127 * 301));
  }
}

}  // namespace
}  // namespace mmra::retrieval
