#include "mmra/evaluation/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "mmra/core/error.h"
#include "mmra/core/files.h"

namespace mmra::evaluation {
namespace {

using Json = nlohmann::json;

void expect_metric(double actual, const Json& expected) {
  if (expected.is_null()) {
    EXPECT_TRUE(std::isnan(actual)) << actual;
  } else {
    EXPECT_NEAR(actual, expected.get<double>(), 1e-10 * (1.0 + std::abs(expected.get<double>())));
  }
}

void expect_metrics(const Metrics& actual, const Json& expected) {
  {
    SCOPED_TRACE("nmse");
    expect_metric(actual.nmse, expected.at("nmse"));
  }
  {
    SCOPED_TRACE("mae");
    expect_metric(actual.mae, expected.at("mae"));
  }
  SCOPED_TRACE("src");
  expect_metric(actual.src, expected.at("src"));
}

TEST(Metrics, EqualScipyOnGoldenCases) {
  const Json cases = Json::parse(read_file(MMRA_GOLDEN_DIR "/metrics/cases.json"));
  ASSERT_GE(cases.size(), 12U);
  for (const Json& golden : cases) {
    SCOPED_TRACE(golden.at("name").get<std::string>());
    const auto predictions = golden.at("predictions").get<std::vector<float>>();
    const auto targets = golden.at("targets").get<std::vector<float>>();
    const Metrics whole = compute_metrics(predictions, targets);
    EXPECT_EQ(whole.n, targets.size());
    expect_metrics(whole, golden.at("whole"));
    SCOPED_TRACE("means over batches");
    expect_metrics(compute_batch_mean_metrics(predictions, targets,
                                              golden.at("batch_size").get<std::size_t>()),
                   golden.at("batch_means"));
  }
}

TEST(Metrics, AreThoseOfASmallCaseByHand) {
  const std::vector<float> predictions{1, 2, 2, 5};
  const std::vector<float> targets{1, 3, 2, 4};
  const Metrics metrics = compute_metrics(predictions, targets);
  // Errors 0, −1, 0, 1; the targets' population variance is 1.25.
  EXPECT_DOUBLE_EQ(metrics.nmse, 0.5 / 1.25);
  EXPECT_DOUBLE_EQ(metrics.mae, 0.5);
  // Ranks 1, 2.5, 2.5, 4 against 1, 3, 2, 4: covariance 4.5, variances 4.5 and 5.
  EXPECT_DOUBLE_EQ(metrics.src, 4.5 / std::sqrt(4.5 * 5.0));
}

TEST(Metrics, OfBatchesLargerThanTheRowsAreThoseOfTheWhole) {
  const std::vector<float> predictions{1, 2, 2, 5};
  const std::vector<float> targets{1, 3, 2, 4};
  const Metrics whole = compute_metrics(predictions, targets);
  const Metrics batches = compute_batch_mean_metrics(predictions, targets, 256);
  EXPECT_EQ(batches.n, 4U);
  EXPECT_DOUBLE_EQ(batches.nmse, whole.nmse);
  EXPECT_DOUBLE_EQ(batches.src, whole.src);
}

template <typename Action>
std::string invalid_input_message(Action action) {
  try {
    action();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kInvalidInput);
    return error.what();
  }
  ADD_FAILURE() << "no error";
  return {};
}

TEST(Metrics, RefuseWhatCannotBeMeasured) {
  const std::vector<float> one{1};
  const std::vector<float> two{1, 2};
  const std::vector<float> none;
  const std::vector<float> not_finite{1, std::numeric_limits<float>::infinity()};
  EXPECT_THAT(invalid_input_message([&] { (void)compute_metrics(one, two); }),
              testing::HasSubstr("got 1 and 2"));
  EXPECT_THAT(invalid_input_message([&] { (void)compute_metrics(none, none); }),
              testing::HasSubstr("at least one row"));
  EXPECT_THAT(invalid_input_message([&] { (void)compute_metrics(not_finite, two); }),
              testing::HasSubstr("row 1"));
  EXPECT_THAT(invalid_input_message([&] { (void)compute_metrics(two, not_finite); }),
              testing::HasSubstr("row 1"));
  EXPECT_THAT(invalid_input_message([&] { (void)compute_batch_mean_metrics(two, two, 0); }),
              testing::HasSubstr("batch size"));
}

}  // namespace
}  // namespace mmra::evaluation
