#include "mmra/core/bfloat16.h"

#include <bit>

#include "mmra/core/vectorised.h"

namespace mmra {

MMRA_VECTORISED void round_to_bfloat16(const float* from, BFloat16Bits* to,
                                       std::int64_t size) noexcept {
  for (std::int64_t i = 0; i < size; ++i) {
    const auto bits = std::bit_cast<std::uint32_t>(from[i]);
    const std::uint32_t rounded = (bits + 0x7FFFU + ((bits >> 16) & 1U)) >> 16;
    const std::uint32_t quiet_nan = (bits >> 16) | 0x40U;
    to[i] = static_cast<BFloat16Bits>((bits & 0x7FFFFFFFU) > 0x7F800000U ? quiet_nan : rounded);
  }
}

MMRA_VECTORISED void widen_bfloat16(const BFloat16Bits* from, float* to,
                                    std::int64_t size) noexcept {
  for (std::int64_t i = 0; i < size; ++i) {
    to[i] = std::bit_cast<float>(static_cast<std::uint32_t>(from[i]) << 16);
  }
}

}  // namespace mmra
