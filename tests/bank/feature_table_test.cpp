#include "mmra/bank/feature_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "expect_error.h"

namespace mmra::bank {
namespace {

using ::testing::ElementsAre;
using testing::expect_error;

std::vector<Float16Bits> values_of(const TokenView& tokens) {
  return {tokens.values.begin(), tokens.values.end()};
}

TEST(FeatureTable, GivesTheTokensOfEachRow) {
  FeatureTable table(2, 3);
  EXPECT_EQ(table.num_rows(), 0U);
  const std::vector<Float16Bits> visual{1, 2, 3, 4};
  const std::vector<Float16Bits> text{5, 6, 7};
  table.append({2, 2, visual}, {1, 3, text}, 8.0);
  table.append({0, 2, {}}, {0, 3, {}}, std::nullopt);
  table.append({1, 2, std::span(visual).first(2)}, {0, 0, {}}, 0.0);
  ASSERT_EQ(table.num_rows(), 3U);
  EXPECT_EQ(table.visual_tokens(0).num_tokens, 2);
  EXPECT_EQ(table.visual_tokens(0).dim, 2);
  EXPECT_THAT(values_of(table.visual_tokens(0)), ElementsAre(1, 2, 3, 4));
  EXPECT_THAT(values_of(table.text_tokens(0)), ElementsAre(5, 6, 7));
  EXPECT_EQ(table.visual_tokens(1).num_tokens, 0);
  EXPECT_EQ(table.text_tokens(1).num_tokens, 0);
  EXPECT_THAT(values_of(table.visual_tokens(2)), ElementsAre(1, 2));
  EXPECT_EQ(table.log2_popularity(0), 3.0F);
  EXPECT_TRUE(std::isnan(table.log2_popularity(1)));
  EXPECT_EQ(table.log2_popularity(2), 0.0F);
}

TEST(FeatureTable, ReservingChangesNothing) {
  FeatureTable table(1, 1);
  table.reserve(10, 10, 10);
  EXPECT_EQ(table.num_rows(), 0U);
  const std::vector<Float16Bits> one{9};
  table.append({1, 1, one}, {1, 1, one}, 1.0);
  EXPECT_THAT(values_of(table.text_tokens(0)), ElementsAre(9));
}

TEST(FeatureTable, AModalityOfNoDimensionHasNoTokens) {
  FeatureTable table(0, 1);
  table.append({0, 0, {}}, {0, 1, {}}, 1.0);
  EXPECT_EQ(table.visual_tokens(0).num_tokens, 0);
}

TEST(FeatureTable, RefusesTokensThatDoNotFit) {
  FeatureTable table(2, 3);
  const std::vector<Float16Bits> values{1, 2, 3, 4};
  expect_error(ErrorKind::kInvalidInput, "visual tokens of 1 x 3 (4 values), expected a dimension",
               [&] {
                 table.append({1, 3, values}, {}, 1.0);
               });
  expect_error(ErrorKind::kInvalidInput, "visual tokens of 1 x 2 (4 values)", [&] {
    table.append({1, 2, values}, {}, 1.0);
  });
  expect_error(ErrorKind::kInvalidInput, "text tokens of -1 x 3", [&] {
    table.append({}, {-1, 3, {}}, 1.0);
  });
  EXPECT_EQ(table.num_rows(), 0U) << "nothing of a refused row stays";
}

TEST(RowDetails, AreTheTitleOfARecordAndTheMeanOfItsFrames) {
  Record record;
  record.title = "a boat";
  record.context["followers"] = 12.0;
  const std::vector<Float16Bits> frames{float_to_half(1.0F), float_to_half(2.0F),
                                        float_to_half(3.0F), float_to_half(6.0F)};
  const RowDetails details = make_details(record, {2, 2, frames}, {1.0F});
  EXPECT_EQ(details.title, "a boat");
  EXPECT_THAT(details.visual_mean, ElementsAre(2.0F, 4.0F));
  EXPECT_EQ(details.context, record.context);
  EXPECT_TRUE(make_details(record, {0, 2, {}}, {}).visual_mean.empty());
}

TEST(RowDetails, BelongToEveryRowOrNone) {
  FeatureTable table(2, 3);
  table.append({0, 2, {}}, {0, 3, {}}, 1.0);
  EXPECT_FALSE(table.has_details());
  expect_error(ErrorKind::kInternal, "without the rows' details", [&] { (void)table.details(0); });
  table.append_details({});
  EXPECT_TRUE(table.has_details());
  expect_error(ErrorKind::kInternal, "details of row 1", [&] { table.append_details({}); });
  table.append({0, 2, {}}, {0, 3, {}}, 1.0);
  EXPECT_FALSE(table.has_details());
}

}  // namespace
}  // namespace mmra::bank
