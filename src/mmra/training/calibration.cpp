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

constexpr int kFormatVersion = 1;

void check_level(double level) {
  if (!(level > 0.0 && level < 1.0)) {
    throw Error(ErrorKind::kInvalidInput, "the level of an interval is " + std::to_string(level) +
                                              ", it must be between 0 and 1");
  }
}

Calibration parse(const std::string& text, const std::string& origin) {
  const Json json = Json::parse(text);
  if (const int version = json.at("format_version").get<int>(); version != kFormatVersion) {
    throw Error(ErrorKind::kUnsupported, origin + " has the format version " +
                                             std::to_string(version) + ", this program reads " +
                                             std::to_string(kFormatVersion));
  }
  Calibration calibration;
  calibration.level = json.at("level").get<double>();
  const Json& half_width = json.at("half_width_log2");
  calibration.half_width_log2 =
      half_width.is_null() ? std::numeric_limits<double>::infinity() : half_width.get<double>();
  calibration.num_rows = json.at("num_rows").get<std::int64_t>();
  return calibration;
}

}  // namespace

Calibration calibrate_conformal(std::span<const float> predictions, std::span<const float> targets,
                                double level) {
  check_level(level);
  if (predictions.empty() || predictions.size() != targets.size()) {
    throw Error(ErrorKind::kInvalidInput,
                "an interval needs calibration rows with a prediction and a target each, got " +
                    std::to_string(predictions.size()) + " and " + std::to_string(targets.size()));
  }
  std::vector<double> errors;
  for (std::size_t i = 0; i < targets.size(); ++i) {
    errors.push_back(
        std::abs(static_cast<double>(targets[i]) - static_cast<double>(predictions[i])));
    if (!std::isfinite(errors.back())) {
      throw Error(ErrorKind::kInvalidInput,
                  "calibration row " + std::to_string(i) + " is not a finite number");
    }
  }
  const auto n = static_cast<double>(errors.size());
  // The subtraction keeps a product such as 10 · 0.7 = 7.000…01 from being rounded up to 8.
  const auto rank = static_cast<std::size_t>(std::ceil((n + 1.0) * level - 1e-9));
  Calibration calibration{level, std::numeric_limits<double>::infinity(),
                          static_cast<std::int64_t>(errors.size())};
  if (rank > errors.size()) return calibration;
  const auto nth = errors.begin() + static_cast<std::ptrdiff_t>(std::max<std::size_t>(rank, 1)) - 1;
  std::nth_element(errors.begin(), nth, errors.end());
  calibration.half_width_log2 = *nth;
  return calibration;
}

void save_calibration(const Calibration& calibration, const std::filesystem::path& file) {
  Json json = {{"format_version", kFormatVersion},
               {"method", "split conformal"},
               {"level", calibration.level},
               {"half_width_log2", nullptr},
               {"num_rows", calibration.num_rows}};
  // Infinite (too few rows for the level) stays null: JSON has no infinity.
  if (std::isfinite(calibration.half_width_log2)) {
    json["half_width_log2"] = calibration.half_width_log2;
  }
  write_file_atomically(file, json.dump(2) + "\n");
}

Calibration load_calibration(const std::filesystem::path& file) {
  const std::string text = read_file(file);
  const std::string origin = file.string();
  Calibration calibration;
  try {
    calibration = parse(text, origin);
  } catch (const Json::exception& error) {
    throw Error(ErrorKind::kCorruptData,
                origin + " is not a calibration (" + error.what() + "); train the model again");
  }
  if (!(calibration.level > 0.0 && calibration.level < 1.0) ||
      !(calibration.half_width_log2 >= 0.0) || calibration.num_rows < 1) {
    throw Error(ErrorKind::kCorruptData,
                origin +
                    " has a level, a width or a number of rows out of range; train the model "
                    "again");
  }
  return calibration;
}

}  // namespace mmra::training
