#include "mmra/retrieval/similarity.h"

#include <algorithm>

#include "mmra/core/vectorised.h"
#include "mmra/retrieval/lanes.h"

namespace mmra::retrieval {
namespace {

/// Part of what is compiled for each kind of processor.
[[gnu::always_inline]] inline float inner_product(const float* a, const float* b, std::size_t dim) {
  Lanes8 sums[kSums] = {};
  std::size_t i = 0;
  for (; i + kSums * kLanes <= dim; i += kSums * kLanes) {
    for (std::size_t j = 0; j < kSums; ++j) {
      Lanes8 x;
      Lanes8 y;
      load(a + i + j * kLanes, x);
      load(b + i + j * kLanes, y);
      sums[j] += x * y;
    }
  }
  float sum = sum_of((sums[0] + sums[1]) + (sums[2] + sums[3]));
  for (; i < dim; ++i) sum += a[i] * b[i];
  return sum;
}

}  // namespace

MMRA_VECTORISED float quick_similarity(const float* a, const float* b, std::size_t dim) {
  return inner_product(a, b, dim);
}

MMRA_VECTORISED std::size_t find_at_least(const float* scores, std::size_t size, std::size_t begin,
                                          float threshold) {
  constexpr std::size_t kTogether = 32;
  std::size_t i = begin;
  for (; i + kTogether <= size; i += kTogether) {
    std::int32_t found = 0;
    for (std::size_t lane = 0; lane < kTogether; ++lane) found |= scores[i + lane] >= threshold;
    if (found != 0) break;
  }
  while (i < size && !(scores[i] >= threshold)) ++i;
  return i;
}

MMRA_VECTORISED void quick_similarities(const float* vector, const float* vectors, std::size_t dim,
                                        std::span<const std::int32_t> places, float* scores) {
  // So many on their way keep the memory busy; more would push each other out of the cache.
  constexpr std::size_t kAhead = 8;
  const auto at = [&](std::size_t i) {
    return vectors + static_cast<std::size_t>(places[i]) * dim;
  };
  for (std::size_t i = 0; i < std::min(kAhead, places.size()); ++i) prefetch_vector(at(i), dim);
  for (std::size_t i = 0; i < places.size(); ++i) {
    if (i + kAhead < places.size()) prefetch_vector(at(i + kAhead), dim);
    scores[i] = inner_product(vector, at(i), dim);
  }
}

}  // namespace mmra::retrieval
