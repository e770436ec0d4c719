#pragma once

#include <cstddef>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "mmra/pipeline/predict.h"
#include "mmra/training/calibration.h"

namespace mmra::pipeline {

/// Two titles of one clip.
struct TitlePair {
  std::size_t a = 0;  ///< of Comparison::titles; a < b
  std::size_t b = 0;
  double difference_log2 = 0.0;  ///< the prediction of a minus that of b
  double ratio = 1.0;            ///< 2^difference_log2
  /// How often, of two *different* clips whose predictions differ by this much, the one predicted
  /// higher did better (Calibration::sign_confidence). Nothing of models made before the errors
  /// were kept.
  std::optional<double> confidence;
  bool certain = false;  ///< confidence is at least the level of the interval
};

/// What the program says about one clip under several titles.
///
/// The interval of a prediction is of its whole error, and most of that two titles of one clip
/// share: intervals that overlap say nothing about the difference. But no clip of a bank was posted
/// twice under two titles, so what they share cannot be learned from it. `confidence` is therefore
/// that of two different clips. It errs towards doubt about chance, which the same clip has less
/// of. It cannot say whether the title is the cause: the model knows which titles went with
/// success, not what a title does.
struct Comparison {
  std::vector<std::string> titles;
  std::vector<Prediction> predictions;  ///< [titles]
  std::size_t best = 0;                 ///< the highest prediction, the first of equals
  std::vector<TitlePair> pairs;         ///< all, by a and then b
  double level = 0.8;
  std::string verdict;  ///< one line in plain words
};

/// More titles than these are refused: each is a retrieval and an explanation of its own.
inline constexpr std::size_t kMaxTitles = 20;

/// Compares predictions that were made. Both lists are of the same length, at least 2.
[[nodiscard]] Comparison compare_predictions(std::vector<std::string> titles,
                                             std::vector<Prediction> predictions,
                                             const training::Calibration& calibration);

/// Throws what compare_titles throws about titles.
void check_titles(const Query& query, const std::vector<std::string>& titles);

/// The clip or stored record of `query` (its title is not looked at) under each of `titles`. Throws
/// Error{kInvalidInput} for fewer than two titles, more than kMaxTitles, two that are the same, or
/// an empty one where there is no clip; and what PredictionEngine::predict throws.
[[nodiscard]] Comparison compare_titles(PredictionEngine& engine, const Query& query,
                                        const std::vector<std::string>& titles,
                                        const std::stop_token& stop);

}  // namespace mmra::pipeline
