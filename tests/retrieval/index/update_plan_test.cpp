#include "mmra/retrieval/index/update_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <vector>

namespace mmra::retrieval {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr std::size_t kLeast = 65'536;
constexpr std::size_t kMost = std::size_t{1} << 20;

std::vector<std::size_t> joined(const std::vector<std::size_t>& num_rows) {
  return segments_to_join(num_rows, kLeast, kMost);
}

TEST(SegmentsToJoin, AreFourOfOneSizeAndNeitherSmallNorLarge) {
  EXPECT_THAT(joined({}), IsEmpty());
  EXPECT_THAT(joined({70'000, 130'000, 250'000}), IsEmpty()) << "three";
  EXPECT_THAT(joined({70'000, 9, 130'000, 900'000, 250'000, 66'000}), ElementsAre(0, 2, 4, 5));
  EXPECT_THAT(joined({70'000, 130'000, 250'000, 262'144}), IsEmpty()) << "the last is larger";
  EXPECT_THAT(joined({65'535, 65'535, 65'535, 65'535, 65'535}), IsEmpty()) << "those are small";
  EXPECT_THAT(joined({524'288, 524'288, 600'000, 1'000'000, 1'048'576}), IsEmpty());
  EXPECT_THAT(joined({300'000, 70'000, 300'000, 70'000, 300'000, 70'000, 300'000, 70'000}),
              ElementsAre(1, 3, 5, 7))
      << "the smallest first";
}

// A bank of fifty millions whose updates make segments of 65,536 rows or somewhat more.
TEST(SegmentsToJoin, KeepThemFewHoweverABankGrows) {
  std::vector<std::size_t> num_rows;
  std::size_t num_written = 0;
  std::size_t num_in_all = 0;
  std::size_t most_but_the_large = 0;
  for (std::size_t step = 0; num_in_all < 50'000'000; ++step) {
    num_rows.push_back(kLeast + step % 7 * 9000);
    num_in_all += num_rows.back();
    for (auto numbers = joined(num_rows); !numbers.empty(); numbers = joined(num_rows)) {
      std::size_t sum = 0;
      for (const std::size_t number : numbers) sum += std::exchange(num_rows[number], 0);
      num_written += sum;
      std::erase(num_rows, 0U);
      const std::size_t num_made = (sum + kMost - 1) / kMost;  // as index_builder does
      for (std::size_t i = 0; i < num_made; ++i) num_rows.push_back(sum / num_made);
      num_rows.back() += sum % num_made;
    }
    const auto num_large = static_cast<std::size_t>(std::count_if(
        num_rows.begin(), num_rows.end(), [](std::size_t rows) { return rows >= kMost / 2; }));
    most_but_the_large = std::max(most_but_the_large, num_rows.size() - num_large);
  }
  EXPECT_EQ(std::accumulate(num_rows.begin(), num_rows.end(), std::size_t{0}), num_in_all);
  EXPECT_LE(most_but_the_large, 6U);
  EXPECT_LE(num_rows.size(), num_in_all / (kMost / 2) + 6);
  EXPECT_LE(num_written, 2 * num_in_all) << "a row is written once for each of two sizes";
}

}  // namespace
}  // namespace mmra::retrieval
