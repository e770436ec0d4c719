#include "mmra/retrieval/byte_products.h"

#include <algorithm>

#include "mmra/retrieval/matrix_product.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace mmra::retrieval {
namespace {

// From so many queries on oneDNN's product is the fastest where the processor has VNNI, and where
// it has not even AVX2.
constexpr std::size_t kQueriesForLibrary = 4;

#if defined(__x86_64__)

// So many rows stay in the first-level cache (16 KiB at 1,024 dimensions) while all queries pass
// by.
constexpr std::size_t kRowsAtATime = 16;
constexpr std::size_t kQueriesOfTile = 2;
constexpr std::size_t kRowsOfTile = 4;

#define MMRA_AVX2 __attribute__((target("avx2")))
#define MMRA_VNNI __attribute__((target("avx2,avx512vl,avx512vnni")))

MMRA_AVX2 inline __m256i load(const void* from) {
  return _mm256_loadu_si256(static_cast<const __m256i*>(from));
}

MMRA_AVX2 inline __m128i add_halves(__m256i lanes) {
  return _mm_add_epi32(_mm256_castsi256_si128(lanes), _mm256_extracti128_si256(lanes, 1));
}

/// Adds the products of 64 components to `sums`, four at a time in 16 bits first.
MMRA_AVX2 inline __m256i add_products(__m256i sums, __m256i query_low, __m256i query_high,
                                      const std::int8_t* row) {
  const __m256i low = _mm256_maddubs_epi16(query_low, load(row));
  const __m256i high = _mm256_maddubs_epi16(query_high, load(row + 32));
  const __m256i pairs = _mm256_madd_epi16(_mm256_add_epi16(low, high), _mm256_set1_epi16(1));
  return _mm256_add_epi32(sums, pairs);
}

MMRA_AVX2 inline std::int32_t add_lanes(__m256i lanes) {
  __m128i sum = add_halves(lanes);
  sum = _mm_hadd_epi32(sum, sum);
  return _mm_cvtsi128_si32(_mm_hadd_epi32(sum, sum));
}

MMRA_AVX2 inline std::int32_t multiply_one(const std::uint8_t* query, const std::int8_t* row,
                                           std::size_t stride) {
  __m256i sums = _mm256_setzero_si256();
  for (std::size_t i = 0; i < stride; i += kByteStride) {
    sums = add_products(sums, load(query + i), load(query + i + 32), row + i);
  }
  return add_lanes(sums);
}

/// to [4] = the sums of four registers' lanes.
MMRA_AVX2 inline void store_sums(const __m256i* lanes, std::int32_t* to) {
  const __m256i sums = _mm256_hadd_epi32(_mm256_hadd_epi32(lanes[0], lanes[1]),
                                         _mm256_hadd_epi32(lanes[2], lanes[3]));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to), add_halves(sums));
}

/// dots [2 queries × 4 rows], whose lines lie `dots_stride` apart: what the registers hold.
MMRA_AVX2 inline void multiply_tile(const std::uint8_t* queries, const std::int8_t* rows,
                                    std::size_t stride, std::int32_t* dots,
                                    std::size_t dots_stride) {
  const __m256i zero = _mm256_setzero_si256();
  __m256i a[kRowsOfTile] = {zero, zero, zero, zero};
  __m256i b[kRowsOfTile] = {zero, zero, zero, zero};
  for (std::size_t i = 0; i < stride; i += kByteStride) {
    const std::int8_t* row = rows + i;
    const __m256i a_low = load(queries + i);
    const __m256i a_high = load(queries + i + 32);
    a[0] = add_products(a[0], a_low, a_high, row);
    a[1] = add_products(a[1], a_low, a_high, row + stride);
    a[2] = add_products(a[2], a_low, a_high, row + 2 * stride);
    a[3] = add_products(a[3], a_low, a_high, row + 3 * stride);
    const __m256i b_low = load(queries + stride + i);
    const __m256i b_high = load(queries + stride + i + 32);
    b[0] = add_products(b[0], b_low, b_high, row);
    b[1] = add_products(b[1], b_low, b_high, row + stride);
    b[2] = add_products(b[2], b_low, b_high, row + 2 * stride);
    b[3] = add_products(b[3], b_low, b_high, row + 3 * stride);
  }
  store_sums(a, dots);
  store_sums(b, dots + dots_stride);
}

/// Few queries: the rows' way from memory is what counts, and they are read in their order, once
/// for each query.
MMRA_AVX2 void multiply_few(const std::uint8_t* queries, std::size_t num_queries,
                            const std::int8_t* rows, std::size_t num_rows, std::size_t stride,
                            std::int32_t* dots) {
  for (std::size_t q = 0; q < num_queries; ++q) {
    for (std::size_t r = 0; r < num_rows; ++r) {
      dots[q * num_rows + r] = multiply_one(queries + q * stride, rows + r * stride, stride);
    }
  }
}

/// The same with VNNI, which adds four products up in 32 bits.
MMRA_VNNI void multiply_few_in_32_bits(const std::uint8_t* queries, std::size_t num_queries,
                                       const std::int8_t* rows, std::size_t num_rows,
                                       std::size_t stride, std::int32_t* dots) {
  for (std::size_t q = 0; q < num_queries; ++q) {
    const std::uint8_t* query = queries + q * stride;
    for (std::size_t r = 0; r < num_rows; ++r) {
      const std::int8_t* row = rows + r * stride;
      __m256i low = _mm256_setzero_si256();
      __m256i high = _mm256_setzero_si256();
      for (std::size_t i = 0; i < stride; i += kByteStride) {
        low = _mm256_dpbusd_epi32(low, load(query + i), load(row + i));
        high = _mm256_dpbusd_epi32(high, load(query + i + 32), load(row + i + 32));
      }
      dots[q * num_rows + r] = add_lanes(_mm256_add_epi32(low, high));
    }
  }
}

MMRA_AVX2 void multiply_many(const std::uint8_t* queries, std::size_t num_queries,
                             const std::int8_t* rows, std::size_t num_rows, std::size_t stride,
                             std::int32_t* dots) {
  const std::size_t whole_queries = num_queries - num_queries % kQueriesOfTile;
  const std::size_t whole_rows = num_rows - num_rows % kRowsOfTile;
  for (std::size_t first = 0; first < whole_rows; first += kRowsAtATime) {
    const std::size_t end = std::min(first + kRowsAtATime, whole_rows);
    for (std::size_t q = 0; q < whole_queries; q += kQueriesOfTile) {
      for (std::size_t r = first; r < end; r += kRowsOfTile) {
        multiply_tile(queries + q * stride, rows + r * stride, stride, dots + q * num_rows + r,
                      num_rows);
      }
    }
  }
  for (std::size_t q = 0; q < num_queries; ++q) {  // what no whole tile covers
    for (std::size_t r = q < whole_queries ? whole_rows : 0; r < num_rows; ++r) {
      dots[q * num_rows + r] = multiply_one(queries + q * stride, rows + r * stride, stride);
    }
  }
}

bool has_avx2() {
  static const bool kHas = __builtin_cpu_supports("avx2") != 0;
  return kHas;
}
bool has_vnni() {
  static const bool kHas =
      __builtin_cpu_supports("avx512vnni") != 0 && __builtin_cpu_supports("avx512vl") != 0;
  return kHas;
}

#endif

}  // namespace

void multiply_bytes_plainly(const std::uint8_t* queries, std::size_t num_queries,
                            const std::int8_t* rows, std::size_t num_rows, std::size_t stride,
                            std::int32_t* dots) {
  for (std::size_t q = 0; q < num_queries; ++q) {
    for (std::size_t r = 0; r < num_rows; ++r) {
      std::int32_t sum = 0;
      for (std::size_t i = 0; i < stride; ++i) {
        sum += static_cast<std::int16_t>(queries[q * stride + i]) *
               static_cast<std::int16_t>(rows[r * stride + i]);
      }
      dots[q * num_rows + r] = sum;
    }
  }
}

ByteRange widest_byte_range() {
#if defined(__x86_64__)
  if (has_vnni()) return kEightBits;
#endif
  return kSevenBits;
}

void multiply_bytes(const std::uint8_t* queries, std::size_t num_queries, const std::int8_t* rows,
                    std::size_t num_rows, std::size_t stride, std::int32_t* dots) {
  const bool many = num_queries >= kQueriesForLibrary;
#if defined(__x86_64__)
  if (has_vnni() && !many) {
    multiply_few_in_32_bits(queries, num_queries, rows, num_rows, stride, dots);
    return;
  }
  if (has_avx2() && !has_vnni()) {
    (many ? multiply_many : multiply_few)(queries, num_queries, rows, num_rows, stride, dots);
    return;
  }
#endif
  if (many) {
    multiply_bytes_by_transposed(queries, num_queries, rows, num_rows, stride, dots);
  } else {
    multiply_bytes_plainly(queries, num_queries, rows, num_rows, stride, dots);
  }
}

}  // namespace mmra::retrieval
