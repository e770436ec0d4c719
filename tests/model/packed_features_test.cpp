#include "mmra/model/neural/packed_features.h"

#include <ATen/CPUGeneratorImpl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "mmra/model/instance_weights.h"
#include "model/made_batch.h"

namespace mmra::model::neural {
namespace {

using ::testing::ElementsAre;

constexpr int kVisualDim = 5;
constexpr int kTextDim = 3;
constexpr int kInstances = 4;

double value_of(const bank::TokenView& view, int token, int c) {
  return half_to_float(view.values[static_cast<std::size_t>(token * view.dim + c)]);
}

struct Packed {
  DistinctRows distinct;
  std::vector<double> weights;
  PackedFeatures features;
};

Packed pack(const Batch& batch, Modality modality, const TokenDropout& dropout = {}) {
  Packed packed;
  packed.distinct = distinct_rows(batch.instance_rows);
  packed.weights = instance_weights(batch.instance_rows, batch.similarities, batch.k, 1.0);
  packed.features =
      pack_features(batch, packed.distinct, packed.weights, modality, at::kDouble, dropout);
  return packed;
}

/// [M × dim]; stand-ins are ones and twos.
at::Tensor aggregated(const PackedFeatures& packed) {
  at::Tensor instances = packed.instance_features;
  if (packed.has_stand_ins) {
    const at::Tensor ones = at::ones({1, instances.size(1)}, instances.options());
    instances = at::cat({instances, ones, 2.0 * ones});
  }
  return packed.aggregate.times(instances);
}

std::int64_t begin_of(const at::Tensor& begin, std::size_t item) {
  return begin[static_cast<std::int64_t>(item)].item<std::int64_t>();
}

class PackedModality : public ::testing::TestWithParam<Modality> {
 protected:
  bank::FeatureTable table_ = testing::made_table(40, kVisualDim, kTextDim, 4, 6, 1);
  Batch batch_ = testing::made_batch(table_, 10, kInstances, 2);
};

INSTANTIATE_TEST_SUITE_P(Both, PackedModality,
                         ::testing::Values(Modality::kVisual, Modality::kText),
                         [](const auto& each) {
                           return std::string(each.param == Modality::kVisual ? "visual" : "text");
                         });

TEST_P(PackedModality, PointsToEveryTokenOfEachQuery) {
  const PackedFeatures packed = pack(batch_, GetParam()).features;
  ASSERT_TRUE(packed.query_slots.defined());  // some query has no tokens
  std::int64_t next = 0;
  for (std::size_t b = 0; b < batch_.query_rows.size(); ++b) {
    const bank::TokenView view =
        tokens_of(table_, static_cast<std::size_t>(batch_.query_rows[b]), GetParam());
    const std::int64_t first = begin_of(packed.query_begin, b);
    ASSERT_EQ(begin_of(packed.query_begin, b + 1) - first, std::max(1, view.num_tokens));
    if (view.num_tokens == 0) {  // the absent token
      EXPECT_EQ(packed.query_slots[first].item<std::int64_t>(), packed.num_query_tokens);
    }
    for (int p = 0; p < view.num_tokens; ++p) {
      const auto slot = packed.query_slots[first + p].item<std::int64_t>();
      EXPECT_EQ(slot, next++);
      for (int c = 0; c < view.dim; ++c) {
        EXPECT_EQ(packed.features[slot][c].item<double>(), value_of(view, p, c));
      }
    }
  }
  EXPECT_EQ(next, packed.num_query_tokens);
}

TEST_P(PackedModality, NamesNoSlotsWhereEveryQueryHasTokens) {
  const bank::FeatureTable table = testing::made_table(3, kVisualDim, kTextDim, 4, 6, 1);
  const Batch batch = testing::made_batch(table, 3, 2, 2);
  const PackedFeatures packed = pack(batch, GetParam()).features;
  EXPECT_FALSE(packed.query_slots.defined());
  EXPECT_EQ(begin_of(packed.query_begin, 3), packed.num_query_tokens);
}

/// Equation 4, position by position: weights renormalised over the instances that have it.
TEST_P(PackedModality, AggregatesByEquation4) {
  const Packed packed = pack(batch_, GetParam());
  const at::Tensor result = aggregated(packed.features);
  const auto dim = static_cast<std::size_t>(result.size(1));
  int with_gaps = 0;
  for (std::size_t b = 0; b < batch_.query_rows.size(); ++b) {
    const std::int64_t first = begin_of(packed.features.aggregate_begin, b);
    int length = 0;
    for (std::size_t j = b * kInstances; j < (b + 1) * kInstances; ++j) {
      const std::int32_t row = batch_.instance_rows[j];
      if (row < 0) continue;
      length =
          std::max(length, tokens_of(table_, static_cast<std::size_t>(row), GetParam()).num_tokens);
    }
    ASSERT_EQ(begin_of(packed.features.aggregate_begin, b + 1) - first, std::max(1, length));
    for (int p = 0; p < length; ++p) {
      std::vector<double> sum(dim, 0.0);
      double total = 0.0;
      int missing = 0;
      for (std::size_t j = b * kInstances; j < (b + 1) * kInstances; ++j) {
        const std::int32_t row = batch_.instance_rows[j];
        if (row < 0) continue;
        const bank::TokenView view = tokens_of(table_, static_cast<std::size_t>(row), GetParam());
        if (p >= view.num_tokens) {
          ++missing;
          continue;
        }
        total += packed.weights[j];
        for (std::size_t c = 0; c < dim; ++c) {
          sum[c] += packed.weights[j] * value_of(view, p, static_cast<int>(c));
        }
      }
      with_gaps += missing > 0 ? 1 : 0;
      for (std::size_t c = 0; c < dim; ++c) {
        EXPECT_NEAR(result[first + p][static_cast<std::int64_t>(c)].item<double>(), sum[c] / total,
                    1e-14);
      }
    }
  }
  EXPECT_GT(with_gaps, 5);  // or the renormalising was not tested
}

TEST(PackedFeatures, NameWhatStandsInWhereNothingIs) {
  // Rows 4 and 9 have no video.
  const bank::FeatureTable table = testing::made_table(10, kVisualDim, kTextDim, 3, 2, 1);
  Batch batch = testing::made_batch(table, 3, 2, 2);
  batch.instance_rows = {4, 9, -1, -1, 4, 0};
  const PackedFeatures packed = pack(batch, Modality::kVisual).features;
  ASSERT_TRUE(packed.has_stand_ins);
  const at::Tensor result = aggregated(packed);
  EXPECT_EQ(begin_of(packed.aggregate_begin, 1), 1);
  EXPECT_EQ(begin_of(packed.aggregate_begin, 2), 2);
  EXPECT_TRUE(result[0].eq(1.0).all().item<bool>());  // instances without a video
  EXPECT_TRUE(result[1].eq(2.0).all().item<bool>());  // no instance at all
  EXPECT_EQ(result[2][0].item<double>(), value_of(table.visual_tokens(0), 0, 0));

  batch.instance_rows = {0, 1, 0, 1, 0, 1};
  EXPECT_FALSE(pack(batch, Modality::kVisual).features.has_stand_ins);
}

TEST(PackedFeatures, ArePaddedToTheLongest) {
  const at::Tensor rows = at::arange(1, 9, at::kDouble).view({4, 2});
  const at::Tensor begin = at::tensor({0, 1, 4}, at::kLong);
  const Padded padded = pad(rows, begin);
  EXPECT_TRUE(padded.values.equal(
      at::tensor({1, 2, 0, 0, 0, 0, 3, 4, 5, 6, 7, 8}, at::kDouble).view({2, 3, 2})));
  EXPECT_TRUE(padded.mask.equal(at::tensor({1, 0, 0, 1, 1, 1}, at::kLong).view({2, 3}).eq(1)));
}

/// A weight that underflowed still counts where it is all there is at a position.
TEST(PackedFeatures, ShareWhereAllWeightsUnderflowed) {
  std::mt19937 random(1);
  bank::FeatureTable table(2, 1);
  testing::append_row(table, 1, testing::made_tokens(random, 1, 2), 0, {}, 2.0);
  testing::append_row(table, 3, testing::made_tokens(random, 3, 2), 0, {}, 2.0);
  Batch batch;
  batch.queries = batch.memory = &table;
  batch.query_rows = {0};
  batch.k = 2;
  batch.instance_rows = {0, 1};
  batch.similarities = {1.0F, 0.0F};
  const DistinctRows distinct = distinct_rows(batch.instance_rows);
  const std::vector<double> weights =
      instance_weights(batch.instance_rows, batch.similarities, 2, 1e6);
  ASSERT_EQ(weights[1], 0.0);
  const PackedFeatures packed =
      pack_features(batch, distinct, weights, Modality::kVisual, at::kDouble, {});
  const at::Tensor result = aggregated(packed);
  EXPECT_EQ(result[2][1].item<double>(), value_of(table.visual_tokens(1), 2, 1));
}

TEST(PackedFeatures, GatherADistinctRowOnce) {
  const DistinctRows distinct = distinct_rows(std::vector<std::int32_t>{5, 2, -1, 5, 9, 2});
  EXPECT_THAT(distinct.rows, ElementsAre(5, 2, 9));
  EXPECT_THAT(distinct.slots, ElementsAre(0, 1, -1, 0, 2, 1));
}

TEST(PackedFeatures, OfABatchWithoutInstancesHaveNoAggregate) {
  const bank::FeatureTable table = testing::made_table(10, kVisualDim, kTextDim, 3, 2, 1);
  Batch batch;
  batch.queries = &table;
  batch.query_rows = {0, 1};
  const PackedFeatures packed = pack_features(batch, {}, {}, Modality::kText, at::kFloat, {});
  EXPECT_FALSE(packed.aggregate_begin.defined());
  EXPECT_EQ(packed.features.scalar_type(), at::kFloat);
  EXPECT_EQ(packed.features.size(0), packed.num_query_tokens);
}

TEST(TokenDropoutOfABatch, KeepsTheFirstTokenAndAboutItsShareOfTheOthers) {
  std::mt19937 random(1);
  bank::FeatureTable table(2, 1);
  for (int row = 0; row < 60; ++row) {
    testing::append_row(table, 11, testing::made_tokens(random, 11, 2), 0, {}, 2.0);
  }
  Batch batch = testing::made_batch(table, 59, 1, 2);
  for (std::size_t i = 0; i < batch.instance_rows.size(); ++i) batch.instance_rows[i] = 59;
  at::Generator generator = at::detail::createCPUGenerator(6);
  const PackedFeatures packed = pack(batch, Modality::kVisual, {0.25, &generator}).features;
  // Instances are one row of 11 tokens, drawn anew for each query: a position that is left out is
  // not there.
  for (const at::Tensor& begin : {packed.query_begin, packed.aggregate_begin}) {
    const at::Tensor lengths = begin.slice(0, 1) - begin.slice(0, 0, -1);
    EXPECT_GE(lengths.min().item<std::int64_t>(), 1);
    EXPECT_NEAR((lengths - 1).to(at::kDouble).mean().item<double>() / 10.0, 0.75, 0.07);
    EXPECT_GT(lengths.max().item<std::int64_t>(), lengths.min().item<std::int64_t>());
  }
  for (std::size_t b = 0; b < batch.query_rows.size(); ++b) {  // the first token stays
    EXPECT_EQ(packed.query_slots[begin_of(packed.query_begin, b)].item<std::int64_t>(),
              static_cast<std::int64_t>(11 * b));
  }
}

TEST(AggregatedLabels, AreTheStandardisedWeightedMean) {
  bank::FeatureTable table(1, 1);
  for (const double popularity : {4.0, 64.0, 1.0}) {
    testing::append_row(table, 0, {}, 0, {}, popularity);
  }
  testing::append_row(table, 0, {}, 0, {}, std::nullopt);
  Batch batch;
  batch.queries = batch.memory = &table;
  batch.query_rows = {0, 1, 2, 0};
  batch.k = 2;
  batch.instance_rows = {0, 1, 1, 3, 3, -1, -1, -1};
  const std::vector<double> weights{0.25, 0.75, 0.5, 0.5, 1.0, 0.0, 0.0, 0.0};
  const AggregatedLabels labels = aggregate_labels(batch, weights, 3.0, 2.0, at::kDouble);
  EXPECT_TRUE(labels.any_missing);
  EXPECT_NEAR(labels.values[0].item<double>(), (0.25 * 2 + 0.75 * 6 - 3.0) / 2.0, 1e-15);
  EXPECT_NEAR(labels.values[1].item<double>(), (6.0 - 3.0) / 2.0, 1e-15);  // the other has none
  const std::vector<bool> missing{false, false, true, true};
  for (int b = 0; b < 4; ++b) EXPECT_EQ(labels.missing[b].item<bool>(), missing[b]) << b;

  batch.instance_rows = {0, 1, 1, 3, 2, -1, 2, 2};
  const std::vector<double> all_known{0.5, 0.5, 0.5, 0.5, 1.0, 0.0, 0.5, 0.5};
  EXPECT_FALSE(aggregate_labels(batch, all_known, 0.0, 1.0, at::kFloat).any_missing);
}

}  // namespace
}  // namespace mmra::model::neural
