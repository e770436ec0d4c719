#include "mmra/model/instance_weights.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace mmra::model {
namespace {

void softmax_of_existing(std::span<const std::int32_t> rows, std::span<const float> similarities,
                         double scale, std::span<double> weights) {
  double largest = -std::numeric_limits<double>::infinity();
  for (std::size_t j = 0; j < rows.size(); ++j) {
    if (rows[j] >= 0) largest = std::max(largest, scale * static_cast<double>(similarities[j]));
  }
  double sum = 0.0;
  for (std::size_t j = 0; j < rows.size(); ++j) {
    weights[j] =
        rows[j] < 0 ? 0.0 : std::exp(scale * static_cast<double>(similarities[j]) - largest);
    sum += weights[j];
  }
  if (sum == 0.0) return;
  for (double& weight : weights) weight /= sum;
}

}  // namespace

std::vector<double> instance_weights(std::span<const std::int32_t> rows,
                                     std::span<const float> similarities, int k, double scale) {
  std::vector<double> weights(rows.size());
  const auto width = static_cast<std::size_t>(k);
  for (std::size_t begin = 0; begin + width <= rows.size() && width > 0; begin += width) {
    softmax_of_existing(rows.subspan(begin, width), similarities.subspan(begin, width), scale,
                        std::span(weights).subspan(begin, width));
  }
  return weights;
}

}  // namespace mmra::model
