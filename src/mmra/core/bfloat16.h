#pragma once

#include <cstdint>

namespace mmra {

/// The upper half of a float32's bits.
using BFloat16Bits = std::uint16_t;

/// To nearest even; a NaN stays one. On the calling thread, as the next.
void round_to_bfloat16(const float* from, BFloat16Bits* to, std::int64_t size) noexcept;

/// Exact.
void widen_bfloat16(const BFloat16Bits* from, float* to, std::int64_t size) noexcept;

}  // namespace mmra
