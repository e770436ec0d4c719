#include "mmra/retrieval/similarity.h"

#include "mmra/core/vectorised.h"

namespace mmra::retrieval {

MMRA_VECTORISED float quick_similarity(const float* a, const float* b, std::size_t dim) {
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

}  // namespace mmra::retrieval
