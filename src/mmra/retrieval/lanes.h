#pragma once

#include <cstddef>
#include <cstring>

// Several floats at once, for loops that are compiled for each kind of processor
// (core/vectorised.h) and inline these. Registers are handed over by reference: returned, they
// would need AVX2 everywhere.

namespace mmra::retrieval {

/// What a register of AVX2 holds.
typedef float Lanes8 __attribute__((vector_size(32)));
typedef float Lanes4 __attribute__((vector_size(16)));
inline constexpr std::size_t kLanes = 8;
inline constexpr std::size_t kSums = 4;  ///< that do not wait for each other

[[gnu::always_inline]] inline void load(const float* from, Lanes8& to) {
  std::memcpy(&to, from, sizeof to);
}

/// Added in halves, never leaving the registers: by way of memory that takes as long as the
/// products.
[[gnu::always_inline]] inline float sum_of(const Lanes8& eight) {
  const Lanes4 four = __builtin_shufflevector(eight, eight, 0, 1, 2, 3) +
                      __builtin_shufflevector(eight, eight, 4, 5, 6, 7);
  return (four[0] + four[2]) + (four[1] + four[3]);
}

}  // namespace mmra::retrieval
