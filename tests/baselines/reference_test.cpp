// SVR, ridge and HyFea against scikit-learn and XGBoost's Python package
// (tools/golden/baselines.py).
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <string>

#include "made_rows.h"
#include "mmra/baselines/hyfea.h"
#include "mmra/baselines/ridge.h"
#include "mmra/baselines/svr.h"
#include "mmra/core/safetensors.h"

namespace mmra::baselines::testing {
namespace {

constexpr int kNumRows = 200;

class Reference : public ::testing::Test {
 protected:
  Reference() : file_(std::filesystem::path(MMRA_GOLDEN_DIR) / "baselines/reference.safetensors") {}

  void SetUp() override {
    rows_.table = bank::FeatureTable(6, 5);
    rows_.targets = floats("targets", {kNumRows});
    const std::vector<int> num_visual = integers("num_visual", kNumRows);
    const std::vector<int> num_text = integers("num_text", kNumRows);
    for (std::size_t row = 0; row < kNumRows; ++row) {
      const auto visual = halves("visual", row, 3 * 6, num_visual[row] * 6);
      const auto text = halves("text", row, 4 * 5, num_text[row] * 5);
      rows_.table.append({num_visual[row], 6, visual}, {num_text[row], 5, text}, std::nullopt);
    }
    divide(rows_, 120, 40);
  }

  [[nodiscard]] std::vector<float> floats(const std::string& name,
                                          const std::vector<std::int64_t>& shape) const {
    return file_.floats(name, shape);
  }
  [[nodiscard]] std::vector<int> integers(const std::string& name, std::size_t count) const {
    const TensorView& view = file_.tensor(name);
    EXPECT_EQ(view.bytes.size(), count * sizeof(int));
    std::vector<int> values(count);
    std::memcpy(values.data(), view.bytes.data(), view.bytes.size());
    return values;
  }
  /// The first `count` values of a row of `width`.
  [[nodiscard]] std::vector<Float16Bits> halves(const std::string& name, std::size_t row,
                                                std::size_t width, int count) const {
    std::vector<Float16Bits> values(static_cast<std::size_t>(count));
    const auto bytes = file_.tensor(name).bytes.subspan(row * width * 2, values.size() * 2);
    std::copy(bytes.begin(), bytes.end(), std::as_writable_bytes(std::span(values)).begin());
    return values;
  }
  [[nodiscard]] static BaselineConfig config(Kind kind) {
    BaselineConfig config = made_config(kind);
    config.visual_dim = 6;
    config.hyfea = {};
    return config;
  }
  void expect_predictions(model::FittedPredictor& predictor, const std::string& name,
                          float tolerance) {
    const std::vector<float> expected = floats(name + ".predictions", {40});
    const std::vector<float> actual = predictor.predict(rows_.test);
    ASSERT_EQ(actual.size(), expected.size());
    for (std::size_t i = 0; i < actual.size(); ++i) {
      EXPECT_NEAR(actual[i], expected[i], tolerance) << name << ", row " << i;
    }
  }

  SafetensorsFile file_;
  MadeRows rows_;
};

TEST_F(Reference, SvrPredictsAsScikitLearn) {
  Svr svr(config(Kind::kSvr), 1);
  fit(svr, rows_);
  expect_predictions(svr, "svr", 1e-3F);
}

TEST_F(Reference, RidgeChoosesAndPredictsAsScikitLearn) {
  Ridge ridge(config(Kind::kRidge));
  fit(ridge, rows_);
  EXPECT_EQ(ridge.describe_fit(), "lambda 10, chosen on 40 validation rows");
  EXPECT_EQ(floats("ridge.lambda", {1})[0], 10.0F);
  expect_predictions(ridge, "ridge", 1e-5F);
}

TEST_F(Reference, HyfeaStopsAndPredictsAsXgboost) {
  Hyfea hyfea(config(Kind::kHyfea), 1);
  fit(hyfea, rows_);
  const std::vector<double>& errors = hyfea.stop_errors();
  const auto best = std::min_element(errors.begin(), errors.end());
  const int rounds = integers("trees.rounds", 1)[0];
  EXPECT_EQ(best - errors.begin() + 1, rounds);
  EXPECT_EQ(static_cast<int>(errors.size()), rounds + 20) << "the patience";
  EXPECT_NEAR(*best, floats("trees.stop_error", {1})[0], 1e-5);
  expect_predictions(hyfea, "trees", 1e-5F);
}

}  // namespace
}  // namespace mmra::baselines::testing
