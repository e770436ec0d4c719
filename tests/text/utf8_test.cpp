#include "mmra/text/utf8.h"

#include <gtest/gtest.h>

#include <random>
#include <string>

namespace mmra::text {
namespace {

std::string replaced(const std::string& bytes) { return replace_invalid_utf8(bytes); }

TEST(Utf8, KeepsValidTextAsItIs) {
  const std::string texts[] = {"",
                               "plain",
                               "Zürich",
                               "مرحبا",
                               "नमस्ते",
                               "你好",
                               "👨‍👩‍👧",
                               std::string("nul\0inside", 10),
                               "\xF4\x8F\xBF\xBF",
                               "\xED\x9F\xBF",
                               "\xEE\x80\x80"};
  for (const std::string& text : texts) {
    EXPECT_TRUE(is_valid_utf8(text)) << text;
    EXPECT_EQ(replaced(text), text);
    EXPECT_EQ(encode_utf8(decode_utf8(text)), text);
  }
}

// The examples of Unicode 15, section 3.9 ("U+FFFD substitution of maximal subparts").
TEST(Utf8, ReplacesMaximalSubparts) {
  const std::string r = "\xEF\xBF\xBD";
  EXPECT_EQ(replaced("\xC0\xAF\xE0\x80\xBF\xF0\x81\x82\x41"), r + r + r + r + r + r + r + r + "A");
  EXPECT_EQ(replaced("\xED\xA0\x80\xED\xBF\xBF\xED\xAF\x41"), r + r + r + r + r + r + r + r + "A");
  EXPECT_EQ(replaced("\xF4\x91\x92\x93\xFF\x41\x80\xBF\x42"),
            r + r + r + r + r + "A" + r + r + "B");
  EXPECT_EQ(replaced("\xE1\x80\xE2\xF0\x91\x92\xF1\xBF\x41"), r + r + r + r + "A");
}

TEST(Utf8, RefusesOverlongSurrogatesAndCutSequences) {
  const std::string bad[] = {"\xC0\x80",     "\xC1\xBF",         "\xE0\x9F\xBF",
                             "\xED\xA0\x80", "\xF4\x90\x80\x80", "\xF5\x80\x80\x80",
                             "\x80",         "a\xE2\x82",        "\xFF"};
  for (const std::string& bytes : bad) EXPECT_FALSE(is_valid_utf8(bytes));
}

TEST(Utf8, AnyBytesBecomeValidAndStayThatWay) {
  std::mt19937 random(3);
  for (int round = 0; round < 2000; ++round) {
    std::string bytes(random() % 24, '\0');
    for (char& byte : bytes) byte = static_cast<char>(random());
    const std::string once = replaced(bytes);
    EXPECT_TRUE(is_valid_utf8(once));
    EXPECT_EQ(replaced(once), once);
    EXPECT_TRUE(is_valid_utf8(encode_utf8(normalize(bytes))));
  }
}

TEST(Normalize, FoldsCaseAndCompatibilityForms) {
  EXPECT_EQ(normalize("Ｆｕｎ FUN"), U"fun fun");
  EXPECT_EQ(normalize("Straße"), U"strasse");
  EXPECT_EQ(normalize("e\xCC\x81"), U"\u00E9");
  EXPECT_EQ(normalize("ﬁ"), U"fi");
  EXPECT_EQ(normalize("ｶﾞ"), U"\u30AC");
  EXPECT_EQ(normalize(""), U"");
}

TEST(Normalize, RemovesInvisibleCodePointsButTheJoiner) {
  EXPECT_EQ(normalize("so\xC2\xADso"), U"soso");
  EXPECT_EQ(normalize("❤\xEF\xB8\x8F"), U"\u2764");
  EXPECT_EQ(normalize("a\xE2\x80\x8D"), U"a\u200D");
}

TEST(Normalize, ReplacesBrokenBytes) { EXPECT_EQ(normalize("A\xFFZ"), U"a\uFFFDz"); }

// Alternating marks of classes 230 and 220: sorted as one run this would take hours.
TEST(Normalize, IsLinearInRunsOfCombiningMarks) {
  std::string text = "a";
  for (int i = 0; i < 250'000; ++i) text += "\xCC\x81\xCC\x96";
  const std::u32string folded = normalize(text);
  EXPECT_GE(folded.size(), 500'000U);
  EXPECT_LE(folded.size(), 530'000U);
}

// U+FDFA is the longest compatibility decomposition there is: 18 code points from 3 bytes.
TEST(Normalize, GrowsItsBufferWhereTextExpands) {
  std::string text;
  for (int i = 0; i < 1000; ++i) text += "\xEF\xB7\xBA";
  EXPECT_EQ(normalize(text).size(), 18'000U);
}

}  // namespace
}  // namespace mmra::text
