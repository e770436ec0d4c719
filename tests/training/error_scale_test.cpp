#include "mmra/training/error_scale.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <optional>
#include <random>
#include <vector>

#include "expect_error.h"

namespace mmra::training {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using testing::expect_error;

enum : std::size_t { kPrediction, kSquared, kSpread, kTop, kNoVisual, kNoText, kNoInstance };

const Float16Bits kOne{0x3C00};

/// Rows with labels log2 1, 4 and 16; the second has no text, the third no visual tokens.
bank::FeatureTable made_table() {
  bank::FeatureTable table(1, 1);
  const std::vector<Float16Bits> token{kOne};
  const bank::TokenView there{1, 1, token};
  const bank::TokenView none{0, 1, {}};
  table.append(there, there, 1.0);
  table.append(there, none, 4.0);
  table.append(none, there, 16.0);
  return table;
}

TEST(ErrorSignals, SayWhatIsKnownBeforeTheTruth) {
  const bank::FeatureTable table = made_table();
  const model::Batch batch{&table,
                           {0, 1, 2},
                           &table,
                           3,
                           {1, 2, -1, 2, -1, -1, -1, -1, -1},
                           {0.5F, 0.4F, 0.0F, -0.2F, 0.0F, 0.0F, 0.0F, 0.0F, 0.0F}};
  const std::vector<float> predictions{3.0F, 2.0F, 1.0F};
  const std::vector<ErrorSignals> signals = error_signals(batch, predictions);
  ASSERT_EQ(signals.size(), 3U);
  EXPECT_THAT(signals[0], ElementsAre(3.0, 9.0, 1.0, 0.5, 0.0, 0.0, 0.0))
      << "labels 2 and 4 lie 1 from their mean";
  EXPECT_EQ(signals[1][kSpread], 0.0) << "one instance";
  EXPECT_FLOAT_EQ(static_cast<float>(signals[1][kTop]), -0.2F);
  EXPECT_EQ(signals[1][kNoText], 1.0);
  EXPECT_EQ(signals[1][kNoInstance], 0.0);
  EXPECT_THAT(signals[2], ElementsAre(1.0, 1.0, 0.0, 0.0, 1.0, 0.0, 1.0));
}

struct Made {
  std::vector<ErrorSignals> signals;
  std::vector<float> predictions;
  std::vector<float> targets;
};

/// Errors whose size is 1 + slope · spread, spread between −1 and 1.
Made make(std::size_t rows, double slope, unsigned seed = 3) {
  std::mt19937 random(seed);
  std::normal_distribution<double> normal;
  std::uniform_real_distribution<double> uniform(-1.0, 1.0);
  Made made;
  for (std::size_t i = 0; i < rows; ++i) {
    ErrorSignals signals{};
    signals[kPrediction] = 5.0 + normal(random);
    signals[kSquared] = signals[kPrediction] * signals[kPrediction];
    signals[kSpread] = uniform(random);
    signals[kTop] = uniform(random);
    made.signals.push_back(signals);
    made.predictions.push_back(static_cast<float>(signals[kPrediction]));
    made.targets.push_back(static_cast<float>(signals[kPrediction] +
                                              normal(random) * (1.0 + slope * signals[kSpread])));
  }
  return made;
}

TEST(ErrorScale, FindsWhatErrorsDependOn) {
  const Made made = make(1000, 0.7);
  const ErrorScale scale = fit_error_scale(made.signals, made.predictions, made.targets);
  ErrorSignals low{};
  low[kPrediction] = 5.0;
  low[kSquared] = 26.0;
  ErrorSignals high = low;
  low[kSpread] = -0.8;
  high[kSpread] = 0.8;
  EXPECT_NEAR(scale(low), 1.0 - 0.7 * 0.8, 0.15);
  EXPECT_NEAR(scale(high), 1.0 + 0.7 * 0.8, 0.15);
  double mean = 0.0;
  for (const ErrorSignals& signals : made.signals) mean += scale(signals) / 1000.0;
  EXPECT_NEAR(mean, 1.0, 0.05);
}

TEST(ErrorScale, IsOneWhereNothingIsToBeFound) {
  int flat = 0;
  for (unsigned seed = 0; seed < 20; ++seed) {
    const Made made = make(300, 0.0, seed);
    const ErrorScale scale = fit_error_scale(made.signals, made.predictions, made.targets);
    double largest = 0.0;
    for (const ErrorSignals& signals : made.signals) {
      largest = std::max(largest, std::abs(scale(signals) - 1.0));
    }
    flat += largest < 0.25 ? 1 : 0;
  }
  EXPECT_GE(flat, 16) << "chance is seldom taken for a signal";
}

TEST(ErrorScale, OfFewRowsOrNoErrorIsOneEverywhere) {
  const Made few = make(49, 0.9);
  EXPECT_THAT(fit_error_scale(few.signals, few.predictions, few.targets).weights, Each(0.0));
  Made perfect = make(100, 0.9);
  perfect.targets = perfect.predictions;
  const ErrorScale scale = fit_error_scale(perfect.signals, perfect.predictions, perfect.targets);
  EXPECT_THAT(scale.weights, Each(0.0));
  EXPECT_EQ(scale(perfect.signals[0]), 1.0);
  const ErrorScale none = fit_error_scale({}, {}, {});
  EXPECT_EQ(none(ErrorSignals{}), 1.0);
}

TEST(ErrorScale, StaysBetweenItsBoundsAndIgnoresWhatNeverVaried) {
  const Made made = make(1000, 0.9);
  const ErrorScale scale = fit_error_scale(made.signals, made.predictions, made.targets);
  ErrorSignals extreme{};
  extreme[kPrediction] = 5.0;
  extreme[kSquared] = 26.0;
  extreme[kSpread] = 1e6;
  const double far = scale(extreme);
  EXPECT_LE(far, ErrorScale::kHighest);
  EXPECT_GT(far, 1.5);
  extreme[kSpread] = 1e9;
  EXPECT_EQ(scale(extreme), far) << "beyond the edge all is alike";
  extreme[kSpread] = -1e6;
  EXPECT_EQ(scale(extreme), ErrorScale::kLowest);
  ErrorSignals usual = made.signals[0];
  const double before = scale(usual);
  usual[kNoVisual] = 1.0;  // no row was without visual tokens
  EXPECT_NEAR(scale(usual), before, 1e-12);
}

TEST(ErrorScale, AFlagOfAFewRowsSaysNothing) {
  for (const std::size_t num_flagged : {std::size_t{2}, std::size_t{100}}) {
    Made made = make(500, 0.0);
    for (std::size_t i = 0; i < made.signals.size(); ++i) {
      made.signals[i][kNoVisual] = i < num_flagged ? 0.0 : 1.0;
      if (i < num_flagged) made.targets[i] = made.predictions[i] + 5.0F;
    }
    const ErrorScale scale = fit_error_scale(made.signals, made.predictions, made.targets);
    ErrorSignals with = made.signals[200];
    ErrorSignals without = with;
    with[kNoVisual] = 0.0;
    without[kNoVisual] = 1.0;
    if (num_flagged == 2) {
      EXPECT_NEAR(scale(with), scale(without), 1e-12);
    } else {
      EXPECT_GT(scale(with), 2.0 * scale(without));
    }
  }
}

TEST(ErrorScale, RefusesRowsThatDoNotFit) {
  Made made = make(60, 0.5);
  expect_error(ErrorKind::kInvalidInput, "got 60, 59 and 60", [&] {
    (void)fit_error_scale(made.signals, std::span(made.predictions).first(59), made.targets);
  });
  made.signals[7][kTop] = std::nan("");
  expect_error(ErrorKind::kInvalidInput, "row 7",
               [&] { (void)fit_error_scale(made.signals, made.predictions, made.targets); });
}

}  // namespace
}  // namespace mmra::training
