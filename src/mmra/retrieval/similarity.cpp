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
  float sum = 0.0F;
  for (const float lane : sums) sum += lane;
  return sum;
}

}  // namespace mmra::retrieval
