#include "mmra/plus/key_statistics.h"

#include <gtest/gtest.h>

#include <array>

namespace mmra::plus::testing {
namespace {

std::array<float, kKeyWidth> describe(const KeyStatistics& statistics,
                                      const std::vector<TermHash>& keys) {
  std::array<float, kKeyWidth> values{};
  statistics.describe(keys, values);
  return values;
}

TEST(KeyStatistics, ShrinkTheMeanTowardsNone) {
  KeyStatistics statistics(5.0);
  const std::vector<TermHash> a = {1};
  const std::vector<TermHash> b = {1, 2};
  statistics.add(a, 4.0F);
  statistics.add(a, 5.0F);
  statistics.add(b, 9.0F);  // the mean of all is 6
  const auto values = describe(statistics, {1, 2, 3});
  EXPECT_FLOAT_EQ(values[0], 0.5F) << "(18 − 18) / 8 + (9 − 6) / 6";
  EXPECT_FLOAT_EQ(values[1], 0.5F);
  EXPECT_FLOAT_EQ(values[2], 0.0F);
  EXPECT_FLOAT_EQ(values[3], 3.0F);
  EXPECT_FLOAT_EQ(values[4], 1.0F);
  EXPECT_FLOAT_EQ(values[5], 2.0F) << "3 is not known";
}

TEST(KeyStatistics, OfUnknownKeysAreZero) {
  KeyStatistics statistics(5.0);
  for (const float value : describe(statistics, {1, 2})) EXPECT_EQ(value, 0.0F);
  const std::vector<TermHash> a = {1};
  statistics.add(a, 4.0F);
  for (const float value : describe(statistics, {7})) EXPECT_EQ(value, 0.0F);
  for (const float value : describe(statistics, {})) EXPECT_EQ(value, 0.0F);
}

TEST(KeyStatistics, WithoutAFoldForgetKeysThatItAloneHas) {
  KeyStatistics all(5.0);
  KeyStatistics fold(5.0);
  const std::vector<TermHash> a = {1};
  const std::vector<TermHash> b = {2};
  all.add(a, 4.0F);
  all.add(b, 8.0F);
  fold.add(b, 8.0F);
  const KeyStatistics rest = all.without(fold);
  EXPECT_EQ(rest.num_rows(), 1);
  EXPECT_EQ(rest.sums().count(2), 0U);
  EXPECT_EQ(describe(rest, {2})[5], 0.0F);
}

}  // namespace
}  // namespace mmra::plus::testing
