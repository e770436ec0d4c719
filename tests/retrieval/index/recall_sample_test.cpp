#include "mmra/retrieval/index/recall_sample.h"

#include <gtest/gtest.h>

#include <random>

#include "mmra/core/error.h"
#include "retrieval/index/clustered_table.h"

namespace mmra::retrieval {
namespace {

constexpr std::size_t kDim = 32;
constexpr std::size_t kNumVectors = 8000;

/// Without clusters, so that nothing is found by a narrow search.
std::vector<float> scattered_vectors() {
  std::mt19937 random(3);
  std::vector<float> vectors;
  for (std::size_t i = 0; i < kNumVectors; ++i) {
    const auto vector = testing::random_unit_vector(kDim, random);
    vectors.insert(vectors.end(), vector.begin(), vector.end());
  }
  return vectors;
}

class RecallSamples : public ::testing::TestWithParam<const char*> {
 protected:
  const std::vector<float> vectors_ = scattered_vectors();
  const RecallSample sample_{vectors_, kDim, 2, {}};
  FaissIndex index_ = FaissIndex::build({GetParam(), 2, {}, {}}, vectors_, kDim);
};

using AllLists = RecallSamples;
TEST_P(AllLists, FindAllOfTheNearestUnderEveryFilter) {
  const SearchEffort all{index_.most_width(), 1024};
  for (std::size_t halving = 0; halving < kNumEfforts; ++halving) {
    const MeasuredRecall recall = sample_.recall_of(index_, all, halving);
    EXPECT_EQ(recall.mean, 1.0) << halving;
    EXPECT_EQ(recall.lower, 1.0) << halving;
  }
}
INSTANTIATE_TEST_SUITE_P(Kinds, AllLists, ::testing::Values("IVF32,Flat", "IVF32,PQ32x4fs"));

TEST_P(RecallSamples, ChooseTheLeastEffortThatReachesIt) {
  constexpr double kWanted = 0.9;
  const ChosenEfforts chosen = choose_efforts(index_, sample_, kWanted, 1.0);
  const SearchEffort effort = chosen.efforts.front().front();
  EXPECT_LT(effort.width, index_.most_width()) << "too hard to say anything";
  const MeasuredRecall recall = sample_.recall_of(index_, effort);
  EXPECT_GE(recall.lower, kWanted);
  EXPECT_NEAR(recall.mean, chosen.recall, 1e-6);
  EXPECT_GT(recall.mean, recall.lower);
  const SearchEffort less{effort.width - std::max(2, effort.width / 8), effort.places};
  if (less.width >= index_.least_width()) {
    EXPECT_LT(sample_.recall_of(index_, less).lower, kWanted);
  }
}

TEST_P(RecallSamples, ChooseLessForFewerOfTheNearest) {
  constexpr double kWanted = 0.9;
  const ChosenEfforts chosen = choose_efforts(index_, sample_, kWanted, 0.3);
  for (std::size_t rank = 1; rank < kNumRanks; ++rank) {
    for (const std::size_t halving : {0U, 2U}) {
      const SearchEffort effort = chosen.efforts[rank][halving];
      const MeasuredRecall recall = sample_.recall_of(index_, effort, halving, rank);
      EXPECT_GE(recall.mean, kWanted - 0.02);
      const int enough = chosen.efforts[rank - 1][halving].width;
      EXPECT_LE(effort.width, enough);
      EXPECT_TRUE(effort.width == enough || recall.lower >= kWanted) << recall.lower;
    }
  }
  EXPECT_LT(chosen.efforts.back().front().width, chosen.efforts.front().front().width);
  EXPECT_LT(sample_.recall_of(index_, chosen.efforts.back().front()).lower, kWanted)
      << "of all ten they find fewer";
}

TEST_P(RecallSamples, ChooseAlikeForMostOfABank) {
  const ChosenEfforts chosen = choose_efforts(index_, sample_, 0.9, 0.6);
  for (std::size_t halving = 0; halving < kNumEfforts; ++halving) {
    EXPECT_EQ(chosen.efforts.back()[halving].width, chosen.efforts.front()[halving].width);
  }
}

TEST_P(RecallSamples, ChooseEffortsForFilters) {
  constexpr double kWanted = 0.9;
  const ChosenEfforts chosen = choose_efforts(index_, sample_, kWanted, 1.0);
  for (const std::size_t halving : {1U, 2U}) {
    EXPECT_GE(sample_.recall_of(index_, chosen.efforts.front()[halving], halving).lower, kWanted);
  }
  if (index_.looks_wider_for_filters()) {
    EXPECT_GT(chosen.efforts.front()[2].width, chosen.efforts.front()[0].width);
  }
}
INSTANTIATE_TEST_SUITE_P(Kinds, RecallSamples,
                         ::testing::Values("HNSW8", "IVF64,Flat", "IVF64,PQ16x4fs"));

TEST(RecallSample, OfHardlyAnyVectorsNothingIsMissed) {
  const auto vectors = scattered_vectors();
  for (const std::size_t count : {std::size_t{1}, std::size_t{10}, std::size_t{12}}) {
    const auto few = std::span(vectors).first(count * kDim);
    FaissIndex index = FaissIndex::build({"HNSW8", 1, {}, {}}, few, kDim);
    EXPECT_EQ(choose_efforts(index, RecallSample(few, kDim, 1, {}), 0.95, 1.0).recall, 1.0F)
        << count;
  }
}

TEST(RecallSample, StopsWhenAsked) {
  const auto vectors = scattered_vectors();
  std::stop_source stop;
  stop.request_stop();
  EXPECT_THROW(RecallSample(vectors, kDim, 2, stop.get_token()), Interrupted);
}

TEST(SearchEffort, IsThatOfTheNextSmallerShare) {
  FilteredEfforts efforts{};
  for (std::size_t i = 0; i < kNumEfforts; ++i) efforts[i].width = static_cast<int>(i);
  EXPECT_EQ(effort_for(efforts, 1.0).width, 0);
  EXPECT_EQ(effort_for(efforts, 0.99).width, 0);
  EXPECT_EQ(effort_for(efforts, 0.9).width, 1);
  EXPECT_EQ(effort_for(efforts, 0.5).width, 1);
  EXPECT_EQ(effort_for(efforts, 0.49).width, 1) << "as near as it is estimated";
  EXPECT_EQ(effort_for(efforts, 0.4).width, 2);
  EXPECT_EQ(effort_for(efforts, 0.01).width, 6);
  EXPECT_EQ(effort_for(efforts, 0.0).width, 6);
}

TEST(SearchEffort, FindsAsManyAsAPartOfTheBankHasOfTheTen) {
  const auto wanted = [](double share) { return kEffortRanks[rank_for(share)]; };
  EXPECT_EQ(wanted(1.0), 10U);
  EXPECT_EQ(wanted(0.6), 10U);
  EXPECT_EQ(wanted(0.43), 4U) << "as near as it is estimated";
  EXPECT_EQ(wanted(0.2), 4U);
  EXPECT_EQ(wanted(0.1), 1U);
  EXPECT_EQ(wanted(0.0), 1U);
}

}  // namespace
}  // namespace mmra::retrieval
