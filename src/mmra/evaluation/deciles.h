#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace mmra::evaluation {

/// Rows whose predictions (or labels) lie next to each other.
struct Group {
  std::size_t n = 0;
  double low = 0.0;  ///< the smallest and the largest of the values that they were ordered by
  double high = 0.0;
  double mean_prediction = 0.0;  ///< log2, as everything here
  double mean_target = 0.0;
  double mae = 0.0;
  double mse = 0.0;
  double coverage = 0.0;    ///< share of targets in their interval; 0 without intervals
  double mean_width = 0.0;  ///< of the intervals, infinite where one is
};

/// Tenths of the rows by their prediction: whether what is predicted high turns out high, and
/// whether intervals hold there too. `half_widths` (log2) belong to the rows' intervals prediction
/// ± half_width; empty: there are none. Rows with equal predictions stay together, so there may be
/// fewer than ten groups, of uneven sizes. Throws Error{kInvalidInput} where sizes differ or there
/// is no row.
[[nodiscard]] std::vector<Group> by_prediction_decile(std::span<const float> predictions,
                                                      std::span<const float> targets,
                                                      std::span<const double> half_widths);

/// The same by the label: how wrong a system is about what nobody and what everybody looks at.
[[nodiscard]] std::vector<Group> by_target_decile(std::span<const float> predictions,
                                                  std::span<const float> targets);

}  // namespace mmra::evaluation
