#include "mmra/training/calibration.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "mmra/core/error.h"
#include "mmra/core/files.h"

namespace mmra::training {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kFormatVersion = 2;  // 1 had no scale

void check_level(double level) {
  if (!(level > 0.0 && level < 1.0)) {
    throw Error(ErrorKind::kInvalidInput, "the level of an interval is " + std::to_string(level) +
                                              ", it must be between 0 and 1");
  }
}

Json scale_json(const ErrorScale& scale) {
  Json json = Json::object();
  for (std::size_t s = 0; s < kErrorSignals.size(); ++s) {
    json[std::string(kErrorSignals[s])] = {
        {"mean", scale.mean[s]}, {"deviation", scale.deviation[s]}, {"weight", scale.weights[s]}};
  }
  return json;
}

ErrorScale parse_scale(const Json& json) {
  ErrorScale scale;
  for (std::size_t s = 0; s < kErrorSignals.size(); ++s) {
    const Json& signal = json.at(std::string(kErrorSignals[s]));
    scale.mean[s] = signal.at("mean").get<double>();
    scale.deviation[s] = signal.at("deviation").get<double>();
    scale.weights[s] = signal.at("weight").get<double>();
  }
  return scale;
}

Calibration parse(std::string_view text, const std::string& origin) {
  const Json json = Json::parse(text);
  const int version = json.at("format_version").get<int>();
  if (version < 1 || version > kFormatVersion) {
    throw Error(ErrorKind::kUnsupported,
                origin + " has the format version " + std::to_string(version) +
                    ", this program reads 1 to " + std::to_string(kFormatVersion));
  }
  Calibration calibration;
  calibration.level = json.at("level").get<double>();
  const Json& half_width = json.at("half_width_log2");
  calibration.half_width_log2 =
      half_width.is_null() ? std::numeric_limits<double>::infinity() : half_width.get<double>();
  calibration.num_rows = json.at("num_rows").get<std::int64_t>();
  if (version >= 2 && !json.at("scale").is_null())
    calibration.scale = parse_scale(json.at("scale"));
  return calibration;
}

bool is_in_range(const Calibration& calibration) {
  if (!(calibration.level > 0.0 && calibration.level < 1.0) ||
      !(calibration.half_width_log2 >= 0.0) || calibration.num_rows < 1) {
    return false;
  }
  if (!calibration.scale) return true;
  // Far beyond what any bank gives, and no sum of such terms overflows.
  const auto is_moderate = [](double value) { return std::abs(value) <= 1e9; };
  const ErrorScale& scale = *calibration.scale;
  return std::all_of(scale.mean.begin(), scale.mean.end(), is_moderate) &&
         std::all_of(scale.weights.begin(), scale.weights.end(), is_moderate) &&
         std::all_of(scale.deviation.begin(), scale.deviation.end(),
                     [](double deviation) { return deviation >= 1e-12; });
}

void check_rows(std::span<const float> predictions, std::span<const float> targets) {
  if (!predictions.empty() && predictions.size() == targets.size()) return;
  throw Error(ErrorKind::kInvalidInput,
              "an interval needs calibration rows with a prediction and a target each, got " +
                  std::to_string(predictions.size()) + " and " + std::to_string(targets.size()));
}

/// The conformal quantile of `scores`.
Calibration calibrate(std::vector<double> scores, double level) {
  for (std::size_t i = 0; i < scores.size(); ++i) {
    if (!std::isfinite(scores[i])) {
      throw Error(ErrorKind::kInvalidInput,
                  "calibration row " + std::to_string(i) + " is not a finite number");
    }
  }
  const auto n = static_cast<double>(scores.size());
  // The subtraction keeps a product such as 10 · 0.7 = 7.000…01 from being rounded up to 8.
  const auto rank = static_cast<std::size_t>(std::ceil((n + 1.0) * level - 1e-9));
  Calibration calibration;
  calibration.level = level;
  calibration.half_width_log2 = std::numeric_limits<double>::infinity();
  calibration.num_rows = static_cast<std::int64_t>(scores.size());
  if (rank > scores.size()) return calibration;
  const auto nth = scores.begin() + static_cast<std::ptrdiff_t>(std::max<std::size_t>(rank, 1)) - 1;
  std::nth_element(scores.begin(), nth, scores.end());
  calibration.half_width_log2 = *nth;
  return calibration;
}

std::vector<double> absolute_errors(std::span<const float> predictions,
                                    std::span<const float> targets) {
  std::vector<double> errors;
  for (std::size_t i = 0; i < targets.size(); ++i) {
    errors.push_back(
        std::abs(static_cast<double>(targets[i]) - static_cast<double>(predictions[i])));
  }
  return errors;
}

}  // namespace

Calibration calibrate_conformal(std::span<const float> predictions, std::span<const float> targets,
                                double level) {
  check_level(level);
  check_rows(predictions, targets);
  return calibrate(absolute_errors(predictions, targets), level);
}

Calibration calibrate_conformal(std::span<const float> predictions, std::span<const float> targets,
                                double level, const ErrorScale& scale,
                                std::span<const ErrorSignals> signals) {
  check_level(level);
  check_rows(predictions, targets);
  if (signals.size() != targets.size()) {
    throw Error(ErrorKind::kInvalidInput, "calibration rows need signals each, got " +
                                              std::to_string(signals.size()) + " for " +
                                              std::to_string(targets.size()));
  }
  std::vector<double> scores = absolute_errors(predictions, targets);
  for (std::size_t i = 0; i < scores.size(); ++i) scores[i] /= scale(signals[i]);
  Calibration calibration = calibrate(std::move(scores), level);
  calibration.scale = scale;
  return calibration;
}

void save_calibration(const Calibration& calibration, const std::filesystem::path& file) {
  Json json = {{"format_version", kFormatVersion},
               {"method", "locally scaled split conformal"},
               {"level", calibration.level},
               {"half_width_log2", nullptr},
               {"num_rows", calibration.num_rows},
               {"scale", calibration.scale ? scale_json(*calibration.scale) : Json(nullptr)}};
  // Infinite (too few rows for the level) stays null: JSON has no infinity.
  if (std::isfinite(calibration.half_width_log2)) {
    json["half_width_log2"] = calibration.half_width_log2;
  }
  write_file_atomically(file, json.dump(2) + "\n");
}

Calibration parse_calibration(std::string_view text, const std::string& origin) {
  Calibration calibration;
  try {
    calibration = parse(text, origin);
  } catch (const Json::exception& error) {
    throw Error(ErrorKind::kCorruptData,
                origin + " is not a calibration (" + error.what() + "); train the model again");
  }
  if (!is_in_range(calibration)) {
    throw Error(ErrorKind::kCorruptData,
                origin +
                    " has a level, a width, a scale or a number of rows out of range; train the "
                    "model again");
  }
  return calibration;
}

Calibration load_calibration(const std::filesystem::path& file) {
  return parse_calibration(read_file(file), file.string());
}

}  // namespace mmra::training
