#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace mmra::retrieval {

/// The similarity that is reported, r·r_b of paper eq. 1: float products summed in double, always
/// in this order, so that it depends on the two vectors alone and equal vectors tie exactly. A
/// matrix product rounds differently from one place of a block to another. Both spans are of one
/// size.
[[nodiscard]] inline float canonical_similarity(std::span<const float> a,
                                                std::span<const float> b) {
  double sums[4] = {0.0, 0.0, 0.0, 0.0};
  std::size_t i = 0;
  for (; i + 4 <= a.size(); i += 4) {
    for (std::size_t lane = 0; lane < 4; ++lane) {
      sums[lane] += static_cast<double>(a[i + lane]) * b[i + lane];
    }
  }
  for (; i < a.size(); ++i) sums[0] += static_cast<double>(a[i]) * b[i];
  return static_cast<float>((sums[0] + sums[1]) + (sums[2] + sums[3]));
}

/// Begins to bring a vector that lies anywhere in memory to the processor: its way takes longer
/// than what is then computed.
inline void prefetch_vector(const float* vector, std::size_t dim) {
  constexpr std::size_t kFloatsOfCacheLine = 16;
  for (std::size_t i = 0; i < dim; i += kFloatsOfCacheLine) __builtin_prefetch(vector + i);
}

/// The inner product of two vectors of `dim` floats in some order of summation, as fast as the
/// processor goes.
[[nodiscard]] float quick_similarity(const float* a, const float* b, std::size_t dim);
/// The same of one vector with those at `places` of row-major `vectors`, which lie anywhere in
/// memory: each is fetched ahead. `scores` has as many elements.
void quick_similarities(const float* vector, const float* vectors, std::size_t dim,
                        std::span<const std::int32_t> places, float* scores);

/// The first place from `begin` on whose score is at least `threshold`, or `size`.
[[nodiscard]] std::size_t find_at_least(const float* scores, std::size_t size, std::size_t begin,
                                        float threshold);

}  // namespace mmra::retrieval
