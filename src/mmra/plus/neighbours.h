#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <vector>

namespace mmra::plus {

inline constexpr std::size_t kNumNeighbours = 100;
inline constexpr std::size_t kNeighbourWidth = 15;
/// Weights of neighbours are softmax(20 · similarity).
inline constexpr double kNeighbourScale = 20.0;

struct Neighbour {
  std::size_t row = 0;
  float similarity = 0.0F;
};

/// The `count` rows of the largest similarities among those that `admits` lets in, best first, ties
/// by row. `admits` is asked only of rows that would be among them.
[[nodiscard]] std::vector<Neighbour> nearest(std::span<const float> similarities, std::size_t count,
                                             const std::function<bool(std::size_t)>& admits);

/// softmax(kNeighbourScale · similarity) of the first `count` neighbours or fewer.
[[nodiscard]] std::vector<double> neighbour_weights(std::span<const Neighbour> neighbours,
                                                    std::size_t count);

/// How a query's neighbours fared: similarity of the first, mean similarity of 10 and of 50; the
/// weighted mean of the labels of 5, 20, 50, 100; of 50 the weighted deviation, the effective
/// number 1 / Σw², the weighted quantiles .1 .25 .5 .75 .9; and Σ z(y − μ) / (Σ z + 0.05) with
/// z = similarity⁴, which stays near 0 where nothing is near. `labels` of the neighbours, in their
/// order; fewer neighbours are used where there are fewer; all NaN where there is none.
void neighbour_statistics(std::span<const Neighbour> neighbours, std::span<const float> labels,
                          double label_mean, std::span<float> out);

}  // namespace mmra::plus
