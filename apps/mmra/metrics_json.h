#pragma once

#include <cmath>
#include <nlohmann/json.hpp>

#include "mmra/evaluation/metrics.h"

namespace mmra::app {

/// Undefined metrics become null: JSON has no NaN.
[[nodiscard]] inline nlohmann::ordered_json to_json(const evaluation::Metrics& metrics) {
  const auto number = [](double value) {
    return std::isfinite(value) ? nlohmann::ordered_json(value) : nlohmann::ordered_json(nullptr);
  };
  return {{"n", metrics.n},
          {"nmse", number(metrics.nmse)},
          {"mae", number(metrics.mae)},
          {"src", number(metrics.src)}};
}

}  // namespace mmra::app
