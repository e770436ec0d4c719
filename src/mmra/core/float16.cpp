#include "mmra/core/float16.h"

#include <bit>

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#endif

namespace mmra {

Float16Bits float_to_half(float value) noexcept {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const auto sign = static_cast<std::uint16_t>((bits >> 16) & 0x8000U);
  const std::uint32_t magnitude = bits & 0x7FFFFFFFU;
  if (magnitude > 0x7F800000U) {  // NaN, kept quiet with the top of its payload, as F16C does
    return static_cast<std::uint16_t>(sign | 0x7E00U | ((magnitude >> 13) & 0x3FFU));
  }
  if (magnitude >= 0x477FF000U) return static_cast<std::uint16_t>(sign | 0x7C00U);  // rounds to inf
  if (magnitude < 0x38800000U) {  // subnormal half: add so that the float unit rounds for us
    const float shifted = std::bit_cast<float>(magnitude) + 0.5F;
    return static_cast<std::uint16_t>(sign | (std::bit_cast<std::uint32_t>(shifted) - 0x3F000000U));
  }
  const std::uint32_t odd = (magnitude >> 13) & 1U;
  const std::uint32_t rounded = magnitude - 0x38000000U + 0xFFFU + odd;
  return static_cast<std::uint16_t>(sign | (rounded >> 13));
}

float half_to_float(Float16Bits bits) noexcept {
  const std::uint32_t sign = static_cast<std::uint32_t>(bits & 0x8000U) << 16;
  const std::uint32_t exponent = (bits >> 10) & 0x1FU;
  const std::uint32_t mantissa = bits & 0x3FFU;
  if (exponent == 0) {
    const float magnitude = static_cast<float>(mantissa) * 0x1.0p-24F;
    return std::bit_cast<float>(sign | std::bit_cast<std::uint32_t>(magnitude));
  }
  if (exponent == 31) return std::bit_cast<float>(sign | 0x7F800000U | (mantissa << 13));
  return std::bit_cast<float>(sign | ((exponent + 112U) << 23) | (mantissa << 13));
}

namespace {

#if defined(__x86_64__)
__attribute__((target("avx,f16c"))) std::size_t halves_to_floats_f16c(const Float16Bits* from,
                                                                      float* to,
                                                                      std::size_t size) noexcept {
  std::size_t i = 0;
  for (; i + 8 <= size; i += 8) {
    _mm256_storeu_ps(to + i,
                     _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from + i))));
  }
  return i;
}

__attribute__((target("avx,f16c"))) std::size_t floats_to_halves_f16c(const float* from,
                                                                      Float16Bits* to,
                                                                      std::size_t size) noexcept {
  std::size_t i = 0;
  for (; i + 8 <= size; i += 8) {
    _mm_storeu_si128(
        reinterpret_cast<__m128i*>(to + i),
        _mm256_cvtps_ph(_mm256_loadu_ps(from + i), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
  }
  return i;
}

bool has_f16c() noexcept {
  // Asked of the processor itself: clang 14 does not know __builtin_cpu_supports("f16c"). "avx"
  // says that the operating system keeps the wide registers too.
  static const bool kHas = [] {
    unsigned eax = 0;
    unsigned ebx = 0;
    unsigned ecx = 0;
    unsigned edx = 0;
    return __builtin_cpu_supports("avx") && __get_cpuid(1, &eax, &ebx, &ecx, &edx) != 0 &&
           (ecx & bit_F16C) != 0;
  }();
  return kHas;
}
#endif

}  // namespace

void floats_to_halves(std::span<const float> from, std::span<Float16Bits> to) noexcept {
  std::size_t i = 0;
#if defined(__x86_64__)
  if (has_f16c()) i = floats_to_halves_f16c(from.data(), to.data(), from.size());
#endif
  for (; i < from.size(); ++i) to[i] = float_to_half(from[i]);
}

void halves_to_floats(std::span<const Float16Bits> from, std::span<float> to) noexcept {
  std::size_t i = 0;
#if defined(__x86_64__)
  if (has_f16c()) i = halves_to_floats_f16c(from.data(), to.data(), from.size());
#endif
  for (; i < from.size(); ++i) to[i] = half_to_float(from[i]);
}

}  // namespace mmra
