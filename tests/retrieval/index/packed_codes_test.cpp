#include "mmra/retrieval/index/packed_codes.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

namespace mmra::retrieval {
namespace {

/// Codes of so many blocks, each vector's by itself, and packed as the header says.
struct MadeCodes {
  MadeCodes(std::size_t blocks, std::size_t parts, unsigned seed)
      : num_blocks(blocks), num_parts(parts) {
    std::mt19937 random(seed);
    codes.resize(num_blocks * kVectorsOfBlock * num_parts);
    for (auto& code : codes) code = static_cast<std::uint8_t>(random() % 16);
    tables.resize(num_parts * 16);
    for (auto& entry : tables) entry = static_cast<std::uint8_t>(random() % 256);
    packed.assign(num_blocks * num_parts * kBytesOfPart, 0);
    for (std::size_t vector = 0; vector < num_blocks * kVectorsOfBlock; ++vector) {
      for (std::size_t part = 0; part < num_parts; ++part) pack(vector, part);
    }
  }

  [[nodiscard]] std::uint8_t code(std::size_t vector, std::size_t part) const {
    return codes[vector * num_parts + part];
  }
  void pack(std::size_t vector, std::size_t part) {
    const std::size_t within = vector % kVectorsOfBlock;
    const std::size_t byte = within % 8 * 2 + within / 8 % 2;
    const std::size_t block = vector / kVectorsOfBlock;
    const int shift = within >= 16 ? 4 : 0;
    packed[(block * num_parts + part) * kBytesOfPart + byte] |=
        static_cast<std::uint8_t>(code(vector, part) << shift);
  }
  [[nodiscard]] std::vector<std::uint16_t> sums() const {
    std::vector<std::uint16_t> sums(num_blocks * kVectorsOfBlock, 0);
    for (std::size_t vector = 0; vector < sums.size(); ++vector) {
      for (std::size_t part = 0; part < num_parts; ++part) {
        sums[vector] =
            static_cast<std::uint16_t>(sums[vector] + tables[part * 16 + code(vector, part)]);
      }
    }
    return sums;
  }

  std::size_t num_blocks;
  std::size_t num_parts;
  std::vector<std::uint8_t> codes;
  std::vector<std::uint8_t> packed;
  std::vector<std::uint8_t> tables;
};

void expect_right(const MadeCodes& made, std::uint16_t least) {
  const std::vector<std::uint16_t> expected = made.sums();
  for (const BlockScan& way : block_scans()) {
    std::vector<std::uint16_t> sums(expected.size());
    std::vector<std::uint32_t> masks(made.num_blocks);
    way.scan(made.packed.data(), made.num_blocks, made.num_parts, made.tables.data(), least,
             sums.data(), masks.data());
    EXPECT_EQ(sums, expected) << way.name << ", " << made.num_parts << " parts";
    for (std::size_t i = 0; i < sums.size(); ++i) {
      const bool is_set = ((masks[i / kVectorsOfBlock] >> (i % kVectorsOfBlock)) & 1U) != 0;
      ASSERT_EQ(is_set, expected[i] >= least) << way.name << ", vector " << i;
    }
  }
}

TEST(PackedCodes, EveryWayToScanGivesTheSums) {
  for (const std::size_t num_parts : {2, 4, 6, 16, 62, 64, 130}) {
    const MadeCodes made(3, num_parts, static_cast<unsigned>(num_parts));
    std::vector<std::uint16_t> sums = made.sums();
    std::sort(sums.begin(), sums.end());
    for (const std::uint16_t least : {sums.front(), sums[sums.size() / 2], sums.back()}) {
      expect_right(made, least);
    }
    expect_right(made, 0);
    expect_right(made, UINT16_MAX);
  }
}

TEST(PackedCodes, SumsMayFill16Bits) {
  MadeCodes made(2, 256, 1);
  std::fill(made.tables.begin(), made.tables.end(), std::uint8_t{255});
  EXPECT_EQ(made.sums().front(), 65'280);
  expect_right(made, 65'280);
  expect_right(made, 65'281);
}

TEST(PackedCodes, ThereIsAWayForAnyProcessor) { EXPECT_STREQ(block_scans().back().name, "plain"); }

}  // namespace
}  // namespace mmra::retrieval
