#include "mmra/retrieval/index/quick_centres.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "retrieval/index/clustered_table.h"

namespace mmra::retrieval {
namespace {

constexpr std::size_t kDim = 48;

std::vector<float> unit_vectors(std::size_t count, std::mt19937& random) {
  std::vector<float> vectors;
  for (std::size_t i = 0; i < count; ++i) {
    const auto vector = testing::random_unit_vector(static_cast<int>(kDim), random);
    vectors.insert(vectors.end(), vector.begin(), vector.end());
  }
  return vectors;
}

class Centres : public ::testing::TestWithParam<std::size_t> {};

// More than one block of them too.
TEST_P(Centres, AreTheNearestToWithinAHundredth) {
  std::mt19937 random(7);
  constexpr std::size_t kNumVectors = 300;
  const std::vector<float> centres = unit_vectors(GetParam(), random);
  const std::vector<float> vectors = unit_vectors(kNumVectors, random);
  QuickCentres quick(kDim, 2);
  faiss::IndexFlatIP flat(kDim);
  for (faiss::IndexFlatIP* each : {static_cast<faiss::IndexFlatIP*>(&quick), &flat}) {
    each->add(3, vectors.data());  // as a round of k-means that is over
    each->reset();
    each->add(static_cast<faiss::Index::idx_t>(GetParam()), centres.data());
  }
  std::vector<float> scores(kNumVectors);
  std::vector<faiss::Index::idx_t> labels(kNumVectors, -1);
  quick.search(kNumVectors, vectors.data(), 1, scores.data(), labels.data());
  std::vector<float> best(kNumVectors);
  std::vector<faiss::Index::idx_t> nearest(kNumVectors);
  flat.search(kNumVectors, vectors.data(), 1, best.data(), nearest.data());
  std::size_t num_same = 0;
  for (std::size_t i = 0; i < kNumVectors; ++i) {
    const float* centre = centres.data() + static_cast<std::size_t>(labels[i]) * kDim;
    float similarity = 0.0F;
    for (std::size_t j = 0; j < kDim; ++j) similarity += centre[j] * vectors[i * kDim + j];
    EXPECT_NEAR(similarity, best[i], 0.01);
    EXPECT_NEAR(scores[i], best[i], 0.01);
    num_same += labels[i] == nearest[i] ? 1 : 0;
  }
  EXPECT_GE(num_same, kNumVectors * 9 / 10);
}
INSTANTIATE_TEST_SUITE_P(Numbers, Centres, ::testing::Values(1U, 40U, 1024U, 2500U));

TEST(QuickCentres, OfEqualsAreTheFirst) {
  std::mt19937 random(8);
  const std::vector<float> one = unit_vectors(1, random);
  QuickCentres quick(kDim, 1);
  for (int i = 0; i < 3; ++i) quick.add(1, one.data());
  const std::vector<float> nothing(kDim, 0.0F);
  for (const auto& vector : {one, nothing}) {
    float score = 2.0F;
    faiss::Index::idx_t label = -1;
    quick.search(1, vector.data(), 1, &score, &label);
    EXPECT_EQ(label, 0);
    EXPECT_EQ(quick.ntotal, 3);
  }
}

TEST(QuickCentres, AreExactWhereMoreThanOneIsAskedFor) {
  std::mt19937 random(9);
  const std::vector<float> centres = unit_vectors(50, random);
  QuickCentres quick(kDim, 1);
  quick.add(50, centres.data());
  float scores[2];
  faiss::Index::idx_t labels[2];
  quick.search(1, centres.data() + 17 * kDim, 2, scores, labels);
  EXPECT_EQ(labels[0], 17);
  EXPECT_NEAR(scores[0], 1.0F, 1e-5);
}

}  // namespace
}  // namespace mmra::retrieval
