#include "mmra/training/calibration.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <random>
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

class CalibrationFile : public ::testing::Test {
 protected:
  void expect_refused(const Json& json, ErrorKind kind = ErrorKind::kCorruptData) {
    write_file_atomically(file_, json.dump());
    expect_error(kind, file_.string(), [&] { (void)load_calibration(file_); });
  }
  Json good() {
    save_calibration({0.8, 1.25, 321}, file_);
    return Json::parse(read_file(file_));
  }

  TemporaryDirectory directory_;
  std::filesystem::path file_ = directory_ / "calibration.json";
};

TEST_F(CalibrationFile, GivesBackWhatWasSaved) {
  for (const double half_width : {0.0, 1.0 / 3.0, std::numeric_limits<double>::infinity()}) {
    save_calibration({0.95, half_width, 12}, file_);
    const Calibration back = load_calibration(file_);
    EXPECT_EQ(back.level, 0.95);
    EXPECT_EQ(back.half_width_log2, half_width);
    EXPECT_EQ(back.num_rows, 12);
  }
}

TEST_F(CalibrationFile, NeedsEveryNumberAndItsRange) {
  for (const char* key : {"format_version", "level", "half_width_log2", "num_rows"}) {
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
  json["format_version"] = 2;
  expect_refused(json, ErrorKind::kUnsupported);
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
