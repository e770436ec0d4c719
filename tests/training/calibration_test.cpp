#include "mmra/training/calibration.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "expect_error.h"
#include "mmra/core/files.h"
#include "test_files.h"

namespace mmra::training {
namespace {

using Json = nlohmann::ordered_json;
using testing::expect_error;
using testing::TemporaryDirectory;

/// Errors of both signs, their sizes 1 … n in no order.
Calibration calibrate_sizes(int n, double level) {
  std::vector<float> predictions;
  std::vector<float> targets;
  for (int i = 1; i <= n; ++i) {
    predictions.push_back(3.0F);
    targets.push_back(3.0F + static_cast<float>(i % 2 == 0 ? i : -i));
  }
  std::mt19937 random(1);
  std::shuffle(targets.begin(), targets.end(), random);
  return calibrate_conformal(predictions, targets, level);
}

/// In whole numbers: level = percent / 100, rank = ⌈(n+1) · percent / 100⌉.
TEST(Calibration, TakesTheErrorOfTheConformalRank) {
  for (int n = 1; n <= 250; ++n) {
    for (const int percent : {1, 7, 10, 50, 55, 70, 80, 90, 95, 99}) {
      SCOPED_TRACE(std::to_string(n) + " rows, " + std::to_string(percent) + " %");
      const int rank = ((n + 1) * percent + 99) / 100;
      const Calibration calibration = calibrate_sizes(n, percent / 100.0);
      EXPECT_EQ(calibration.num_rows, n);
      EXPECT_EQ(calibration.level, percent / 100.0);
      if (rank <= n) {
        EXPECT_EQ(calibration.half_width_log2, rank);
      } else {
        EXPECT_EQ(calibration.half_width_log2, std::numeric_limits<double>::infinity());
      }
    }
  }
}

TEST(Calibration, IsInfiniteWhereTheRowsAreTooFewForTheLevel) {
  EXPECT_TRUE(std::isinf(calibrate_sizes(3, 0.8).half_width_log2));
  EXPECT_EQ(calibrate_sizes(4, 0.8).half_width_log2, 4.0);
  EXPECT_TRUE(std::isinf(calibrate_sizes(18, 0.95).half_width_log2));
  EXPECT_EQ(calibrate_sizes(19, 0.95).half_width_log2, 19.0);
}

/// Coverage over draws of calibration rows and a new row is at least the level, and at most
/// 1/(n+1) more, whatever the errors' distribution: here skewed and heavy-tailed.
TEST(Calibration, CoversNewRowsAsOftenAsItPromises) {
  constexpr int kRuns = 20000;
  std::mt19937 random(2024);
  std::student_t_distribution<double> heavy(2.0);
  std::exponential_distribution<double> skewed(0.5);
  for (const auto& [n, level] : {std::pair{9, 0.8}, {20, 0.5}, {33, 0.9}}) {
    int covered = 0;
    std::vector<float> predictions(static_cast<std::size_t>(n));
    std::vector<float> targets(predictions.size());
    for (int run = 0; run < kRuns; ++run) {
      for (std::size_t i = 0; i < targets.size(); ++i) {
        predictions[i] = static_cast<float>(heavy(random));
        targets[i] = predictions[i] + static_cast<float>(heavy(random) + skewed(random));
      }
      const Calibration calibration = calibrate_conformal(predictions, targets, level);
      const double error = heavy(random) + skewed(random);
      covered += std::abs(error) <= calibration.half_width_log2 ? 1 : 0;
    }
    const double coverage = static_cast<double>(covered) / kRuns;
    const double noise = 4.0 * std::sqrt(level * (1.0 - level) / kRuns);
    EXPECT_GT(coverage, level - noise) << n;
    EXPECT_LT(coverage, level + 1.0 / (n + 1) + noise) << n;
  }
}

TEST(Calibration, RefusesWhatItCannotCalibrateOn) {
  const std::vector<float> two{1.0F, 2.0F};
  const std::vector<float> three{1.0F, 2.0F, 3.0F};
  const auto expect_invalid = [](const std::vector<float>& predictions,
                                 const std::vector<float>& targets, double level,
                                 const std::string& part) {
    expect_error(ErrorKind::kInvalidInput, part,
                 [&] { (void)calibrate_conformal(predictions, targets, level); });
  };
  expect_invalid({}, {}, 0.8, "got 0 and 0");
  expect_invalid(two, three, 0.8, "got 2 and 3");
  for (const double level : {0.0, 1.0, -0.1, 1.5, std::nan("")}) {
    expect_invalid(two, two, level, "between 0 and 1");
  }
  expect_invalid({1.0F, NAN}, two, 0.8, "row 1");
  expect_invalid(two, {INFINITY, 1.0F}, 0.8, "row 0");
}

ErrorScale made_scale() {
  ErrorScale scale;
  for (std::size_t s = 0; s < kErrorSignals.size(); ++s) {
    scale.mean[s] = 0.1 * static_cast<double>(s);
    scale.deviation[s] = 1.0 + 0.3 * static_cast<double>(s);
    scale.weights[s] = 0.05 * (static_cast<double>(s) - 3.0);
  }
  return scale;
}

// Errors are three times as large in one half of the rows: one width for all would hold nearly
// every row of the easy half and too few of the other.
TEST(ScaledCalibration, HoldsEasyAndHardRowsAlike) {
  std::mt19937 random(7);
  std::normal_distribution<double> normal;
  ErrorScale scale;
  scale.deviation.fill(1.0);
  scale.weights[2] = 0.5;  // 0.5 and 1.5 of the average
  constexpr std::size_t kRows = 4000;
  std::vector<float> predictions(kRows, 5.0F);
  std::vector<float> targets;
  std::vector<ErrorSignals> signals(kRows, ErrorSignals{});
  const auto draw = [&](std::size_t i) { return 5.0 + normal(random) * (i % 2 == 0 ? 0.5 : 1.5); };
  for (std::size_t i = 0; i < kRows; ++i) {
    signals[i][2] = i % 2 == 0 ? -1.0 : 1.0;
    targets.push_back(static_cast<float>(draw(i)));
  }
  const Calibration scaled = calibrate_conformal(predictions, targets, 0.8, scale, signals);
  const Calibration constant = calibrate_conformal(predictions, targets, 0.8);
  EXPECT_NEAR(scaled.half_width_log2, 1.2816, 0.05) << "the normal quantile";
  std::array<double, 2> held{};
  std::array<double, 2> held_by_constant{};
  for (std::size_t i = 0; i < kRows; ++i) {
    const double error = std::abs(draw(i) - 5.0);
    held.at(i % 2) += error <= scaled.half_width(signals[i]) ? 2.0 / kRows : 0.0;
    held_by_constant.at(i % 2) += error <= constant.half_width(signals[i]) ? 2.0 / kRows : 0.0;
  }
  EXPECT_NEAR(held[0], 0.8, 0.03);
  EXPECT_NEAR(held[1], 0.8, 0.03);
  EXPECT_GT(held_by_constant[0], 0.95);
  EXPECT_LT(held_by_constant[1], 0.7);
}

TEST(ScaledCalibration, IsTheConformalRankOfTheScaledErrors) {
  ErrorScale scale;
  scale.deviation.fill(1.0);
  scale.weights[0] = 1.0;
  const std::vector<float> predictions{0, 0, 0, 0};
  const std::vector<float> targets{1, -3, 2, 4};
  std::vector<ErrorSignals> signals(4, ErrorSignals{});
  signals[1][0] = 1.0;  // twice the average: |−3| counts as 1.5
  signals[3][0] = 9.0;  // as large as it gets, 2.5: 4 counts as 1.6
  // Scores 1, 1.5, 2, 1.6; of five ranks 0.6 takes the third.
  EXPECT_DOUBLE_EQ(calibrate_conformal(predictions, targets, 0.6, scale, signals).half_width_log2,
                   1.6);
  expect_error(ErrorKind::kInvalidInput, "got 4 for 3", [&] {
    (void)calibrate_conformal(std::span(predictions).first(3), std::span(targets).first(3), 0.6,
                              scale, signals);
  });
}

/// By the definition, over all pairs i ≠ j.
double share_of_pairs(const std::vector<double>& errors, double reach) {
  double right = 0.0;
  double pairs = 0.0;
  for (std::size_t i = 0; i < errors.size(); ++i) {
    for (std::size_t j = 0; j < errors.size(); ++j) {
      if (i == j) continue;
      pairs += 1.0;
      const double apart = errors[i] - errors[j];
      right += apart < reach ? 1.0 : apart == reach ? 0.5 : 0.0;
    }
  }
  return right / pairs;
}

TEST(SignConfidence, IsTheShareOfPairsOfErrorsThatADifferenceOutweighs) {
  const std::vector<float> predictions(7, 0.0F);
  const std::vector<float> targets{2.0F, -1.0F, 0.5F, 0.5F, -3.0F, 1.0F, 0.0F};
  const Calibration calibration = calibrate_conformal(predictions, targets, 0.5);
  EXPECT_EQ(calibration.error_quantiles, (std::vector<double>{-3, -1, 0, 0.5, 0.5, 1, 2}));
  for (const double difference : {0.0, 0.25, 0.5, 1.0, 2.5, 4.0, 5.0, 9.0}) {
    for (const double scale : {0.5, 1.0, 2.0}) {
      SCOPED_TRACE(std::to_string(difference) + " at scale " + std::to_string(scale));
      const double share = share_of_pairs(calibration.error_quantiles, difference / scale);
      EXPECT_DOUBLE_EQ(calibration.sign_confidence(difference, scale).value(),
                       std::max(0.5, share * 7.0 / 8.0));
    }
  }
}

TEST(SignConfidence, IsThatOfNormalErrors) {
  std::mt19937 random(7);
  std::normal_distribution<float> error(0.4F, 1.5F);  // a bias is shared, so it does not count
  std::vector<float> targets(4000);
  for (float& target : targets) target = error(random);
  const std::vector<float> predictions(targets.size(), 0.0F);
  const Calibration calibration = calibrate_conformal(predictions, targets, 0.8);
  EXPECT_EQ(calibration.error_quantiles.size(), Calibration::kMaxErrorQuantiles);
  for (const double difference : {0.0, 0.3, 1.0, 3.0, 6.0}) {
    // The difference of two is normal with deviation √2 · 1.5: Φ(x) = erfc(−x / √2) / 2.
    EXPECT_NEAR(calibration.sign_confidence(difference, 1.0).value(),
                std::erfc(-difference / 1.5 / 2.0) / 2.0, 0.015);
  }
}

TEST(SignConfidence, OfFewRowsPromisesLittleAndOfNoneNothing) {
  const std::vector<float> zero(4, 0.0F);
  EXPECT_DOUBLE_EQ(calibrate_conformal(zero, zero, 0.5).sign_confidence(100.0, 1.0).value(), 0.8);
  EXPECT_DOUBLE_EQ(calibrate_conformal({zero.data(), 1}, {zero.data(), 1}, 0.5)
                       .sign_confidence(1.0, 1.0)
                       .value(),
                   0.5);
  EXPECT_FALSE((Calibration{0.8, 1.0, 12, std::nullopt, {}}.sign_confidence(1.0, 1.0)));
}

class CalibrationFile : public ::testing::Test {
 protected:
  void expect_refused(const Json& json, ErrorKind kind = ErrorKind::kCorruptData) {
    write_file_atomically(file_, json.dump());
    expect_error(kind, file_.string(), [&] { (void)load_calibration(file_); });
  }
  Json good() {
    Calibration calibration{0.8, 1.25, 321, made_scale()};
    save_calibration(calibration, file_);
    return Json::parse(read_file(file_));
  }

  TemporaryDirectory directory_;
  std::filesystem::path file_ = directory_ / "calibration.json";
};

TEST_F(CalibrationFile, GivesBackWhatWasSaved) {
  for (const double half_width : {0.0, 1.0 / 3.0, std::numeric_limits<double>::infinity()}) {
    save_calibration({0.95, half_width, 12, std::nullopt}, file_);
    const Calibration back = load_calibration(file_);
    EXPECT_EQ(back.level, 0.95);
    EXPECT_EQ(back.half_width_log2, half_width);
    EXPECT_EQ(back.num_rows, 12);
    EXPECT_FALSE(back.scale.has_value());
  }
}

TEST_F(CalibrationFile, GivesBackTheErrorsAndRefusesOnesThatAreNone) {
  const std::vector<double> errors{-1.5, 0.0, 0.0, 1.0 / 3.0};
  save_calibration({0.8, 1.0, 4, std::nullopt, errors}, file_);
  EXPECT_EQ(load_calibration(file_).error_quantiles, errors);
  Json json = good();
  json.erase("error_quantiles");
  write_file_atomically(file_, json.dump());
  EXPECT_EQ(load_calibration(file_).error_quantiles, std::vector<double>{});
  for (const Json& fault : {Json(1.0), Json::array({"1"}), Json::array({1.0, 0.0}),
                            Json::array({0.0, 1e300}), Json(std::vector<double>(202, 0.0))}) {
    json["error_quantiles"] = fault;
    expect_refused(json);
  }
}

TEST_F(CalibrationFile, GivesBackTheScale) {
  (void)good();
  const Calibration back = load_calibration(file_);
  ASSERT_TRUE(back.scale.has_value());
  EXPECT_EQ(back.scale->mean, made_scale().mean);
  EXPECT_EQ(back.scale->deviation, made_scale().deviation);
  EXPECT_EQ(back.scale->weights, made_scale().weights);
  EXPECT_EQ(back.half_width(ErrorSignals{}), 1.25 * made_scale()(ErrorSignals{}));
}

TEST_F(CalibrationFile, ReadsTheFirstVersionWhichHadNoScale) {
  write_file_atomically(file_,
                        R"({"format_version": 1, "method": "split conformal", "level": 0.8,
                            "half_width_log2": 1.5, "num_rows": 987})");
  const Calibration old = load_calibration(file_);
  EXPECT_EQ(old.num_rows, 987);
  EXPECT_FALSE(old.scale.has_value());
  ErrorSignals any{};
  any.fill(3.0);
  EXPECT_EQ(old.half_width(any), 1.5);
}

TEST_F(CalibrationFile, NeedsEverySignalOfTheScale) {
  for (const std::string_view signal : kErrorSignals) {
    const std::string name(signal);
    SCOPED_TRACE(name);
    Json json = good();
    json["scale"].erase(name);
    expect_refused(json);
    for (const char* key : {"mean", "deviation", "weight"}) {
      json = good();
      json["scale"][name].erase(key);
      expect_refused(json);
      json = good();
      json["scale"][name][key] = "1";
      expect_refused(json);
    }
    for (const auto& [key, value] :
         {std::pair{"deviation", 0.0}, {"deviation", -1.0}, {"mean", 1e300}, {"weight", -1e300}}) {
      json = good();
      json["scale"][name][key] = value;
      expect_refused(json);
    }
  }
}

TEST_F(CalibrationFile, NeedsEveryNumberAndItsRange) {
  for (const char* key : {"format_version", "level", "half_width_log2", "num_rows", "scale"}) {
    SCOPED_TRACE(key);
    Json json = good();
    json.erase(key);
    expect_refused(json);
    json = good();
    json[key] = "1";
    expect_refused(json);
  }
  const std::vector<std::pair<const char*, Json>> faults{
      {"level", 0},    {"level", 1},     {"level", -0.5},   {"half_width_log2", -1e-9},
      {"num_rows", 0}, {"num_rows", -3}, {"level", nullptr}};
  for (const auto& [key, value] : faults) {
    SCOPED_TRACE(key);
    Json json = good();
    json[key] = value;
    expect_refused(json);
  }
  expect_refused(Json::array());
  Json json = good();
  json["format_version"] = 3;
  expect_refused(json, ErrorKind::kUnsupported);
}

TEST_F(CalibrationFile, TakesNoOtherValueForAWholeNumber) {
  for (const char* key : {"format_version", "num_rows"}) {
    for (const Json& value : {Json(2.0), Json(1.5), Json(1e300), Json(true),
                              Json(std::numeric_limits<std::uint64_t>::max())}) {
      SCOPED_TRACE(key + (" = " + value.dump()));
      Json json = good();
      json[key] = value;
      expect_refused(json);
    }
  }
}

TEST_F(CalibrationFile, CutAnywhereIsRefused) {
  good();
  const std::string text = read_file(file_);
  for (std::size_t size = 0; size + 2 < text.size(); ++size) {
    write_file_atomically(file_, text.substr(0, size));
    expect_error(ErrorKind::kCorruptData, file_.string(), [&] { (void)load_calibration(file_); });
  }
  std::filesystem::remove(file_);
  expect_error(ErrorKind::kNotFound, file_.string(), [&] { (void)load_calibration(file_); });
}

}  // namespace
}  // namespace mmra::training
