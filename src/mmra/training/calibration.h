#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "mmra/training/error_scale.h"

namespace mmra::training {

/// A split-conformal interval: [prediction − half width, prediction + half width] in log2 covers
/// the truth with probability of at least `level`, for rows exchangeable with the calibration rows.
/// With a scale it is wide where errors are expected to be large, and narrow where they are not.
struct Calibration {
  static constexpr std::size_t kMaxErrorQuantiles = 201;

  double level = 0.8;
  double half_width_log2 = 0.0;  ///< of a row whose expected error is average
  std::int64_t num_rows = 0;
  std::optional<ErrorScale> scale;  ///< nothing: all intervals are of one width
  /// Of the calibration rows' (target − prediction) / scale, ascending: all of them, or
  /// kMaxErrorQuantiles evenly spaced quantiles of more. Empty in models made before they were
  /// kept.
  std::vector<double> error_quantiles = {};

  /// Of one query's interval.
  [[nodiscard]] double half_width(const ErrorSignals& signals) const {
    return half_width_log2 * error_scale(signals);
  }
  [[nodiscard]] double error_scale(const ErrorSignals& signals) const {
    return scale ? (*scale)(signals) : 1.0;
  }
  /// How often, of two different rows whose predictions (log2) are `difference` ≥ 0 apart, the one
  /// predicted higher has the higher truth: over all pairs i ≠ j of the kept errors the share with
  /// error_scale · (e_i − e_j) < difference, ties counted half, times n / (n + 1), since n rows
  /// cannot promise more; at least 1/2. Nothing where no errors were kept.
  [[nodiscard]] std::optional<double> sign_confidence(double difference, double error_scale) const;
};

/// half_width = the ⌈(n+1)·level⌉-th smallest |target − prediction| (infinite where that exceeds
/// n). Throws Error{kInvalidInput} for no rows or a level outside (0, 1).
[[nodiscard]] Calibration calibrate_conformal(std::span<const float> predictions,
                                              std::span<const float> targets, double level);

/// The same of the scores |target − prediction| / scale(signals): locally scaled split conformal.
/// `scale` was fitted to other rows than these.
[[nodiscard]] Calibration calibrate_conformal(std::span<const float> predictions,
                                              std::span<const float> targets, double level,
                                              const ErrorScale& scale,
                                              std::span<const ErrorSignals> signals);

/// The text of calibration.json (docs/formats/model.md).
[[nodiscard]] std::string calibration_to_json(const Calibration& calibration);
/// Writes it, whole or not at all.
void save_calibration(const Calibration& calibration, const std::filesystem::path& file);
/// Throws Error{kCorruptData|kNotFound|kUnsupported}. Reads version 1 too, which had no scale.
[[nodiscard]] Calibration parse_calibration(std::string_view text, const std::string& origin);
[[nodiscard]] Calibration load_calibration(const std::filesystem::path& file);

}  // namespace mmra::training
