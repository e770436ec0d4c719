#include "mmra/retrieval/retrieval_policy.h"

#include <gtest/gtest.h>

#include "retrieval/memory_table.h"

namespace mmra::retrieval {
namespace {

using bank::Split;
using testing::MemoryTable;

MemoryTable table() {
  return {1,
          {{"a", {1.0F}, 5.0, Timestamp{10}, Split::kTrain},
           {"b", {1.0F}, std::nullopt, Timestamp{10}, Split::kTrain},
           {"c", {1.0F}, 7.0, std::nullopt, Split::kValid},
           {"d", {1.0F}, 0.0, Timestamp{20}, Split::kTest}}};
}

TEST(RetrievalPolicy, DeployedAdmitsEveryLabelledRecordButTheQuery) {
  const auto policy = RetrievalPolicy::deployed();
  EXPECT_TRUE(admits(policy, {}, table(), 0));
  EXPECT_FALSE(admits(policy, {}, table(), 1)) << "no label";
  EXPECT_TRUE(admits(policy, {}, table(), 2));
  EXPECT_TRUE(admits(policy, {}, table(), 3)) << "a popularity of zero is a label";
  EXPECT_FALSE(admits(policy, {0, {}}, table(), 0)) << "itself";
  EXPECT_TRUE(admits(policy, {2, {}}, table(), 0));
}

TEST(RetrievalPolicy, TrainingAdmitsItsSplitsOnly) {
  EXPECT_TRUE(admits(RetrievalPolicy::honest_training(), {}, table(), 0));
  EXPECT_FALSE(admits(RetrievalPolicy::honest_training(), {}, table(), 2));
  EXPECT_FALSE(admits(RetrievalPolicy::honest_training(), {}, table(), 3));
  EXPECT_TRUE(admits(RetrievalPolicy::authors_training(), {}, table(), 2));
  EXPECT_FALSE(admits(RetrievalPolicy::authors_training(), {}, table(), 3));
}

TEST(RetrievalPolicy, AQueryWithATimeSeesStrictlyEarlierRecordsOnly) {
  const auto policy = RetrievalPolicy::deployed();
  EXPECT_FALSE(admits(policy, {{}, Timestamp{10}}, table(), 0)) << "the same moment";
  EXPECT_TRUE(admits(policy, {{}, Timestamp{11}}, table(), 0));
  EXPECT_FALSE(admits(policy, {{}, Timestamp{11}}, table(), 2)) << "no time";
  EXPECT_FALSE(admits(policy, {{}, Timestamp{11}}, table(), 3)) << "later";
}

TEST(RetrievalPolicy, OutOfFoldLeavesTheQuerysOwnFoldOut) {
  const std::vector<std::int32_t> folds = {1, -1, 1, -1};
  const auto policy = RetrievalPolicy::deployed().out_of_fold(folds);
  EXPECT_FALSE(admits(policy, {2, {}}, table(), 0)) << "the same fold";
  EXPECT_TRUE(admits(policy, {2, {}}, table(), 3)) << "in no fold";
  EXPECT_TRUE(admits(policy, {3, {}}, table(), 0)) << "no fold of its own";
  EXPECT_TRUE(admits(policy, {}, table(), 0)) << "not in the table";
}

TEST(RetrievalPolicy, AQueryCanBeAskedToDoWithoutARowOrAll) {
  const auto policy = RetrievalPolicy::deployed();
  EXPECT_FALSE(admits(policy, {{}, {}, 0}, table(), 0));
  EXPECT_TRUE(admits(policy, {{}, {}, 0}, table(), 2));
  EXPECT_FALSE(admits(policy, {{}, {}, {}, true}, table(), 0));
}

}  // namespace
}  // namespace mmra::retrieval
