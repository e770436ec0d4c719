#pragma once

#include <array>
#include <span>
#include <string_view>
#include <vector>

#include "mmra/model/predictor.h"

namespace mmra::training {

/// What is known of a query before its truth, and may say how wrong its prediction will be.
inline constexpr std::array<std::string_view, 7> kErrorSignals = {
    "prediction",  // log2
    "prediction_squared",
    "label_spread",    // deviation of the instances' labels, log2; 0 with fewer than two
    "top_similarity",  // of the most similar instance; 0 where there is none
    "no_visual",       // 1 where the query has no visual tokens, else 0
    "no_text",
    "no_instance"};
using ErrorSignals = std::array<double, kErrorSignals.size()>;

/// The signals of a batch's queries and their predictions (log2, [B]); [B].
[[nodiscard]] std::vector<ErrorSignals> error_signals(const model::Batch& batch,
                                                      std::span<const float> predictions);

/// How large the error of a prediction is expected to be, against that of an average one: 1 is
/// average. A ridge regression of |error| on the standardised signals, divided by the mean |error|,
/// and kept between `kLowest` and `kHighest`, so that no interval vanishes or explodes. A signal
/// further than `kEdge` deviations from its mean counts as that far: beyond, nothing was learned.
struct ErrorScale {
  static constexpr double kLowest = 0.4;
  static constexpr double kHighest = 2.5;
  static constexpr double kEdge = 3.0;

  ErrorSignals mean{};       ///< of the signals on the rows it was fitted to
  ErrorSignals deviation{};  ///< > 0
  ErrorSignals weights{};    ///< of the standardised signals

  [[nodiscard]] double operator()(const ErrorSignals& signals) const;
};

/// Fits the scale to rows that neither trained the model nor will calibrate its interval. The
/// penalty is the one with the smallest squared error over five folds of these rows; where none is
/// better than no signal at all, or there are fewer than 50 rows, all weights are 0 and the scale
/// is 1 everywhere. Deterministic. Throws Error{kInvalidInput} where sizes differ or a value is not
/// finite.
[[nodiscard]] ErrorScale fit_error_scale(std::span<const ErrorSignals> signals,
                                         std::span<const float> predictions,
                                         std::span<const float> targets);

}  // namespace mmra::training
