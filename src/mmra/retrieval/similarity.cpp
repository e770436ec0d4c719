#include "mmra/retrieval/similarity.h"

#include <algorithm>

#include "mmra/core/vectorised.h"

namespace mmra::retrieval {
namespace {

/// Part of what is compiled for each kind of processor.
[[gnu::always_inline]] inline float inner_product(const float* a, const float* b, std::size_t dim) {
  constexpr std::size_t kLanes = 32;
  float sums[kLanes] = {};
  std::size_t i = 0;
  for (; i + kLanes <= dim; i += kLanes) {
    for (std::size_t lane = 0; lane < kLanes; ++lane) sums[lane] += a[i + lane] * b[i + lane];
  }
  for (; i < dim; ++i) sums[0] += a[i] * b[i];
  // In halves: one after the other they would wait for each other longer than all of the above
  // takes.
  for (std::size_t half = kLanes / 2; half > 0; half /= 2) {
    for (std::size_t lane = 0; lane < half; ++lane) sums[lane] += sums[lane + half];
  }
  return sums[0];
}

}  // namespace

MMRA_VECTORISED float quick_similarity(const float* a, const float* b, std::size_t dim) {
  return inner_product(a, b, dim);
}

MMRA_VECTORISED void quick_similarities(const float* vector, const float* vectors, std::size_t dim,
                                        std::span<const std::int32_t> places, float* scores) {
  // So many on their way keep the memory busy; more would push each other out of the cache.
  constexpr std::size_t kAhead = 8;
  const auto at = [&](std::size_t i) { return vectors + static_cast<std::size_t>(places[i]) * dim; };
  for (std::size_t i = 0; i < std::min(kAhead, places.size()); ++i) prefetch_vector(at(i), dim);
  for (std::size_t i = 0; i < places.size(); ++i) {
    if (i + kAhead < places.size()) prefetch_vector(at(i + kAhead), dim);
    scores[i] = inner_product(vector, at(i), dim);
  }
}

}  // namespace mmra::retrieval
