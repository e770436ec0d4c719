#include "mmra/training/calibration.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "mmra/core/error.h"
#include "mmra/core/files.h"
#include "mmra/model/strict_reader.h"

namespace mmra::training {
namespace {

using Json = nlohmann::ordered_json;
using model::StrictReader;

constexpr int kFormatVersion = 2;  // 1 had no scale
constexpr const char* kAdvice = "train the model again";

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

ErrorScale read_scale(StrictReader signals) {
  ErrorScale scale;
  for (std::size_t s = 0; s < kErrorSignals.size(); ++s) {
    StrictReader signal = signals.below(std::string(kErrorSignals[s]));
    signal.read("mean", scale.mean[s]);
    signal.read("deviation", scale.deviation[s]);
    signal.read("weight", scale.weights[s]);
  }
  return scale;
}

std::vector<double> quantiles_of(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  constexpr std::size_t kCount = Calibration::kMaxErrorQuantiles;
  if (values.size() <= kCount) return values;
  std::vector<double> quantiles;
  for (std::size_t i = 0; i < kCount; ++i) {
    quantiles.push_back(values[(i * (values.size() - 1) + (kCount - 1) / 2) / (kCount - 1)]);
  }
  return quantiles;
}

Calibration read_calibration(StrictReader& reader) {
  int version = 0;
  reader.read("format_version", version);
  if (version < 1 || version > kFormatVersion) {
    throw Error(ErrorKind::kUnsupported,
                reader.origin() + " has the format version " + std::to_string(version) +
                    ", this program reads 1 to " + std::to_string(kFormatVersion));
  }
  Calibration calibration;
  reader.read("level", calibration.level);
  reader.read_number_or_null("half_width_log2", std::numeric_limits<double>::infinity(),
                             calibration.half_width_log2);
  reader.read("num_rows", calibration.num_rows);
  if (version >= 2) {
    if (!reader.take("scale").is_null()) calibration.scale = read_scale(reader.below("scale"));
  }
  if (reader.has("error_quantiles")) reader.read("error_quantiles", calibration.error_quantiles);
  return calibration;
}

bool is_in_range(const Calibration& calibration) {
  if (!(calibration.level > 0.0 && calibration.level < 1.0) ||
      !(calibration.half_width_log2 >= 0.0) || calibration.num_rows < 1) {
    return false;
  }
  // Far beyond what any bank gives, and no sum of such terms overflows.
  const auto is_moderate = [](double value) { return std::abs(value) <= 1e9; };
  const std::vector<double>& errors = calibration.error_quantiles;
  if (errors.size() > Calibration::kMaxErrorQuantiles ||
      !std::all_of(errors.begin(), errors.end(), is_moderate) ||
      !std::is_sorted(errors.begin(), errors.end())) {
    return false;
  }
  if (!calibration.scale) return true;
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

/// The conformal quantile of the absolute `errors`, (target − prediction) / scale.
Calibration calibrate(std::vector<double> errors, double level) {
  for (std::size_t i = 0; i < errors.size(); ++i) {
    if (!std::isfinite(errors[i])) {
      throw Error(ErrorKind::kInvalidInput,
                  "calibration row " + std::to_string(i) + " is not a finite number");
    }
  }
  const auto n = static_cast<double>(errors.size());
  // The subtraction keeps a product such as 10 · 0.7 = 7.000…01 from being rounded up to 8.
  const auto rank = static_cast<std::size_t>(std::ceil((n + 1.0) * level - 1e-9));
  Calibration calibration;
  calibration.level = level;
  calibration.half_width_log2 = std::numeric_limits<double>::infinity();
  calibration.num_rows = static_cast<std::int64_t>(errors.size());
  calibration.error_quantiles = quantiles_of(errors);
  if (rank > errors.size()) return calibration;
  std::transform(errors.begin(), errors.end(), errors.begin(),
                 [](double error) { return std::abs(error); });
  const auto nth = errors.begin() + static_cast<std::ptrdiff_t>(std::max<std::size_t>(rank, 1)) - 1;
  std::nth_element(errors.begin(), nth, errors.end());
  calibration.half_width_log2 = *nth;
  return calibration;
}

std::vector<double> signed_errors(std::span<const float> predictions,
                                  std::span<const float> targets) {
  std::vector<double> errors;
  for (std::size_t i = 0; i < targets.size(); ++i) {
    errors.push_back(static_cast<double>(targets[i]) - static_cast<double>(predictions[i]));
  }
  return errors;
}

}  // namespace

std::optional<double> Calibration::sign_confidence(double difference, double error_scale) const {
  if (error_quantiles.empty()) return std::nullopt;
  if (error_quantiles.size() < 2) return 0.5;
  const double reach = difference / error_scale;
  double right = 0.0;
  // For each e_j the others below e_j + reach.
  for (const double error : error_quantiles) {
    const auto [first, last] =
        std::equal_range(error_quantiles.begin(), error_quantiles.end(), error + reach);
    const double itself = error + reach > error ? 1.0 : 0.5;
    right +=
        static_cast<double>((first - error_quantiles.begin()) + (last - error_quantiles.begin())) /
            2.0 -
        itself;
  }
  const auto count = static_cast<double>(error_quantiles.size());
  const auto n = static_cast<double>(num_rows);
  return std::max(0.5, right / (count * (count - 1.0)) * n / (n + 1.0));
}

Calibration calibrate_conformal(std::span<const float> predictions, std::span<const float> targets,
                                double level) {
  check_level(level);
  check_rows(predictions, targets);
  return calibrate(signed_errors(predictions, targets), level);
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
  std::vector<double> errors = signed_errors(predictions, targets);
  for (std::size_t i = 0; i < errors.size(); ++i) errors[i] /= scale(signals[i]);
  Calibration calibration = calibrate(std::move(errors), level);
  calibration.scale = scale;
  return calibration;
}

std::string calibration_to_json(const Calibration& calibration) {
  Json json = {{"format_version", kFormatVersion},
               {"method", "locally scaled split conformal"},
               {"level", calibration.level},
               {"half_width_log2", nullptr},
               {"num_rows", calibration.num_rows},
               {"scale", calibration.scale ? scale_json(*calibration.scale) : Json(nullptr)},
               {"error_quantiles", calibration.error_quantiles}};
  // Infinite (too few rows for the level) stays null: JSON has no infinity.
  if (std::isfinite(calibration.half_width_log2)) {
    json["half_width_log2"] = calibration.half_width_log2;
  }
  return json.dump(2) + "\n";
}

void save_calibration(const Calibration& calibration, const std::filesystem::path& file) {
  write_file_atomically(file, calibration_to_json(calibration));
}

Calibration parse_calibration(std::string_view text, const std::string& origin) {
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  StrictReader reader(json, origin, kAdvice);
  Calibration calibration = read_calibration(reader);
  if (!is_in_range(calibration)) {
    reader.fail("has a level, a width, a scale or a number of rows out of range");
  }
  return calibration;
}

Calibration load_calibration(const std::filesystem::path& file) {
  return parse_calibration(read_file(file), file.string());
}

}  // namespace mmra::training
