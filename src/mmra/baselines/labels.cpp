#include "mmra/baselines/labels.h"

#include <cmath>
#include <cstdio>

#include "mmra/core/error.h"

namespace mmra::baselines {

void check_labelled(const model::LabelledBatch& rows) {
  const std::size_t expected = rows.batch.query_rows.size();
  if (expected == 0 || rows.targets.size() != expected) {
    throw Error(ErrorKind::kInvalidInput, "a baseline needs rows with a label each, got " +
                                              std::to_string(expected) + " rows and " +
                                              std::to_string(rows.targets.size()) + " labels");
  }
  for (std::size_t i = 0; i < expected; ++i) {
    if (!std::isfinite(rows.targets[i])) {
      throw Error(ErrorKind::kInvalidInput,
                  "the label of row " + std::to_string(i) + " is not a finite number");
    }
  }
}

double mean_of(std::span<const float> values) {
  double sum = 0.0;
  for (const float value : values) sum += value;
  return sum / static_cast<double>(values.size());
}

double mean_squared_error(std::span<const float> a, std::span<const float> b) {
  double sum = 0.0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double error = static_cast<double>(a[i]) - static_cast<double>(b[i]);
    sum += error * error;
  }
  return sum / static_cast<double>(a.size());
}

std::string readable(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.4g", value);
  return text;
}

}  // namespace mmra::baselines
