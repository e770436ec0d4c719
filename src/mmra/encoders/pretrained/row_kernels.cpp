#include "mmra/encoders/pretrained/row_kernels.h"

#include <algorithm>
#include <cmath>
#include <cstring>

// One text for all vector widths: vectors of the compiler (vector_size), inlined into functions
// that are compiled for a processor each.
#define MMRA_INLINE [[gnu::always_inline]] inline

namespace mmra::encoders {
namespace {

// GCC 12 takes no vector_size that depends on a template's parameter.
typedef float Floats4 __attribute__((vector_size(16)));
typedef float Floats8 __attribute__((vector_size(32)));
typedef float Floats16 __attribute__((vector_size(64)));
typedef std::int32_t Ints4 __attribute__((vector_size(16)));
typedef std::int32_t Ints8 __attribute__((vector_size(32)));
typedef std::int32_t Ints16 __attribute__((vector_size(64)));

template <int kLanes>
struct Vectors;
template <>
struct Vectors<4> {
  using Floats = Floats4;
  using Ints = Ints4;
};
template <>
struct Vectors<8> {
  using Floats = Floats8;
  using Ints = Ints8;
};
template <>
struct Vectors<16> {
  using Floats = Floats16;
  using Ints = Ints16;
};

template <int kLanes>
struct Simd {
  using Floats = typename Vectors<kLanes>::Floats;
  using Ints = typename Vectors<kLanes>::Ints;

  MMRA_INLINE static Floats fill(float value) { return Floats{} + value; }
  MMRA_INLINE static Floats load(const float* from) {
    Floats value;
    std::memcpy(&value, from, sizeof(value));
    return value;
  }
  /// The first `count` elements, `rest` in the other lanes.
  MMRA_INLINE static Floats load_part(const float* from, std::int64_t count, float rest) {
    Floats value = fill(rest);
    for (std::int64_t i = 0; i < count; ++i) value[i] = from[i];
    return value;
  }
  MMRA_INLINE static void store(float* to, Floats value) { std::memcpy(to, &value, sizeof(value)); }
  MMRA_INLINE static void store_part(float* to, Floats value, std::int64_t count) {
    for (std::int64_t i = 0; i < count; ++i) to[i] = value[i];
  }
  MMRA_INLINE static float sum(Floats value) {
    float total = 0.0F;
    for (int i = 0; i < kLanes; ++i) total += value[i];
    return total;
  }
  MMRA_INLINE static Floats larger(Floats a, Floats b) { return a > b ? a : b; }

  /// eˣ for x ≤ 0, relative error below 2·10⁻⁷; zero below −87. Cody-Waite reduction by ln 2 and
  /// the Taylor polynomial of degree 7 on [−ln 2 / 2, ln 2 / 2].
  MMRA_INLINE static Floats exp_of_negative(Floats x) {
    const Floats lowest = fill(-87.0F);
    const Floats clamped = larger(x, lowest);
    // Adding 1.5 · 2²³ rounds to a whole number, which then lies in the low bits.
    const Floats rounder = fill(12582912.0F);
    const Floats shifted = clamped * 1.44269504F + rounder;
    const Floats whole = shifted - rounder;
    const Floats r = (clamped - whole * 0.693359375F) + whole * 2.12194440e-4F;
    Floats p = fill(1.0F / 5040.0F);
    p = p * r + 1.0F / 720.0F;
    p = p * r + 1.0F / 120.0F;
    p = p * r + 1.0F / 24.0F;
    p = p * r + 1.0F / 6.0F;
    p = p * r + 0.5F;
    p = p * r + 1.0F;
    p = p * r + 1.0F;
    Ints bits;
    std::memcpy(&bits, &shifted, sizeof(bits));
    bits = (bits << 23) + (127 << 23);
    Floats power;
    std::memcpy(&power, &bits, sizeof(power));
    return x < lowest ? fill(0.0F) : p * power;
  }
};

template <int kLanes>
MMRA_INLINE void layer_norm_impl(const float* x, const float* weight, const float* bias,
                                 float epsilon, float* y, std::int64_t size) {
  using S = Simd<kLanes>;
  const std::int64_t whole = size - size % kLanes;
  typename S::Floats sums = S::load_part(x + whole, size - whole, 0.0F);
  for (std::int64_t i = 0; i < whole; i += kLanes) sums += S::load(x + i);
  const float mean = S::sum(sums) / static_cast<float>(size);
  typename S::Floats squares = S::load_part(x + whole, size - whole, mean) - mean;
  squares *= squares;
  for (std::int64_t i = 0; i < whole; i += kLanes) {
    const typename S::Floats centred = S::load(x + i) - mean;
    squares += centred * centred;
  }
  const float scale = 1.0F / std::sqrt(S::sum(squares) / static_cast<float>(size) + epsilon);
  for (std::int64_t i = 0; i < whole; i += kLanes) {
    S::store(y + i, (S::load(x + i) - mean) * scale * S::load(weight + i) + S::load(bias + i));
  }
  for (std::int64_t i = whole; i < size; ++i) {
    y[i] = (x[i] - mean) * scale * weight[i] + bias[i];
  }
}

template <int kLanes>
MMRA_INLINE void softmax_impl(float* x, float scale, std::int64_t size) {
  using S = Simd<kLanes>;
  const std::int64_t whole = size - size % kLanes;
  const std::int64_t rest = size - whole;
  typename S::Floats maxima = S::load_part(x + whole, rest, x[0]) * scale;
  for (std::int64_t i = 0; i < whole; i += kLanes) {
    maxima = S::larger(maxima, S::load(x + i) * scale);
  }
  float maximum = maxima[0];
  for (int i = 1; i < kLanes; ++i) maximum = std::max(maximum, static_cast<float>(maxima[i]));
  typename S::Floats sums = S::fill(0.0F);
  for (std::int64_t i = 0; i < whole; i += kLanes) {
    const typename S::Floats e = S::exp_of_negative(S::load(x + i) * scale - maximum);
    S::store(x + i, e);
    sums += e;
  }
  float total = S::sum(sums);
  if (rest > 0) {
    const typename S::Floats e =
        S::exp_of_negative(S::load_part(x + whole, rest, 0.0F) * scale - maximum);
    S::store_part(x + whole, e, rest);
    for (std::int64_t i = 0; i < rest; ++i) total += e[i];
  }
  const float inverse = 1.0F / total;
  for (std::int64_t i = 0; i < whole; i += kLanes) S::store(x + i, S::load(x + i) * inverse);
  for (std::int64_t i = whole; i < size; ++i) x[i] *= inverse;
}

template <int kLanes>
MMRA_INLINE float dot_impl(const float* a, const float* b, std::int64_t size) {
  using S = Simd<kLanes>;
  typename S::Floats sums = S::fill(0.0F);
  std::int64_t i = 0;
  for (; i + kLanes <= size; i += kLanes) sums += S::load(a + i) * S::load(b + i);
  float total = S::sum(sums);
  for (; i < size; ++i) total += a[i] * b[i];
  return total;
}

template <int kLanes>
MMRA_INLINE void add_scaled_impl(float* y, const float* x, float factor, std::int64_t size) {
  using S = Simd<kLanes>;
  std::int64_t i = 0;
  for (; i + kLanes <= size; i += kLanes) S::store(y + i, S::load(y + i) + S::load(x + i) * factor);
  for (; i < size; ++i) y[i] += factor * x[i];
}

/// One set of the loops, compiled for one kind of processor.
struct Kernels {
  void (*layer_norm)(const float*, const float*, const float*, float, float*, std::int64_t);
  void (*softmax)(float*, float, std::int64_t);
  float (*dot)(const float*, const float*, std::int64_t);
  void (*add_scaled)(float*, const float*, float, std::int64_t);
};

// NOLINTBEGIN(bugprone-macro-parentheses): an attribute is no expression.
#define MMRA_DEFINE_KERNELS(NAME, LANES, ATTRIBUTE)                                               \
  struct NAME {                                                                                   \
    ATTRIBUTE static void layer_norm(const float* x, const float* weight, const float* bias,      \
                                     float epsilon, float* y, std::int64_t size) {                \
      layer_norm_impl<LANES>(x, weight, bias, epsilon, y, size);                                  \
    }                                                                                             \
    ATTRIBUTE static void softmax(float* x, float scale, std::int64_t size) {                     \
      softmax_impl<LANES>(x, scale, size);                                                        \
    }                                                                                             \
    ATTRIBUTE static float dot(const float* a, const float* b, std::int64_t size) {               \
      return dot_impl<LANES>(a, b, size);                                                         \
    }                                                                                             \
    ATTRIBUTE static void add_scaled(float* y, const float* x, float factor, std::int64_t size) { \
      add_scaled_impl<LANES>(y, x, factor, size);                                                 \
    }                                                                                             \
    static constexpr Kernels kAll{layer_norm, softmax, dot, add_scaled};                          \
  }
// NOLINTEND(bugprone-macro-parentheses)

MMRA_DEFINE_KERNELS(Baseline, 4, );
#if defined(__x86_64__)
MMRA_DEFINE_KERNELS(Avx2, 8, __attribute__((target("avx2,fma"))));
MMRA_DEFINE_KERNELS(Avx512, 16, __attribute__((target("avx512f,avx512vl,avx512bw,avx2,fma"))));
#endif

const Kernels& choose_kernels() noexcept {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f") != 0 && __builtin_cpu_supports("avx512vl") != 0 &&
      __builtin_cpu_supports("avx512bw") != 0) {
    return Avx512::kAll;
  }
  if (__builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("fma") != 0) return Avx2::kAll;
#endif
  return Baseline::kAll;
}

const Kernels& kernels() noexcept {
  static const Kernels* const kChosen = &choose_kernels();
  return *kChosen;
}

}  // namespace

void layer_norm_row(const float* x, const float* weight, const float* bias, float epsilon, float* y,
                    std::int64_t size) noexcept {
  kernels().layer_norm(x, weight, bias, epsilon, y, size);
}

void softmax_row(float* x, float scale, std::int64_t size) noexcept {
  kernels().softmax(x, scale, size);
}

float dot(const float* a, const float* b, std::int64_t size) noexcept {
  return kernels().dot(a, b, size);
}

void add_scaled(float* y, const float* x, float factor, std::int64_t size) noexcept {
  kernels().add_scaled(y, x, factor, size);
}

}  // namespace mmra::encoders
