#include "mmra/bank/record.h"

#include <gtest/gtest.h>

#include <string>

namespace mmra::bank {
namespace {

TEST(Split, NamesAreReadBack) {
  for (const Split split : {Split::kTrain, Split::kValid, Split::kTest}) {
    EXPECT_EQ(parse_split(name_of(split)), split);
  }
  for (const char* text : {"", "Train", "training", "validation", "train "}) {
    EXPECT_EQ(parse_split(text), std::nullopt) << text;
  }
}

TEST(Split, OfAnIdIsTheSameForEver) {
  // a: train, l: valid, s: test. Should these change, every bank without splits would train on its
  // test rows.
  std::string splits;
  for (int i = 0; i < 40; ++i) splits += name_of(split_of_id("v" + std::to_string(i)))[2];
  EXPECT_EQ(splits, "aalaaaaalaaasaaaaaaaasaaaaalaaalaalaslaa");
}

TEST(Split, IsEightToOneToOne) {
  int count[3] = {};
  for (int i = 0; i < 20000; ++i) ++count[static_cast<int>(split_of_id(std::to_string(i)))];
  EXPECT_NEAR(count[0], 16000, 250);
  EXPECT_NEAR(count[1], 2000, 200);
  EXPECT_NEAR(count[2], 2000, 200);
}

TEST(Log2Popularity, CountsZeroAsOne) {
  EXPECT_EQ(log2_popularity(0.0), 0.0);
  EXPECT_EQ(log2_popularity(1.0), 0.0);
  EXPECT_EQ(log2_popularity(8.0), 3.0);
  EXPECT_EQ(log2_popularity(0.25), -2.0);
  EXPECT_DOUBLE_EQ(popularity_of_log2(log2_popularity(1234.5)), 1234.5);
}

}  // namespace
}  // namespace mmra::bank
