#pragma once

#include <cstdint>
#include <filesystem>
#include <span>

namespace mmra::training {

/// A split-conformal interval: [prediction − half_width, prediction + half_width] in log2 covers
/// the truth with probability of at least `level`, for rows exchangeable with the calibration rows.
struct Calibration {
  double level = 0.8;
  double half_width_log2 = 0.0;
  std::int64_t num_rows = 0;
};

/// half_width = the ⌈(n+1)·level⌉-th smallest |target − prediction| (infinite where that exceeds
/// n). Throws Error{kInvalidInput} for no rows or a level outside (0, 1).
[[nodiscard]] Calibration calibrate_conformal(std::span<const float> predictions,
                                              std::span<const float> targets, double level);

void save_calibration(const Calibration& calibration, const std::filesystem::path& file);
[[nodiscard]] Calibration load_calibration(const std::filesystem::path& file);

}  // namespace mmra::training
