#include "mmra/core/binary_text.h"

#include <gtest/gtest.h>

#include <numeric>

namespace mmra {
namespace {

std::vector<std::uint8_t> bytes_of(std::string_view text) { return {text.begin(), text.end()}; }

TEST(BinaryText, HexIsThatOfTheStandard) {
  EXPECT_EQ(to_hex({}), "");
  EXPECT_EQ(to_hex(bytes_of("fooba")), "666f6f6261");  // RFC 4648, section 10
  EXPECT_EQ(from_hex("666F6f6261"), bytes_of("fooba"));
  EXPECT_EQ(from_hex(""), bytes_of(""));
}

TEST(BinaryText, EveryByteComesBackFromHex) {
  std::vector<std::uint8_t> bytes(256);
  std::iota(bytes.begin(), bytes.end(), std::uint8_t{0});
  EXPECT_EQ(from_hex(to_hex(bytes)), bytes);
}

TEST(BinaryText, RefusesWhatIsNoHex) {
  for (const char* text : {"6", "6g", "66 6f", " 66", "0x66", "66\n", "-1", "ÿÿ"}) {
    EXPECT_FALSE(from_hex(text)) << text;
  }
}

TEST(BinaryText, Base64IsThatOfTheStandard) {
  // RFC 4648, section 10.
  EXPECT_EQ(to_base64({}), "");
  EXPECT_EQ(to_base64(bytes_of("f")), "Zg==");
  EXPECT_EQ(to_base64(bytes_of("fo")), "Zm8=");
  EXPECT_EQ(to_base64(bytes_of("foo")), "Zm9v");
  EXPECT_EQ(to_base64(bytes_of("foobar")), "Zm9vYmFy");
  EXPECT_EQ(to_base64(std::vector<std::uint8_t>{0xfb, 0xff}), "+/8=");
}

TEST(Base64, IsReadAsItIsWritten) {
  for (std::size_t size = 0; size < 70; ++size) {
    std::vector<std::uint8_t> bytes(size);
    for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::uint8_t>(i * 37 + size);
    EXPECT_EQ(from_base64(to_base64(bytes)), bytes);
  }
  for (const char* text :
       {"Z", "Zg", "Zg=", "Zg===", "Zg= =", " Zg==", "Zg==\n", "Z_8=", "=", "Zm9vZg==Zg=="}) {
    EXPECT_EQ(from_base64(text), std::nullopt) << text;
  }
}

}  // namespace
}  // namespace mmra
