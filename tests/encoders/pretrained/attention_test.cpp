#include "mmra/encoders/pretrained/attention.h"

#include <gtest/gtest.h>
#include <omp.h>

#include <cmath>
#include <vector>

#include "expect_error.h"
#include "made_model.h"

namespace mmra::encoders {
namespace {

using mmra::testing::expect_error;
using testing::made_floats;
using testing::relative_error;

constexpr int kHeads = 3;
constexpr std::int64_t kHidden = 33;  // heads of 11
constexpr std::int64_t kHeadDim = kHidden / kHeads;

double scaled_product(ConstRows a, std::int64_t i, ConstRows b, std::int64_t j, std::int64_t from) {
  double sum = 0.0;
  for (std::int64_t d = from; d < from + kHeadDim; ++d) {
    sum += static_cast<double>(a.row(i)[d]) * b.row(j)[d];
  }
  return sum / std::sqrt(static_cast<double>(kHeadDim));
}

/// The definition, in double.
std::vector<float> slow_attention(const AttentionSequence& s) {
  std::vector<float> output(static_cast<std::size_t>(s.queries.rows * kHidden));
  for (std::int64_t i = 0; i < s.queries.rows; ++i) {
    const std::int64_t visible = s.is_causal ? s.keys.rows - s.queries.rows + i + 1 : s.keys.rows;
    for (std::int64_t from = 0; from < kHidden; from += kHeadDim) {
      std::vector<double> weights;
      double total = 0.0;
      for (std::int64_t j = 0; j < visible; ++j) {
        weights.push_back(std::exp(scaled_product(s.queries, i, s.keys, j, from)));
        total += weights.back();
      }
      for (std::int64_t d = from; d < from + kHeadDim; ++d) {
        double sum = 0.0;
        for (std::int64_t j = 0; j < visible; ++j) {
          sum += weights[static_cast<std::size_t>(j)] / total * s.values.row(j)[d];
        }
        output[static_cast<std::size_t>(i * kHidden + d)] = static_cast<float>(sum);
      }
    }
  }
  return output;
}

struct Case {
  std::int64_t queries;
  std::int64_t keys;
  bool is_causal;
};

/// Sequences of all lengths in one call; rows of queries, keys and values lie 7 floats apart.
void check(const std::vector<Case>& cases) {
  constexpr std::int64_t kStride = kHidden + 7;
  std::vector<std::vector<float>> memory;
  std::vector<std::vector<float>> outputs;
  std::vector<AttentionSequence> sequences;
  unsigned seed = 0;
  const auto rows = [&](std::int64_t count) {
    memory.push_back(made_floats(static_cast<std::size_t>(count * kStride), ++seed));
    for (float& value : memory.back()) value *= 2.0F;
    return ConstRows{memory.back().data(), count, kHidden, kStride};
  };
  for (const Case& c : cases) {
    outputs.emplace_back(static_cast<std::size_t>(c.queries * kHidden));
    sequences.push_back({rows(c.queries),
                         rows(c.keys),
                         rows(c.keys),
                         {outputs.back().data(), c.queries, kHidden, kHidden},
                         c.is_causal});
  }
  Workspace workspace;
  attend(sequences, kHeads, workspace);
  for (std::size_t i = 0; i < cases.size(); ++i) {
    EXPECT_LT(relative_error(outputs[i], slow_attention(sequences[i])), 2e-6)
        << cases[i].queries << " queries, " << cases[i].keys << " keys";
  }
}

TEST(Attention, SequencesOfDifferentLengths) {
  check({{1, 1, false}, {4, 4, false}, {5, 5, false}, {97, 97, false}, {200, 200, false}});
}

TEST(Attention, CrossAttention) { check({{1, 77, false}, {3, 50, false}, {9, 130, false}}); }

TEST(Attention, Causal) {
  check(
      {{1, 1, true}, {4, 4, true}, {12, 12, true}, {1, 9, true}, {6, 20, true}, {101, 101, true}});
}

TEST(Attention, AnyNumberOfThreads) {
  const int threads = omp_get_max_threads();
  for (const int n : {1, 2, 5}) {
    omp_set_num_threads(n);
    check({{30, 30, false}, {3, 40, false}, {110, 110, true}});
  }
  omp_set_num_threads(threads);
}

TEST(Attention, NoSequences) {
  Workspace workspace;
  attend({}, kHeads, workspace);
}

TEST(KeyValueCache, GrowsAndReorders) {
  KeyValueCache cache(2, 3, 2);
  const std::vector<float> first = {1, 2, 3, 4};
  const std::vector<float> second = {5, 6, 7, 8};
  const std::vector<float> doubled = {10, 12, 14, 16};
  cache.append({first.data(), 2, 2, 2}, {second.data(), 2, 2, 2});
  cache.append({second.data(), 2, 2, 2}, {doubled.data(), 2, 2, 2});
  EXPECT_EQ(cache.num_tokens(), 2);
  const auto values_of = [](ConstRows rows) {
    return std::vector<float>(rows.data, rows.data + rows.rows * rows.cols);
  };
  EXPECT_EQ(values_of(cache.keys(0)), (std::vector<float>{1, 2, 5, 6}));
  EXPECT_EQ(values_of(cache.values(1)), (std::vector<float>{7, 8, 14, 16}));
  const std::vector<std::int32_t> sources = {1, 1, 0};
  cache.reorder(sources);
  EXPECT_EQ(cache.num_sequences(), 3);
  EXPECT_EQ(values_of(cache.keys(0)), (std::vector<float>{3, 4, 7, 8}));
  EXPECT_EQ(values_of(cache.keys(1)), (std::vector<float>{3, 4, 7, 8}));
  EXPECT_EQ(values_of(cache.values(2)), (std::vector<float>{5, 6, 10, 12}));
}

TEST(KeyValueCache, SeveralTokensAtOnce) {
  KeyValueCache cache(2, 4, 1);
  const std::vector<float> keys = {1, 2, 3, 4, 5, 6};
  cache.append({keys.data(), 6, 1, 1}, {keys.data(), 6, 1, 1});
  EXPECT_EQ(cache.num_tokens(), 3);
  EXPECT_EQ(cache.keys(1).row(0)[0], 4);
  EXPECT_EQ(cache.keys(1).row(2)[0], 6);
}

TEST(KeyValueCache, RefusesMoreThanItHolds) {
  KeyValueCache cache(2, 1, 1);
  const std::vector<float> keys = {1, 2, 3, 4};
  expect_error(ErrorKind::kInternal, "4 keys do not fit a cache of 2 sequences with 0 of 1 tokens",
               [&] {
                 cache.append({keys.data(), 4, 1, 1}, {keys.data(), 4, 1, 1});
               });
  expect_error(ErrorKind::kInternal, "3 keys do not fit", [&] {
    cache.append({keys.data(), 3, 1, 1}, {keys.data(), 3, 1, 1});
  });
}

}  // namespace
}  // namespace mmra::encoders
