#include "mmra/core/bfloat16.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <vector>

namespace mmra {
namespace {

TEST(BFloat16, WidensEveryValue) {
  for (std::uint32_t bits = 0; bits < 65536; ++bits) {
    const auto half = static_cast<std::uint16_t>(bits);
    float wide = 0.0F;
    widen_bfloat16(&half, &wide, 1);
    ASSERT_EQ(std::bit_cast<std::uint32_t>(wide), bits << 16);
    std::uint16_t back = 0;
    round_to_bfloat16(&wide, &back, 1);
    if (std::isnan(wide)) {
      ASSERT_EQ(back, bits | 0x40U);
    } else {
      ASSERT_EQ(back, bits);
    }
  }
}

TEST(BFloat16, RoundsToNearestEven) {
  const auto rounded = [](std::uint32_t bits) {
    std::vector<float> values(33, std::bit_cast<float>(bits));
    std::vector<std::uint16_t> halves(33);
    round_to_bfloat16(values.data(), halves.data(), 33);
    for (const std::uint16_t half : halves) EXPECT_EQ(half, halves[0]);
    return halves[0];
  };
  EXPECT_EQ(rounded(0x3F808000), 0x3F80);  // a tie, to even below
  EXPECT_EQ(rounded(0x3F818000), 0x3F82);  // a tie, to even above
  EXPECT_EQ(rounded(0x3F808001), 0x3F81);
  EXPECT_EQ(rounded(0x3F807FFF), 0x3F80);
  EXPECT_EQ(rounded(0xBF818000), 0xBF82);
  EXPECT_EQ(rounded(0x7F7FFFFF), 0x7F80);  // the largest float becomes infinity
  EXPECT_EQ(rounded(0x7F800001), 0x7FC0);  // a NaN whose payload is below stays one
}

}  // namespace
}  // namespace mmra
