#include "mmra/evaluation/bootstrap.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "expect_error.h"

namespace mmra::evaluation {
namespace {

using testing::expect_error;

struct Made {
  std::vector<float> targets;
  std::vector<std::vector<float>> runs;
};

/// Labels with many ties, as counts have, and runs that are wrong by `error` on average.
Made make(std::size_t num_rows, std::size_t num_runs, double error, unsigned seed = 1) {
  std::mt19937 random(seed);
  std::normal_distribution<double> normal;
  Made made;
  for (std::size_t i = 0; i < num_rows; ++i) {
    made.targets.push_back(static_cast<float>(std::log2(1 + static_cast<int>(random() % 40))));
  }
  for (std::size_t run = 0; run < num_runs; ++run) {
    made.runs.emplace_back();
    for (const float target : made.targets) {
      // Rounded, so that predictions tie too.
      made.runs.back().push_back(
          static_cast<float>(std::round(4.0 * (target + error * normal(random))) / 4.0));
    }
  }
  return made;
}

void expect_equal(const std::vector<double>& fast, const std::vector<double>& slow) {
  ASSERT_EQ(fast.size(), slow.size());
  for (std::size_t i = 0; i < fast.size(); ++i) {
    if (std::isnan(slow[i])) {
      EXPECT_TRUE(std::isnan(fast[i])) << i << ": " << fast[i];
    } else {
      EXPECT_NEAR(fast[i], slow[i], 1e-9 * (1.0 + std::abs(slow[i]))) << i;
    }
  }
}

// One batch of all drawn rows is the slow way: the resample is written out and measured by
// compute_metrics, which equals SciPy.
TEST(Bootstrap, CountsGiveWhatTheResampleWrittenOutGives) {
  for (const std::size_t n : {std::size_t{2}, std::size_t{3}, std::size_t{50}, std::size_t{211}}) {
    const Made made = make(n, 3, 1.0);
    const ResampledMetrics fast = resample_metrics(made.runs, made.targets, {100, 7, 0});
    const ResampledMetrics slow = resample_metrics(made.runs, made.targets, {100, 7, n});
    expect_equal(fast.nmse, slow.nmse);
    expect_equal(fast.mae, slow.mae);
    expect_equal(fast.src, slow.src);
  }
}

TEST(Bootstrap, OfBatchesIsTheMeanOverThem) {
  const Made made = make(40, 1, 1.0);
  const ResampledMetrics batches = resample_metrics(made.runs, made.targets, {20, 7, 10});
  const ResampledMetrics whole = resample_metrics(made.runs, made.targets, {20, 7, 0});
  expect_equal(batches.mae, whole.mae);  // batches of one size: the mean of means is the mean
  EXPECT_GT(batches.nmse[0], whole.nmse[0]) << "a batch's own variance is smaller";
}

TEST(Bootstrap, DrawsTheSameRowsForEverySystem) {
  const Made made = make(60, 2, 1.0);
  const std::span<const std::vector<float>> both(made.runs);
  const ResampledMetrics first = resample_metrics(both.first(1), made.targets);
  const ResampledMetrics second = resample_metrics(both.last(1), made.targets);
  const ResampledMetrics mean = resample_metrics(both, made.targets);
  ASSERT_EQ(mean.mae.size(), 1000U);
  for (std::size_t i = 0; i < mean.mae.size(); ++i) {
    EXPECT_NEAR(mean.mae[i], 0.5 * (first.mae[i] + second.mae[i]), 1e-12);
  }
}

// The standard error of a mean of n independent values is their deviation over √n.
TEST(Bootstrap, AnIntervalIsAsWideAsTheStandardErrorSays) {
  std::mt19937 random(3);
  std::exponential_distribution<float> exponential(1.0F);
  const std::vector<float> targets(2000, 0.0F);
  std::vector<float> errors(targets.size());
  for (float& error : errors) error = exponential(random);
  const std::vector<std::vector<float>> runs{errors};
  const ResampledMetrics resampled = resample_metrics(runs, targets, {2000, 1, 0});
  const Interval interval = percentile_interval(resampled.mae, 0.95);
  const double mae = compute_metrics(errors, targets).mae;
  const double expected = 1.96 / std::sqrt(2000.0);  // an exponential's deviation is 1
  EXPECT_NEAR(mae - interval.low, expected, 0.12 * expected);
  EXPECT_NEAR(interval.high - mae, expected, 0.12 * expected);
  EXPECT_TRUE(std::isnan(resampled.nmse.front())) << "targets without variance";
  EXPECT_TRUE(std::isnan(percentile_interval(resampled.src, 0.95).low));
}

// numpy.quantile([1, 2, 3, 4, 10], [0.1, 0.9]) and of one value.
TEST(Bootstrap, IntervalsAreNumPysQuantiles) {
  const Interval interval = percentile_interval({10, 3, 1, 4, 2}, 0.8);
  EXPECT_DOUBLE_EQ(interval.low, 1.4);
  EXPECT_DOUBLE_EQ(interval.high, 7.6);
  EXPECT_DOUBLE_EQ(percentile_interval({5}, 0.9).high, 5.0);
  EXPECT_TRUE(std::isnan(percentile_interval({}, 0.9).low));
  EXPECT_TRUE(std::isnan(percentile_interval({1, std::nan(""), 2}, 0.9).low));
}

TEST(Bootstrap, AComparisonFindsWhichOfTwoIsBetter) {
  const Made good = make(300, 2, 0.8);
  const Made bad = make(300, 2, 1.2);
  ASSERT_EQ(good.targets, bad.targets);
  const ResampledMetrics a = resample_metrics(good.runs, good.targets);
  const ResampledMetrics b = resample_metrics(bad.runs, bad.targets);
  const PerMetric<Difference> difference = compare(a, b, 0.95);
  for (const Difference& d : {difference.nmse, difference.mae}) {
    EXPECT_LT(d.interval.high, 0.0);
    EXPECT_LT(d.interval.low, d.mean);
    EXPECT_GT(d.interval.high, d.mean);
    EXPECT_NEAR(d.p_value, 2.0 / 1001.0, 1e-12) << "no resample says otherwise";
  }
  EXPECT_GT(difference.src.interval.low, 0.0);
  const PerMetric<Difference> reverse = compare(b, a, 0.95);
  EXPECT_NEAR(reverse.mae.mean, -difference.mae.mean, 1e-12);
  EXPECT_NEAR(reverse.mae.interval.low, -difference.mae.interval.high, 1e-12);
  EXPECT_NEAR(reverse.src.p_value, difference.src.p_value, 1e-12);
}

TEST(Bootstrap, ASystemIsNoBetterThanItself) {
  const Made made = make(50, 1, 1.0);
  const ResampledMetrics a = resample_metrics(made.runs, made.targets);
  const PerMetric<Difference> difference = compare(a, a, 0.95);
  EXPECT_EQ(difference.nmse.mean, 0.0);
  EXPECT_EQ(difference.src.p_value, 1.0);
}

// Under no difference the p value is below 0.1 in about a tenth of the cases.
TEST(Bootstrap, EquallyGoodSystemsAreSeldomCalledDifferent) {
  int called = 0;
  constexpr int kCases = 200;
  for (int i = 0; i < kCases; ++i) {
    const Made made = make(80, 2, 1.0, static_cast<unsigned>(i) + 10);
    const std::span<const std::vector<float>> both(made.runs);
    const BootstrapOptions options{200, static_cast<std::uint64_t>(i), 0};
    const auto difference = compare(resample_metrics(both.first(1), made.targets, options),
                                    resample_metrics(both.last(1), made.targets, options), 0.95);
    called += difference.mae.p_value < 0.1 ? 1 : 0;
  }
  EXPECT_GT(called, kCases * 3 / 100);
  EXPECT_LT(called, kCases * 20 / 100);
}

TEST(Bootstrap, AnUndefinedMetricHasNoPValue) {
  const std::vector<float> targets{1, 2, 3};
  const std::vector<std::vector<float>> constant{{2, 2, 2}};
  const std::vector<std::vector<float>> other{{1, 2, 3}};
  const auto difference = compare(resample_metrics(constant, targets, {50, 1, 0}),
                                  resample_metrics(other, targets, {50, 1, 0}), 0.95);
  EXPECT_TRUE(std::isnan(difference.src.p_value));
  EXPECT_TRUE(std::isnan(difference.src.interval.low));
}

TEST(Bootstrap, RefusesWhatItCannotResample) {
  const std::vector<float> targets{1, 2, 3};
  const std::vector<std::vector<float>> none;
  const std::vector<std::vector<float>> short_run{{1, 2, 3}, {1, 2}};
  const std::vector<std::vector<float>> good{{1, 2, 4}};
  expect_error(ErrorKind::kInvalidInput, "at least one run",
               [&] { (void)resample_metrics(none, targets); });
  expect_error(ErrorKind::kInvalidInput, "got 2 and 3",
               [&] { (void)resample_metrics(short_run, targets); });
  expect_error(ErrorKind::kInvalidInput, "one resample, not 0", [&] {
    (void)resample_metrics(good, targets, {0, 1, 0});
  });
  expect_error(ErrorKind::kInvalidInput, "5 and 6", [&] {
    (void)compare(resample_metrics(good, targets, {5, 1, 0}),
                  resample_metrics(good, targets, {6, 1, 0}), 0.95);
  });
}

}  // namespace
}  // namespace mmra::evaluation
