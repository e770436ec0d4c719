#include "mmra/plus/neighbours.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>

namespace mmra::plus {
namespace {

constexpr std::size_t kNumForSpread = 50;
constexpr double kQuantiles[] = {0.1, 0.25, 0.5, 0.75, 0.9};
constexpr double kShrinkage = 0.05;

bool better(const Neighbour& a, const Neighbour& b) {
  return a.similarity != b.similarity ? a.similarity > b.similarity : a.row < b.row;
}

double mean_similarity(std::span<const Neighbour> neighbours, std::size_t count) {
  count = std::min(count, neighbours.size());
  double sum = 0.0;
  for (std::size_t i = 0; i < count; ++i) sum += neighbours[i].similarity;
  return sum / static_cast<double>(count);
}

double weighted_mean(std::span<const double> weights, std::span<const float> labels) {
  double sum = 0.0;
  for (std::size_t i = 0; i < weights.size(); ++i) sum += weights[i] * labels[i];
  return sum;
}

/// The smallest label up to which at least `share` of the weight lies.
class WeightedQuantiles {
 public:
  WeightedQuantiles(std::span<const double> weights, std::span<const float> labels) {
    for (std::size_t i = 0; i < weights.size(); ++i) sorted_.emplace_back(labels[i], weights[i]);
    std::stable_sort(sorted_.begin(), sorted_.end(),
                     [](const auto& a, const auto& b) { return a.first < b.first; });
  }
  [[nodiscard]] float at(double share) const {
    double sum = 0.0;
    for (const auto& [label, weight] : sorted_) {
      sum += weight;
      if (sum >= share) return label;
    }
    return sorted_.back().first;
  }

 private:
  std::vector<std::pair<float, double>> sorted_;
};

double shrunk_mean(std::span<const Neighbour> neighbours, std::span<const float> labels,
                   double label_mean) {
  double weights = 0.0;
  double sum = 0.0;
  for (std::size_t i = 0; i < neighbours.size(); ++i) {
    const double similarity = std::max(0.0F, neighbours[i].similarity);
    const double weight = similarity * similarity * similarity * similarity;
    weights += weight;
    sum += weight * (labels[i] - label_mean);
  }
  return sum / (weights + kShrinkage);
}

}  // namespace

std::vector<Neighbour> nearest(std::span<const float> similarities, std::size_t count,
                               const std::function<bool(std::size_t)>& admits) {
  std::vector<Neighbour> heap;  // the worst of the best in front
  heap.reserve(count + 1);
  for (std::size_t row = 0; row < similarities.size(); ++row) {
    // Rows come in ascending order, so one that is only as near as the worst stays out.
    if (heap.size() == count && !(similarities[row] > heap.front().similarity)) continue;
    if (!admits(row)) continue;
    heap.push_back({row, similarities[row]});
    std::push_heap(heap.begin(), heap.end(), better);
    if (heap.size() <= count) continue;
    std::pop_heap(heap.begin(), heap.end(), better);
    heap.pop_back();
  }
  std::sort_heap(heap.begin(), heap.end(), better);
  return heap;
}

std::vector<double> neighbour_weights(std::span<const Neighbour> neighbours, std::size_t count) {
  count = std::min(count, neighbours.size());
  std::vector<double> weights;
  double sum = 0.0;
  for (std::size_t i = 0; i < count; ++i) {
    weights.push_back(std::exp(kNeighbourScale * (static_cast<double>(neighbours[i].similarity) -
                                                  neighbours[0].similarity)));
    sum += weights.back();
  }
  for (double& weight : weights) weight /= sum;
  return weights;
}

void neighbour_statistics(std::span<const Neighbour> neighbours, std::span<const float> labels,
                          double label_mean, std::span<float> out) {
  std::fill(out.begin(), out.end(), std::numeric_limits<float>::quiet_NaN());
  if (neighbours.empty()) return;
  std::size_t at = 0;
  const auto put = [&](double value) { out[at++] = static_cast<float>(value); };
  put(neighbours[0].similarity);
  put(mean_similarity(neighbours, 10));
  put(mean_similarity(neighbours, 50));
  for (const std::size_t count : {5, 20, 50, 100}) {
    put(weighted_mean(neighbour_weights(neighbours, count), labels));
  }
  const std::vector<double> weights = neighbour_weights(neighbours, kNumForSpread);
  const double mean = weighted_mean(weights, labels);
  double variance = 0.0;
  double squares = 0.0;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    variance += weights[i] * (labels[i] - mean) * (labels[i] - mean);
    squares += weights[i] * weights[i];
  }
  put(std::sqrt(variance));
  put(1.0 / squares);
  const WeightedQuantiles quantiles(weights, labels);
  for (const double share : kQuantiles) put(quantiles.at(share));
  put(shrunk_mean(neighbours, labels, label_mean));
}

}  // namespace mmra::plus
