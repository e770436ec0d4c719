#include "mmra/pipeline/near_duplicates.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "mmra/core/progress.h"
#include "retrieval/memory_table.h"

namespace mmra::pipeline::testing {
namespace {

using bank::Split;
using mmra::testing::MemoryTable;

TEST(TitleKey, LeavesOutCaseAndPunctuationAndSpaces) {
  EXPECT_EQ(title_key("The Red Boat!"), title_key("  the red, BOAT …"));
  EXPECT_EQ(title_key("Ｆｕｎ"), title_key("fun"));
  EXPECT_NE(title_key("red boat"), title_key("redboat"));
  EXPECT_NE(title_key("red boat"), title_key("red boat 2"));
  EXPECT_EQ(title_key("?!"), U"");
}

/// A unit vector at `degrees`: 8 degrees apart are 0.9903 similar, 9 degrees 0.9877.
std::vector<float> at(double degrees) {
  const double angle = degrees * std::acos(-1.0) / 180.0;
  return {static_cast<float>(std::cos(angle)), static_cast<float>(std::sin(angle))};
}

struct Row {
  Split split;
  double degrees;
  std::string title;
  bool labelled = true;
};

NearDuplicates find(const std::vector<Row>& made) {
  std::vector<MemoryTable::Row> rows;
  std::vector<std::u32string> keys;
  for (const Row& row : made) {
    rows.push_back({std::to_string(rows.size()), at(row.degrees),
                    row.labelled ? std::optional(5.0) : std::nullopt, std::nullopt, row.split});
    keys.push_back(title_key(row.title));
  }
  return find_near_duplicates(MemoryTable(2, std::move(rows)), keys, 1, {});
}

TEST(NearDuplicates, AreOfAnEarlierSplitAndLikeARowOfALater) {
  const NearDuplicates found = find({{Split::kTrain, 0, "a"},      // 8 degrees from a test row
                                     {Split::kTrain, 60, "same"},  // the title of a test row
                                     {Split::kTrain, 90, "b"},     // like a validation row
                                     {Split::kTrain, 150, "c"},    // 9 degrees from a test row
                                     {Split::kValid, 95, "d"},
                                     {Split::kValid, 180, "Same!"},
                                     {Split::kTest, 8, "e"},
                                     {Split::kTest, 300, "same"},
                                     {Split::kTest, 141, "f"},
                                     {Split::kTest, 141, "f"}});
  EXPECT_EQ(found.rows,
            (std::vector<bool>{true, true, true, false, false, true, false, false, false, false}));
  EXPECT_EQ(found.num_train, 3);
  EXPECT_EQ(found.num_valid, 1);
  EXPECT_EQ(found.num_test_affected, 2);
  EXPECT_EQ(found.num_same_title, 1);
  EXPECT_EQ(found.num_similar, 1);
}

TEST(NearDuplicates, NeedALabelAndATitleWithWords) {
  const NearDuplicates found = find({{Split::kTrain, 0, "?!"},
                                     {Split::kTrain, 90, "x", false},
                                     {Split::kTrain, 120, "y"},
                                     {Split::kTest, 180, "!"},
                                     {Split::kTest, 90, "x"},
                                     {Split::kTest, 120, "y", false}});
  EXPECT_EQ(found.num_train, 0);
  EXPECT_EQ(found.num_test_affected, 0);
}

TEST(NearDuplicates, OfEqualTitlesWithinASplitThereAreNone) {
  const NearDuplicates found =
      find({{Split::kTrain, 0, "x"}, {Split::kTrain, 0, "x"}, {Split::kTest, 90, "y"}});
  EXPECT_EQ(found.rows, std::vector<bool>(3, false));
}

}  // namespace
}  // namespace mmra::pipeline::testing
