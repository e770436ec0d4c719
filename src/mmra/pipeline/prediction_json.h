#pragma once

#include <nlohmann/json.hpp>

#include "mmra/pipeline/compare.h"
#include "mmra/pipeline/predict.h"

namespace mmra::pipeline {

/// The documented JSON object of a prediction: popularity, log2, interval, percentile, unit,
/// horizon where the bank has one, instances, parts, and, where they are there, captions and a
/// warning.
[[nodiscard]] nlohmann::ordered_json to_json(const Prediction& prediction);

/// The documented JSON object of a comparison: unit, level, best, results (each a prediction with
/// its title), pairs, verdict.
[[nodiscard]] nlohmann::ordered_json to_json(const Comparison& comparison);

/// {"id", "title", "similarity", "popularity"}, and the captions where there are any.
[[nodiscard]] nlohmann::ordered_json to_search_json(const Instance& instance);

}  // namespace mmra::pipeline
