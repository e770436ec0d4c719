#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace mmra {

/// IEEE 754 binary16 as it lies on disk; arithmetic is done in float.
using Float16Bits = std::uint16_t;

/// Round to nearest even; values beyond ±65504 become ±infinity, NaN stays NaN.
[[nodiscard]] Float16Bits float_to_half(float value) noexcept;
/// Exact.
[[nodiscard]] float half_to_float(Float16Bits bits) noexcept;

/// Element by element, with F16C where the processor has it; sizes must be equal.
void floats_to_halves(std::span<const float> from, std::span<Float16Bits> to) noexcept;
void halves_to_floats(std::span<const Float16Bits> from, std::span<float> to) noexcept;

}  // namespace mmra
