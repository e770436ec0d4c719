#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace mmra::retrieval {

// Vectors as codes of four bits for each part of them, packed as FAISS packs them for its "fast
// scan" (after André, Kermarrec and Le Scouarnec, "Quicker ADC", arXiv:1812.09162): blocks of 32
// vectors, of each part 16 bytes, one part after the other. Byte 2 j of a part has the codes of the
// vectors j (low half) and j + 16 (high half), byte 2 j + 1 those of j + 8 and j + 24. A table of
// 16 bytes for each part says what a code adds to its vector's sum; so one shuffle of the processor
// looks up 16 codes or more.

inline constexpr std::size_t kVectorsOfBlock = 32;
inline constexpr std::size_t kBytesOfPart = 16;  ///< of its codes in a block, and of its table

/// The sums of every vector of so many blocks, and of each block which of its sums are at least
/// `least`: bit i of `masks` is vector i's. `num_parts` is even; whatever codes there are, a sum
/// must fit into 16 bits. `codes`: [num_blocks × num_parts × 16], `tables`: [num_parts × 16],
/// `sums`: [num_blocks × 32], `masks`: [num_blocks].
void scan_blocks(const std::uint8_t* codes, std::size_t num_blocks, std::size_t num_parts,
                 const std::uint8_t* tables, std::uint16_t least, std::uint16_t* sums,
                 std::uint32_t* masks);

/// One way to do that; all give the same.
struct BlockScan {
  using Function = decltype(&scan_blocks);
  const char* name;
  Function scan;
};
/// All that this processor has, the fastest first; the last one is for any processor.
[[nodiscard]] std::span<const BlockScan> block_scans();

}  // namespace mmra::retrieval
