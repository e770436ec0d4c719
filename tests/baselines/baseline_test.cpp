// What holds for every baseline.
#include "mmra/baselines/baseline.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "expect_error.h"
#include "made_rows.h"
#include "mmra/core/files.h"
#include "test_files.h"

namespace mmra::baselines::testing {
namespace {

using mmra::testing::expect_error;
using mmra::testing::TemporaryDirectory;

class EveryBaseline : public ::testing::TestWithParam<Kind> {
 protected:
  void SetUp() override { make_rows(rows_); }
  [[nodiscard]] std::unique_ptr<model::FittedPredictor> fitted(int num_threads = 1) const {
    auto predictor = make_baseline(made_config(GetParam()), num_threads);
    fit(*predictor, rows_);
    return predictor;
  }

  MadeRows rows_;
  TemporaryDirectory directory_;
};

TEST_P(EveryBaseline, PredictsEveryRowWhateverItLacks) {
  const std::vector<float> values = fitted()->predict(rows_.test);
  ASSERT_EQ(values.size(), 10U);
  for (const float value : values) EXPECT_TRUE(std::isfinite(value));
}

TEST_P(EveryBaseline, APredictionDoesNotDependOnItsBatch) {
  const auto predictor = fitted();
  const std::vector<float> together = predictor->predict(rows_.test);
  for (std::size_t i = 0; i < together.size(); ++i) {
    EXPECT_EQ(predictor->predict(single(rows_.test, i)).at(0), together[i]) << "row " << i;
  }
  EXPECT_TRUE(predictor->predict(rows_of(rows_.table, 0, 0, 3)).empty());
}

TEST_P(EveryBaseline, LoadsWhatItSaved) {
  const auto predictor = fitted();
  predictor->save(directory_.path());
  EXPECT_EQ(load_baseline(directory_.path(), 1)->predict(rows_.test),
            predictor->predict(rows_.test));
  const BaselineConfig config = load_config(directory_ / "config.json");
  EXPECT_EQ(config.kind, GetParam());
  EXPECT_EQ(config_from_json(config_to_json(config), "text").label_mean, config.label_mean);
  EXPECT_FALSE(predictor->describe_fit().empty());
}

TEST_P(EveryBaseline, FitsTheSameTwiceAndOnMoreThreads) {
  const std::vector<float> once = fitted()->predict(rows_.test);
  EXPECT_EQ(fitted()->predict(rows_.test), once);
  EXPECT_EQ(fitted(2)->predict(rows_.test), once);
}

TEST_P(EveryBaseline, NeedsRowsWithLabels) {
  const auto predictor = make_baseline(made_config(GetParam()), 1);
  MadeRows broken;
  make_rows(broken);
  broken.train.targets[3] = std::numeric_limits<float>::quiet_NaN();
  expect_error(ErrorKind::kInvalidInput, "row 3", [&] { fit(*predictor, broken); });
  broken.train.targets.pop_back();
  expect_error(ErrorKind::kInvalidInput, "60 rows and 59 labels", [&] { fit(*predictor, broken); });
}

TEST_P(EveryBaseline, RefusesFeaturesOfOtherDimensions) {
  if (GetParam() == Kind::kMean || GetParam() == Kind::kKnn) GTEST_SKIP() << "looks at none";
  const auto predictor = fitted();
  bank::FeatureTable other(4, 6);
  other.append({0, 4, {}}, {0, 6, {}}, std::nullopt);
  expect_error(ErrorKind::kInvalidInput, "6 text dimensions",
               [&] { (void)predictor->predict(rows_of(other, 0, 1, 3)); });
}

TEST_P(EveryBaseline, WithoutAPartDoesNotSeeIt) {
  if (GetParam() == Kind::kMean || GetParam() == Kind::kKnn) GTEST_SKIP() << "looks at neither";
  BaselineConfig config = made_config(GetParam());
  config.without_visual = true;
  const auto predictor = make_baseline(config, 1);
  fit(*predictor, rows_);
  const bank::TokenView title = rows_.table.text_tokens(83);
  bank::FeatureTable table(4, 5);
  const std::vector<Float16Bits> bright(4, float_to_half(3.0F));
  table.append({1, 4, bright}, title, std::nullopt);
  table.append({0, 4, {}}, title, std::nullopt);
  const std::vector<float> values = predictor->predict(rows_of(table, 0, 2, 3));
  EXPECT_EQ(values[0], values[1]);
  predictor->save(directory_.path());
  EXPECT_EQ(load_baseline(directory_.path(), 1)->predict(rows_of(table, 0, 2, 3)), values);
}

INSTANTIATE_TEST_SUITE_P(Kinds, EveryBaseline, ::testing::ValuesIn(all_kinds()),
                         [](const auto& test) { return std::string(name_of(test.param)); });

TEST(Baselines, LearnTheSignalThatIsThere) {
  MadeRows rows;
  make_rows(rows);
  const auto error_of = [&](Kind kind) {
    const auto predictor = make_baseline(made_config(kind), 1);
    fit(*predictor, rows);
    const std::vector<float> values = predictor->predict(rows.test);
    double sum = 0.0;
    for (std::size_t i = 0; i < values.size(); ++i) {
      const double error = values[i] - rows.targets[80 + i];
      sum += error * error;
    }
    return sum;
  };
  const double mean = error_of(Kind::kMean);
  EXPECT_LT(error_of(Kind::kRidge), 0.2 * mean);
  EXPECT_LT(error_of(Kind::kSvr), 0.8 * mean);
  EXPECT_LT(error_of(Kind::kHyfea), 0.8 * mean);
}

TEST(Knn, IsTheWeightedMeanOfTheLabelsOrTheMean) {
  MadeRows rows;
  make_rows(rows);
  const auto knn = make_baseline(made_config(Kind::kKnn), 1);
  fit(*knn, rows);
  const TemporaryDirectory directory;
  knn->save(directory.path());
  const BaselineConfig config = load_config(directory / "config.json");
  const std::vector<float> values = knn->predict(rows.test);
  EXPECT_FLOAT_EQ(values[0], static_cast<float>(config.label_mean)) << "row 80 has no instances";
  double sum = 0.0;
  double total = 0.0;
  for (int j = 1; j <= 3; ++j) {
    const double weight = std::exp(config.similarity_scale / j);
    sum += weight * rows.targets[static_cast<std::size_t>(81 + j)];
    total += weight;
  }
  EXPECT_NEAR(values[1], sum / total, 1e-5);
}

TEST(Interrupted, IsHeardByWhatTakesLong) {
  MadeRows rows;
  make_rows(rows);
  std::stop_source stop;
  stop.request_stop();
  for (const Kind kind : {Kind::kRidge, Kind::kSvr, Kind::kHyfea}) {
    const auto predictor = make_baseline(made_config(kind), 1);
    EXPECT_THROW(fit(*predictor, rows, stop.get_token()), mmra::Interrupted) << name_of(kind);
  }
}

TEST(DamagedBaselines, AreRefusedByName) {
  MadeRows rows;
  make_rows(rows);
  const std::pair<Kind, const char*> files[] = {{Kind::kRidge, "model.safetensors"},
                                                {Kind::kSvr, "model.svm"},
                                                {Kind::kSvr, "scaler.safetensors"},
                                                {Kind::kHyfea, "model.ubj"},
                                                {Kind::kMean, "config.json"}};
  for (const auto& [kind, name] : files) {
    const TemporaryDirectory directory;
    const auto predictor = make_baseline(made_config(kind), 1);
    fit(*predictor, rows);
    predictor->save(directory.path());
    const std::string bytes = read_file(directory / name);
    write_file_atomically(directory / name, bytes.substr(0, bytes.size() * 3 / 5));
    expect_error(ErrorKind::kCorruptData, name, [&] { (void)load_baseline(directory.path(), 1); });
    std::filesystem::remove(directory / name);
    expect_error(ErrorKind::kNotFound, name, [&] { (void)load_baseline(directory.path(), 1); });
  }
}

TEST(DamagedTrees, OneChangedByteIsNoticed) {
  MadeRows rows;
  make_rows(rows);
  const TemporaryDirectory directory;
  const auto predictor = make_baseline(made_config(Kind::kHyfea), 1);
  fit(*predictor, rows);
  predictor->save(directory.path());
  std::string bytes = read_file(directory / "model.ubj");
  bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] + 1);
  write_file_atomically(directory / "model.ubj", bytes);
  expect_error(ErrorKind::kCorruptData, "fingerprint",
               [&] { (void)load_baseline(directory.path(), 1); });
}

}  // namespace
}  // namespace mmra::baselines::testing
