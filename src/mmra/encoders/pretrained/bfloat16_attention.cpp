#include "mmra/encoders/pretrained/bfloat16_attention.h"

#include <algorithm>
#include <cmath>

#if defined(__x86_64__)
#include <immintrin.h>

#include <array>
#include <limits>
#endif

namespace mmra::encoders {
namespace {

constexpr std::int64_t kLanes = 16;    // 32-bit elements of a vector
constexpr std::int64_t kTileRows = 6;  // queries at a time
constexpr std::int64_t kPanel = 4;  // vectors beside each other in a tile: 6 · 4 sums in registers
constexpr std::size_t kAlignment = 64;  // a vector, and a line of the cache

constexpr std::int64_t vectors_of(std::int64_t size) { return (size + kLanes - 1) / kLanes; }

/// A head's sizes: pairs of bfloat16 along what a product sums over, vectors along its columns.
struct Sizes {
  Sizes(std::int64_t num_keys, std::int64_t head_dim)
      : key_vectors(vectors_of(num_keys)),
        key_pairs(key_vectors * kLanes / 2),
        dim_vectors(vectors_of(head_dim)),
        dim_pairs(vectors_of((head_dim + 1) / 2) * kLanes) {}

  std::int64_t key_vectors;
  std::int64_t key_pairs;
  std::int64_t dim_vectors;
  std::int64_t dim_pairs;
};

}  // namespace

std::size_t attend_head_scratch(std::int64_t num_keys, std::int64_t head_dim) noexcept {
  const Sizes s(num_keys, head_dim);
  const std::int64_t packed =
      s.dim_pairs * s.key_vectors * kLanes + s.key_pairs * s.dim_vectors * kLanes;
  const std::int64_t tile =
      s.dim_pairs + s.key_vectors * kLanes + s.key_pairs + s.dim_vectors * kLanes;
  return static_cast<std::size_t>(packed + kTileRows * tile) + kAlignment / sizeof(float);
}

#if defined(__x86_64__)

// NOLINTNEXTLINE(cppcoreguidelines-macro-usage): an attribute.
#define MMRA_BFLOAT16 __attribute__((target("avx512f,avx512vl,avx512bw,avx512dq,avx512bf16")))
#define MMRA_BFLOAT16_INLINE [[gnu::always_inline]] MMRA_BFLOAT16 inline

namespace {

/// Scratch, each part beginning with a line of the cache. Pairs of bfloat16 lie in 32 bits.
///
/// The right side of a product, [pairs × columns], lies in panels of kPanel vectors of columns (the
/// last may have fewer), one panel after the other, each with its pairs one below the other.
struct Scratch {
  Scratch(const Sizes& s, float* memory)
      : keys(aligned(memory)),
        values(keys + s.dim_pairs * s.key_vectors * kLanes),
        queries(values + s.key_pairs * s.dim_vectors * kLanes),
        scores(queries + kTileRows * s.dim_pairs),
        weights(scores + kTileRows * s.key_vectors * kLanes),
        sums(weights + kTileRows * s.key_pairs) {}

  static float* aligned(float* memory) {
    const auto address = reinterpret_cast<std::uintptr_t>(memory);
    return memory + (kAlignment - address % kAlignment) % kAlignment / sizeof(float);
  }

  float* keys;     // pairs of dimensions × keys
  float* values;   // pairs of keys × dimensions
  float* queries;  // tile × pairs of dimensions
  float* scores;   // tile × keys, float32
  float* weights;  // tile × pairs of keys: e^score
  float* sums;     // tile × dimensions, float32
};

__mmask32 mask_of(std::int64_t count) {
  return count >= 32 ? ~__mmask32{0} : (__mmask32{1} << std::max<std::int64_t>(count, 0)) - 1U;
}

/// Where vector `index` of the columns begins in a right side of `pairs`, and how far it is from a
/// pair to the next.
struct PanelPlace {
  PanelPlace(std::int64_t index, std::int64_t num_vectors, std::int64_t pairs)
      : stride(std::min(kPanel, num_vectors - index / kPanel * kPanel) * kLanes),
        offset(index / kPanel * kPanel * kLanes * pairs + index % kPanel * kLanes) {}
  std::int64_t stride;
  std::int64_t offset;
};

/// [16 × 16] elements of 32 bits: exchanges the blocks of 1, 2, 4 and 8 beside the diagonal.
MMRA_BFLOAT16_INLINE void transpose(__m512i (&rows)[kLanes]) {
  const __m512i lanes = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
#pragma GCC unroll 4
  for (int size = 1; size < kLanes; size *= 2) {
    // Lanes whose bit `size` is set come from the other row.
    const __mmask16 upper = _mm512_test_epi32_mask(lanes, _mm512_set1_epi32(size));
    const __m512i swapped = _mm512_xor_si512(lanes, _mm512_set1_epi32(size));
    const __m512i low = _mm512_mask_add_epi32(lanes, upper, swapped, _mm512_set1_epi32(16));
    const __m512i high = _mm512_mask_add_epi32(swapped, upper, lanes, _mm512_set1_epi32(16));
#pragma GCC unroll 16
    for (int i = 0; i < kLanes; ++i) {
      if ((i & size) != 0) continue;
      const __m512i a = rows[i];
      const __m512i b = rows[i + size];
      rows[i] = _mm512_permutex2var_epi32(a, low, b);
      rows[i + size] = _mm512_permutex2var_epi32(a, high, b);
    }
  }
}

/// Keys, transposed; zeros beyond the last and beyond their dimensions.
MMRA_BFLOAT16 void pack_keys(ConstBFloat16Rows keys, const Sizes& s, float* packed) {
  for (std::int64_t vector = 0; vector < s.key_vectors; ++vector) {
    const PanelPlace place(vector, s.key_vectors, s.dim_pairs);
    for (std::int64_t pair = 0; pair < s.dim_pairs; pair += kLanes) {
      const __mmask32 mask = mask_of(keys.cols - 2 * pair);
      __m512i rows[kLanes];
      for (std::int64_t i = 0; i < kLanes; ++i) {
        const std::int64_t key = vector * kLanes + i;
        rows[i] = key < keys.rows ? _mm512_maskz_loadu_epi16(mask, keys.row(key) + 2 * pair)
                                  : _mm512_setzero_si512();
      }
      transpose(rows);
      for (std::int64_t i = 0; i < kLanes; ++i) {
        _mm512_store_si512(packed + place.offset + (pair + i) * place.stride, rows[i]);
      }
    }
  }
}

/// Values, two keys' interleaved; zeros beyond the last and beyond their dimensions.
MMRA_BFLOAT16 void pack_values(ConstBFloat16Rows values, const Sizes& s, float* packed) {
  for (std::int64_t vector = 0; vector < s.dim_vectors; ++vector) {
    const PanelPlace place(vector, s.dim_vectors, s.key_pairs);
    const auto mask = static_cast<__mmask16>(mask_of(values.cols - vector * kLanes));
    const auto widened = [&](std::int64_t key) MMRA_BFLOAT16 {
      const __mmask16 seen = key < values.rows ? mask : __mmask16{0};
      const std::uint16_t* row = values.row(std::min(key, values.rows - 1)) + vector * kLanes;
      return _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(seen, row));
    };
    for (std::int64_t pair = 0; pair < s.key_pairs; ++pair) {
      const __m512i upper = _mm512_slli_epi32(widened(2 * pair + 1), 16);
      _mm512_store_si512(packed + place.offset + pair * place.stride,
                         _mm512_or_si512(widened(2 * pair), upper));
    }
  }
}

/// A tile's queries; zeros beyond the last and beyond their dimensions.
MMRA_BFLOAT16 void pack_queries(ConstBFloat16Rows queries, const Sizes& s, float* packed) {
  for (std::int64_t i = 0; i < kTileRows; ++i) {
    const bool is_there = i < queries.rows;
    const std::uint16_t* row = queries.row(is_there ? i : 0);
    for (std::int64_t pair = 0; pair < s.dim_pairs; pair += kLanes) {
      const __mmask32 mask = is_there ? mask_of(queries.cols - 2 * pair) : __mmask32{0};
      _mm512_store_si512(packed + i * s.dim_pairs + pair,
                         _mm512_maskz_loadu_epi16(mask, row + 2 * pair));
    }
  }
}

/// Another thread wrote the queries: without it a tile waits for its first read.
void prefetch(ConstBFloat16Rows rows) {
  constexpr std::int64_t kStep = kAlignment / sizeof(std::uint16_t);
  for (std::int64_t i = 0; i < rows.rows; ++i) {
    for (std::int64_t j = 0; j < rows.cols; j += kStep) __builtin_prefetch(rows.row(i) + j);
  }
}

/// product [tile × kVectors vectors] = left [tile × pairs] · one panel of the right side.
template <int kVectors>
MMRA_BFLOAT16 void multiply_panel(const float* left, std::int64_t pairs, const float* right,
                                  float* product, std::int64_t product_stride) {
  __m512 sums[kTileRows][kVectors] = {};
  for (std::int64_t pair = 0; pair < pairs; ++pair) {
    __m512bh columns[kVectors];
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      columns[v] = (__m512bh)_mm512_load_ps(right + (pair * kVectors + v) * kLanes);
    }
#pragma GCC unroll 6
    for (int i = 0; i < kTileRows; ++i) {
      const auto factor = (__m512bh)_mm512_set1_ps(left[i * pairs + pair]);
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) {
        sums[i][v] = _mm512_dpbf16_ps(sums[i][v], factor, columns[v]);
      }
    }
  }
#pragma GCC unroll 6
  for (int i = 0; i < kTileRows; ++i) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      _mm512_store_ps(product + i * product_stride + v * kLanes, sums[i][v]);
    }
  }
}

/// product [tile × num_vectors vectors] = left [tile × pairs] · right [pairs × num_vectors
/// vectors].
MMRA_BFLOAT16 void multiply(const float* left, std::int64_t pairs, const float* right,
                            std::int64_t num_vectors, float* product) {
  constexpr std::array kPanels{multiply_panel<1>, multiply_panel<2>, multiply_panel<3>,
                               multiply_panel<4>};
  for (std::int64_t first = 0; first < num_vectors; first += kPanel) {
    const std::int64_t count = std::min(kPanel, num_vectors - first);
    kPanels[static_cast<std::size_t>(count - 1)](left, pairs, right + first * kLanes * pairs,
                                                 product + first * kLanes, num_vectors * kLanes);
  }
}

/// 2ˣ for x ≤ 0, relative error below 3·10⁻⁶: Taylor's polynomial of degree 5 on [−½, ½], far
/// below what rounding to bfloat16 loses.
MMRA_BFLOAT16_INLINE __m512 exp2_of_negative(__m512 x) {
  const __m512 whole = _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  const __m512 r = _mm512_sub_ps(x, whole);
  __m512 p = _mm512_set1_ps(1.33335581e-3F);
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(9.61812911e-3F));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(5.55041087e-2F));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(2.40226507e-1F));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(6.93147181e-1F));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0F));
  return _mm512_scalef_ps(p, whole);
}

/// weights ← 2^(log2_scale · (x − max x)) of the first `visible` scores, zero beyond; gives one
/// over their sum.
MMRA_BFLOAT16 float exponentiate(const float* scores, float log2_scale, std::int64_t visible,
                                 std::int64_t num_vectors, std::uint16_t* weights) {
  const std::int64_t whole = visible / kLanes;
  const auto rest = static_cast<__mmask16>(mask_of(visible % kLanes));
  const __m512 lowest = _mm512_set1_ps(-std::numeric_limits<float>::infinity());
  __m512 maxima = lowest;
  for (std::int64_t v = 0; v < whole; ++v) {
    maxima = _mm512_max_ps(maxima, _mm512_load_ps(scores + v * kLanes));
  }
  if (rest != 0) {
    maxima = _mm512_max_ps(maxima, _mm512_mask_load_ps(lowest, rest, scores + whole * kLanes));
  }
  const __m512 scale = _mm512_set1_ps(log2_scale);
  const __m512 shift = _mm512_set1_ps(_mm512_reduce_max_ps(maxima) * log2_scale);
  __m512 sums = _mm512_setzero_ps();
  const auto weigh = [&](std::int64_t v, __mmask16 mask) MMRA_BFLOAT16 {
    const __m512 x = _mm512_fmsub_ps(_mm512_load_ps(scores + v * kLanes), scale, shift);
    const __m512 e = _mm512_maskz_mov_ps(mask, exp2_of_negative(x));
    sums = _mm512_add_ps(sums, e);
    _mm256_store_si256(reinterpret_cast<__m256i*>(weights + v * kLanes),
                       (__m256i)_mm512_cvtneps_pbh(e));
  };
  for (std::int64_t v = 0; v < whole; ++v) weigh(v, 0xFFFF);
  if (rest != 0) weigh(whole, rest);
  for (std::int64_t v = vectors_of(visible); v < num_vectors; ++v) {
    _mm256_store_si256(reinterpret_cast<__m256i*>(weights + v * kLanes), _mm256_setzero_si256());
  }
  return 1.0F / _mm512_reduce_add_ps(sums);
}

/// output [size] = factor · sums.
MMRA_BFLOAT16 void write_row(const float* sums, float factor, std::uint16_t* output,
                             std::int64_t size) {
  for (std::int64_t first = 0; first < size; first += kLanes) {
    const __m512 scaled = _mm512_mul_ps(_mm512_load_ps(sums + first), _mm512_set1_ps(factor));
    _mm256_mask_storeu_epi16(output + first, static_cast<__mmask16>(mask_of(size - first)),
                             (__m256i)_mm512_cvtneps_pbh(scaled));
  }
}

}  // namespace

MMRA_BFLOAT16 void attend_head(const BFloat16Head& head, float scale, float* memory) noexcept {
  const std::int64_t head_dim = head.keys.cols;
  const Sizes sizes(head.keys.rows, head_dim);
  const Scratch scratch(sizes, memory);
  const float log2_scale = scale * 1.44269504F;
  const std::int64_t num_queries = head.queries.rows;
  prefetch(head.queries.slice(0, std::min(kTileRows, num_queries)));
  pack_keys(head.keys, sizes, scratch.keys);
  pack_values(head.values, sizes, scratch.values);
  for (std::int64_t first = 0; first < num_queries; first += kTileRows) {
    const std::int64_t count = std::min(kTileRows, num_queries - first);
    const std::int64_t next = first + count;
    pack_queries(head.queries.slice(first, count), sizes, scratch.queries);
    prefetch(head.queries.slice(next, std::min(kTileRows, num_queries - next)));
    multiply(scratch.queries, sizes.dim_pairs, scratch.keys, sizes.key_vectors, scratch.scores);
    std::array<float, kTileRows> factors{};
    for (std::int64_t i = 0; i < count; ++i) {
      auto* weights = reinterpret_cast<std::uint16_t*>(scratch.weights + i * sizes.key_pairs);
      factors[i] = exponentiate(scratch.scores + i * sizes.key_vectors * kLanes, log2_scale,
                                head.first_visible + head.visible_step * (first + i),
                                sizes.key_vectors, weights);
    }
    multiply(scratch.weights, sizes.key_pairs, scratch.values, sizes.dim_vectors, scratch.sums);
    for (std::int64_t i = 0; i < count; ++i) {
      write_row(scratch.sums + i * sizes.dim_vectors * kLanes, factors[i],
                head.output.row(first + i), head_dim);
    }
  }
}

#else

// No other processor has_bfloat16_products().
void attend_head(const BFloat16Head& /*head*/, float /*scale*/, float* /*memory*/) noexcept {}

#endif

}  // namespace mmra::encoders
