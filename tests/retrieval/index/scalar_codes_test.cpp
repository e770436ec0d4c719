#include "mmra/retrieval/index/scalar_codes.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace mmra::retrieval {
namespace {

class ScalarCodesOf : public ::testing::TestWithParam<int> {
 protected:
  void SetUp() override {
    std::mt19937 random(1);
    std::uniform_real_distribution<float> uniform(-0.5F, 0.5F);
    const auto dim = static_cast<std::size_t>(GetParam());
    for (std::size_t i = 0; i < dim; ++i) {
      lows_.push_back(uniform(random));
      spans_.push_back(1.0F + uniform(random));
      query_.push_back(uniform(random));
    }
    for (std::size_t i = 0; i < kNumCodes * dim; ++i) {
      codes_.push_back(static_cast<std::uint8_t>(random()));
    }
  }
  [[nodiscard]] double component(std::size_t place, std::size_t i) const {
    const double code = codes_[place * lows_.size() + i];
    return lows_[i] + (code + 0.5) * spans_[i] / 255.0;
  }

  static constexpr std::size_t kNumCodes = 20;
  std::vector<float> lows_, spans_, query_;
  std::vector<std::uint8_t> codes_;
};

TEST_P(ScalarCodesOf, AreComparedAsTheVectorsThatTheyMean) {
  const ScalarCodes codes(codes_.data(), lows_, spans_);
  const ScalarCodeQuery query(codes, query_.data());
  std::vector<std::int32_t> places;
  for (std::size_t i = 0; i < kNumCodes; ++i)
    places.push_back(static_cast<std::int32_t>(i * 7 % 20));
  std::vector<float> scores(places.size());
  query.similarities(places, scores.data());
  for (std::size_t i = 0; i < places.size(); ++i) {
    const auto place = static_cast<std::size_t>(places[i]);
    double with_query = 0.0;
    double with_another = 0.0;
    for (std::size_t j = 0; j < lows_.size(); ++j) {
      with_query += query_[j] * component(place, j);
      with_another += component(3, j) * component(place, j);
    }
    EXPECT_NEAR(scores[i], with_query, 1e-4);
    EXPECT_NEAR(query.similarity(codes.code(place)), with_query, 1e-4);
    EXPECT_NEAR(codes.similarity(codes.code(3), codes.code(place)), with_another,
                1e-5 * static_cast<double>(lows_.size()));
  }
}

INSTANTIATE_TEST_SUITE_P(Dims, ScalarCodesOf, ::testing::Values(1, 7, 8, 32, 100, 128));

}  // namespace
}  // namespace mmra::retrieval
