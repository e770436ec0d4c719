#include "mmra/retrieval/index/packed_codes.h"

#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace mmra::retrieval {
namespace {

constexpr unsigned kLowHalf = 0x0F;

void scan_plainly(const std::uint8_t* codes, std::size_t num_blocks, std::size_t num_parts,
                  const std::uint8_t* tables, std::uint16_t least, std::uint16_t* sums,
                  std::uint32_t* masks) {
  for (std::size_t block = 0; block < num_blocks; ++block, sums += kVectorsOfBlock) {
    for (std::size_t i = 0; i < kVectorsOfBlock; ++i) sums[i] = 0;
    for (std::size_t part = 0; part < num_parts; ++part, codes += kBytesOfPart) {
      const std::uint8_t* table = tables + part * kBytesOfPart;
      for (std::size_t byte = 0; byte < kBytesOfPart; ++byte) {
        const std::size_t vector = byte / 2 + byte % 2 * 8;
        sums[vector] = static_cast<std::uint16_t>(sums[vector] + table[codes[byte] & kLowHalf]);
        sums[vector + 16] = static_cast<std::uint16_t>(sums[vector + 16] + table[codes[byte] >> 4]);
      }
    }
    masks[block] = 0;
    for (std::size_t i = 0; i < kVectorsOfBlock; ++i) {
      if (sums[i] >= least) masks[block] |= std::uint32_t{1} << i;
    }
  }
}

#if defined(__x86_64__)

// Sixteen sums of 16 bits are taken out of 32 looked-up bytes as they lie: added up as if they were
// numbers of 16 bits, the even bytes are the sums but for what the odd ones carry into their upper
// half; the odd ones are added up on their own and taken off in the end.

#define MMRA_AVX2 __attribute__((target("avx2")))
#define MMRA_AVX512 __attribute__((target("avx512f,avx512bw")))

struct Sums256 {
  __m256i low_all, low_odd, high_all, high_odd;  // by halves of the codes' bytes
};

/// The sums of the sixteen vectors of a half: what even bytes say, then what odd ones do.
MMRA_AVX2 inline __m256i finish_half(__m256i all, __m256i odd) {
  const __m256i even = _mm256_sub_epi16(all, _mm256_slli_epi16(odd, 8));
  return _mm256_add_epi16(_mm256_permute2x128_si256(even, odd, 0x20),
                          _mm256_permute2x128_si256(even, odd, 0x31));
}

MMRA_AVX2 inline __m256i are_at_least(__m256i values, __m256i least) {
  return _mm256_cmpeq_epi16(_mm256_max_epu16(values, least), values);
}

MMRA_AVX2 inline Sums256 sum_block_256(const std::uint8_t* codes, std::size_t num_parts,
                                       const std::uint8_t* tables) {
  const __m256i low_half = _mm256_set1_epi8(kLowHalf);
  const __m256i zero = _mm256_setzero_si256();
  Sums256 sums{zero, zero, zero, zero};
  for (std::size_t at = 0; at < num_parts * kBytesOfPart; at += 2 * kBytesOfPart) {
    const __m256i both = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(codes + at));
    const __m256i table = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(tables + at));
    const __m256i low = _mm256_shuffle_epi8(table, _mm256_and_si256(both, low_half));
    const __m256i high =
        _mm256_shuffle_epi8(table, _mm256_and_si256(_mm256_srli_epi16(both, 4), low_half));
    sums.low_all = _mm256_add_epi16(sums.low_all, low);
    sums.low_odd = _mm256_add_epi16(sums.low_odd, _mm256_srli_epi16(low, 8));
    sums.high_all = _mm256_add_epi16(sums.high_all, high);
    sums.high_odd = _mm256_add_epi16(sums.high_odd, _mm256_srli_epi16(high, 8));
  }
  return sums;
}

MMRA_AVX2 void scan_avx2(const std::uint8_t* codes, std::size_t num_blocks, std::size_t num_parts,
                         const std::uint8_t* tables, std::uint16_t least, std::uint16_t* sums,
                         std::uint32_t* masks) {
  const __m256i threshold = _mm256_set1_epi16(static_cast<short>(least));
  for (std::size_t block = 0; block < num_blocks; ++block) {
    const Sums256 parts = sum_block_256(codes, num_parts, tables);
    codes += num_parts * kBytesOfPart;
    const __m256i first = finish_half(parts.low_all, parts.low_odd);
    const __m256i second = finish_half(parts.high_all, parts.high_odd);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(sums), first);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(sums + 16), second);
    sums += kVectorsOfBlock;
    // Packing takes the halves of both in turn.
    const __m256i packed =
        _mm256_packs_epi16(are_at_least(first, threshold), are_at_least(second, threshold));
    masks[block] = static_cast<std::uint32_t>(
        _mm256_movemask_epi8(_mm256_permute4x64_epi64(packed, 0b11'01'10'00)));
  }
}

struct Sums512 {
  __m512i low_all, low_odd, high_all, high_odd;
};

MMRA_AVX512 inline void add_four_parts(__m512i both, __m512i table, Sums512& sums) {
  const __m512i low_half = _mm512_set1_epi8(kLowHalf);
  const __m512i low = _mm512_shuffle_epi8(table, _mm512_and_si512(both, low_half));
  const __m512i high =
      _mm512_shuffle_epi8(table, _mm512_and_si512(_mm512_srli_epi16(both, 4), low_half));
  sums.low_all = _mm512_add_epi16(sums.low_all, low);
  sums.low_odd = _mm512_add_epi16(sums.low_odd, _mm512_srli_epi16(low, 8));
  sums.high_all = _mm512_add_epi16(sums.high_all, high);
  sums.high_odd = _mm512_add_epi16(sums.high_odd, _mm512_srli_epi16(high, 8));
}

/// The lower halves of both plus their upper halves, each half [a's, b's].
MMRA_AVX512 inline __m512i add_halves(__m512i a, __m512i b) {
  return _mm512_add_epi16(__builtin_shufflevector(a, b, 0, 1, 2, 3, 8, 9, 10, 11),
                          __builtin_shufflevector(a, b, 4, 5, 6, 7, 12, 13, 14, 15));
}

/// The sums of the 32 vectors: each register's four quarters are added up.
MMRA_AVX512 inline __m512i finish(const Sums512& sums) {
  const __m512i low_even = _mm512_sub_epi16(sums.low_all, _mm512_slli_epi16(sums.low_odd, 8));
  const __m512i high_even = _mm512_sub_epi16(sums.high_all, _mm512_slli_epi16(sums.high_odd, 8));
  const __m512i low = add_halves(low_even, sums.low_odd);
  const __m512i high = add_halves(high_even, sums.high_odd);
  return _mm512_add_epi16(__builtin_shufflevector(low, high, 0, 1, 4, 5, 8, 9, 12, 13),
                          __builtin_shufflevector(low, high, 2, 3, 6, 7, 10, 11, 14, 15));
}

MMRA_AVX512 void scan_avx512(const std::uint8_t* codes, std::size_t num_blocks,
                             std::size_t num_parts, const std::uint8_t* tables, std::uint16_t least,
                             std::uint16_t* sums, std::uint32_t* masks) {
  constexpr std::size_t kFourParts = 4 * kBytesOfPart;
  const __m512i threshold = _mm512_set1_epi16(static_cast<short>(least));
  const std::size_t num_bytes = num_parts * kBytesOfPart;
  const std::size_t whole = num_bytes - num_bytes % kFourParts;
  for (std::size_t block = 0; block < num_blocks; ++block, codes += num_bytes) {
    const __m512i zero = _mm512_setzero_si512();
    Sums512 parts{zero, zero, zero, zero};
    for (std::size_t at = 0; at < whole; at += kFourParts) {
      add_four_parts(_mm512_loadu_si512(codes + at), _mm512_loadu_si512(tables + at), parts);
    }
    if (whole < num_bytes) {  // two parts more, beside two of nothing
      constexpr __mmask64 kTwoParts = 0xFFFF'FFFF;
      add_four_parts(_mm512_maskz_loadu_epi8(kTwoParts, codes + whole),
                     _mm512_maskz_loadu_epi8(kTwoParts, tables + whole), parts);
    }
    const __m512i all = finish(parts);
    _mm512_storeu_si512(sums + block * kVectorsOfBlock, all);
    masks[block] = _mm512_cmpge_epu16_mask(all, threshold);
  }
}

#endif

std::vector<BlockScan> find_scans() {
  std::vector<BlockScan> scans;
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512bw") != 0) scans.push_back({"AVX-512", scan_avx512});
  if (__builtin_cpu_supports("avx2") != 0) scans.push_back({"AVX2", scan_avx2});
#endif
  scans.push_back({"plain", scan_plainly});
  return scans;
}

}  // namespace

std::span<const BlockScan> block_scans() {
  static const std::vector<BlockScan> kScans = find_scans();
  return kScans;
}

void scan_blocks(const std::uint8_t* codes, std::size_t num_blocks, std::size_t num_parts,
                 const std::uint8_t* tables, std::uint16_t least, std::uint16_t* sums,
                 std::uint32_t* masks) {
  static const BlockScan::Function kFastest = block_scans().front().scan;
  kFastest(codes, num_blocks, num_parts, tables, least, sums, masks);
}

}  // namespace mmra::retrieval
