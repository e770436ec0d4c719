#include "mmra/encoders/pretrained/attention.h"

#include <gtest/gtest.h>
#include <omp.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <span>
#include <vector>

#include "expect_error.h"
#include "made_model.h"
#include "mmra/core/bfloat16.h"
#include "mmra/encoders/pretrained/precision.h"
#include "mmra/encoders/pretrained/row_kernels.h"

namespace mmra::encoders {
namespace {

using mmra::testing::expect_error;
using testing::made_floats;
using testing::relative_error;

constexpr int kHeads = 3;

double scaled_product(ConstRows a, std::int64_t i, ConstRows b, std::int64_t j, std::int64_t from) {
  const std::int64_t head_dim = a.cols / kHeads;
  double sum = 0.0;
  for (std::int64_t d = from; d < from + head_dim; ++d) {
    sum += static_cast<double>(a.row(i)[d]) * b.row(j)[d];
  }
  return sum / std::sqrt(static_cast<double>(head_dim));
}

/// The definition, in double.
std::vector<float> slow_attention(const AttentionSequence& s) {
  const std::int64_t hidden = s.queries.cols;
  const std::int64_t head_dim = hidden / kHeads;
  std::vector<float> output(static_cast<std::size_t>(s.queries.rows * hidden));
  for (std::int64_t i = 0; i < s.queries.rows; ++i) {
    const std::int64_t visible = s.is_causal ? s.keys.rows - s.queries.rows + i + 1 : s.keys.rows;
    for (std::int64_t from = 0; from < hidden; from += head_dim) {
      std::vector<double> weights;
      double total = 0.0;
      for (std::int64_t j = 0; j < visible; ++j) {
        weights.push_back(std::exp(scaled_product(s.queries, i, s.keys, j, from)));
        total += weights.back();
      }
      for (std::int64_t d = from; d < from + head_dim; ++d) {
        double sum = 0.0;
        for (std::int64_t j = 0; j < visible; ++j) {
          sum += weights[static_cast<std::size_t>(j)] / total * s.values.row(j)[d];
        }
        output[static_cast<std::size_t>(i * hidden + d)] = static_cast<float>(sum);
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

constexpr std::int64_t kGap = 7;  // floats between rows of queries, keys and values

/// Sequences of all lengths, of numbers that bfloat16 holds, in memory that lives as long as this.
class MadeSequences {
 public:
  MadeSequences(const std::vector<Case>& cases, std::int64_t hidden) : hidden_(hidden) {
    for (const Case& c : cases) {
      outputs_.push_back(std::make_unique<Matrix>(c.queries, hidden));
      sequences_.push_back(
          {rows(c.queries), rows(c.keys), rows(c.keys), outputs_.back()->view(), c.is_causal});
    }
  }

  [[nodiscard]] const std::vector<AttentionSequence>& sequences() const { return sequences_; }

  void expect_outputs(double tolerance) const {
    for (const AttentionSequence& s : sequences_) {
      const std::vector<float> output(s.output.data, s.output.data + s.output.rows * hidden_);
      EXPECT_LT(relative_error(output, slow_attention(s)), tolerance)
          << s.queries.rows << " queries, " << s.keys.rows << " keys, hidden " << hidden_;
    }
  }

 private:
  ConstRows rows(std::int64_t count) {
    const std::int64_t stride = hidden_ + kGap;
    memory_.push_back(made_floats(static_cast<std::size_t>(count * stride), ++seed_));
    for (float& value : memory_.back()) value = widened(rounded(2.0F * value));
    return {memory_.back().data(), count, hidden_, stride};
  }

  static std::uint16_t rounded(float value) {
    std::uint16_t bits = 0;
    round_to_bfloat16(&value, &bits, 1);
    return bits;
  }
  static float widened(std::uint16_t bits) {
    float value = 0.0F;
    widen_bfloat16(&bits, &value, 1);
    return value;
  }

  std::int64_t hidden_;
  unsigned seed_ = 0;
  std::vector<std::vector<float>> memory_;
  std::vector<std::unique_ptr<Matrix>> outputs_;
  std::vector<AttentionSequence> sequences_;
};

void check_float32(const std::vector<Case>& cases) {
  const MadeSequences made(cases, 33);
  Workspace workspace;
  attend(made.sequences(), kHeads, workspace);
  made.expect_outputs(2e-6);
}

/// Rows of bfloat16, a copy with gaps of NaN: what lies between rows must not be read.
class BFloat16Copy {
 public:
  explicit BFloat16Copy(ConstRows from) : cols_(from.cols), values_(from.rows, from.cols + kGap) {
    const BFloat16Rows to = values_.view();
    std::fill_n(to.data, to.rows * to.cols, kNan);
    for (std::int64_t i = 0; i < from.rows; ++i) {
      round_to_bfloat16(from.row(i), to.row(i), from.cols);
    }
  }
  [[nodiscard]] BFloat16Rows rows() { return values_.view().columns(0, cols_); }
  /// `to` ← the rows; what lies between them must not have been written.
  void copy_to(Rows to) {
    const BFloat16Rows from = values_.view();
    for (std::int64_t i = 0; i < to.rows; ++i) {
      widen_bfloat16(from.row(i), to.row(i), to.cols);
      for (std::int64_t j = to.cols; j < from.cols; ++j) ASSERT_EQ(from.row(i)[j], kNan);
    }
  }

 private:
  static constexpr std::uint16_t kNan = 0x7FC1;
  std::int64_t cols_;
  BFloat16Matrix values_;
};

void check_bfloat16(const std::vector<Case>& cases, std::int64_t hidden) {
  const MadeSequences made(cases, hidden);
  std::vector<std::unique_ptr<BFloat16Copy>> copies;
  const auto copy = [&](ConstRows rows) {
    copies.push_back(std::make_unique<BFloat16Copy>(rows));
    return copies.back()->rows();
  };
  std::vector<BFloat16AttentionSequence> sequences;
  for (const AttentionSequence& s : made.sequences()) {
    sequences.push_back(
        {copy(s.queries), copy(s.keys), copy(s.values), copy(s.output), s.is_causal});
  }
  Workspace workspace;
  attend(sequences, kHeads, workspace);
  for (std::size_t i = 0; i < sequences.size(); ++i) {
    copies[4 * i + 3]->copy_to(made.sequences()[i].output);
  }
  made.expect_outputs(4e-3);  // bfloat16 rounds by up to 2⁻⁹, what is multiplied and the output
}

/// In float32, and in bfloat16 where the processor has it: heads of 11 (no whole vector, an odd
/// number of pairs), of 32, 64 and 80.
void check(const std::vector<Case>& cases) {
  check_float32(cases);
  if (!has_bfloat16_products()) return;
  for (const std::int64_t head_dim : {11, 32, 64, 80}) check_bfloat16(cases, kHeads * head_dim);
}

TEST(Attention, SequencesOfDifferentLengths) {
  check({{1, 1, false}, {4, 4, false}, {5, 5, false}, {97, 97, false}, {200, 200, false}});
}

TEST(Attention, CrossAttention) { check({{1, 77, false}, {3, 50, false}, {9, 130, false}}); }

TEST(Attention, MoreQueriesThanABlock) { check({{400, 17, false}, {400, 403, true}}); }

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
  attend(std::span<const AttentionSequence>{}, kHeads, workspace);
  attend(std::span<const BFloat16AttentionSequence>{}, kHeads, workspace);
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
