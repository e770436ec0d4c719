#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "mmra/training/error_scale.h"

namespace mmra::training {

/// A split-conformal interval: [prediction − half width, prediction + half width] in log2 covers
/// the truth with probability of at least `level`, for rows exchangeable with the calibration rows.
/// With a scale it is wide where errors are expected to be large, and narrow where they are not.
struct Calibration {
  double level = 0.8;
  double half_width_log2 = 0.0;  ///< of a row whose expected error is average
  std::int64_t num_rows = 0;
  std::optional<ErrorScale> scale;  ///< nothing: all intervals are of one width

  /// Of one query's interval.
  [[nodiscard]] double half_width(const ErrorSignals& signals) const {
    return scale ? half_width_log2 * (*scale)(signals) : half_width_log2;
  }
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

/// calibration.json (docs/formats/model.md), whole or not at all.
void save_calibration(const Calibration& calibration, const std::filesystem::path& file);
/// Throws Error{kCorruptData|kNotFound|kUnsupported}. Reads version 1 too, which had no scale.
[[nodiscard]] Calibration parse_calibration(std::string_view text, const std::string& origin);
[[nodiscard]] Calibration load_calibration(const std::filesystem::path& file);

}  // namespace mmra::training
