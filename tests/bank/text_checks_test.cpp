#include "mmra/bank/text_checks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "made_records.h"

namespace mmra::bank {
namespace {

using ::testing::HasSubstr;
using ::testing::Optional;

TEST(FindInvalidUtf8, AcceptsEveryLengthOfCharacter) {
  EXPECT_EQ(find_invalid_utf8(""), std::nullopt);
  EXPECT_EQ(find_invalid_utf8("plain"), std::nullopt);
  EXPECT_EQ(find_invalid_utf8("é日😀\u00A0\U0010FFFF"), std::nullopt);
}

TEST(FindInvalidUtf8, FindsTheFirstBadByte) {
  using namespace std::string_literals;
  EXPECT_THAT(find_invalid_utf8("ab\xFF"), Optional(2));
  EXPECT_THAT(find_invalid_utf8("ab\x80"
                                "c"),
              Optional(2))
      << "a continuation alone";
  EXPECT_THAT(find_invalid_utf8("a\xC3"), Optional(1)) << "cut off";
  EXPECT_THAT(find_invalid_utf8("a\xC3z"), Optional(1));
  EXPECT_THAT(find_invalid_utf8("\xC0\xAF"), Optional(0)) << "overlong";
  EXPECT_THAT(find_invalid_utf8("\xE0\x80\xAF"), Optional(0)) << "overlong";
  EXPECT_THAT(find_invalid_utf8("\xED\xA0\x80"), Optional(0)) << "half of a surrogate pair";
  EXPECT_THAT(find_invalid_utf8("\xF4\x90\x80\x80"), Optional(0)) << "beyond U+10FFFF";
  EXPECT_THAT(find_invalid_utf8("abc\0d"s), Optional(3)) << "a zero byte is no text";
}

TEST(InQuotes, EscapesWhatCannotBeShown) {
  EXPECT_EQ(in_quotes("a\nb\tc\x7F"), R"("a\x0Ab\x09c\x7F")");
  EXPECT_EQ(in_quotes("a\xFFz"), R"("a\xFFz")");
  EXPECT_EQ(in_quotes(std::string_view("\0", 1)), R"("\x00")");
  EXPECT_EQ(in_quotes("日本"), "\"日本\"");
}

TEST(InQuotes, CutsLongTextsBetweenCharacters) {
  EXPECT_EQ(in_quotes(std::string(60, 'a')), "\"" + std::string(60, 'a') + "\"");
  EXPECT_EQ(in_quotes(std::string(61, 'a')), "\"" + std::string(60, 'a') + "…\"");
  // 59 bytes and a character that the 60th byte cuts through.
  EXPECT_EQ(in_quotes(std::string(59, 'a') + "日本"), "\"" + std::string(59, 'a') + "…\"");
}

TEST(InQuotes, IsAlwaysOneLineOfUtf8) {
  testing::RandomValues random(2);
  for (int round = 0; round < 2000; ++round) {
    std::string bytes = random.text(70);
    if (!bytes.empty()) bytes[random.below(bytes.size())] = static_cast<char>(random.below(256));
    const std::string quoted = in_quotes(bytes);
    EXPECT_EQ(find_invalid_utf8(quoted), std::nullopt) << ::testing::PrintToString(bytes);
    EXPECT_EQ(quoted.find_first_of("\r\n"), std::string::npos);
  }
}

TEST(FaultOfId, AcceptsOneTo511BytesOfUtf8) {
  EXPECT_EQ(fault_of_id("1"), std::nullopt);
  EXPECT_EQ(fault_of_id(" with blanks, quotes\" and 日本 "), std::nullopt);
  EXPECT_EQ(fault_of_id(std::string(511, 'x')), std::nullopt);
}

TEST(FaultOfId, SaysWhatIsWrong) {
  EXPECT_THAT(fault_of_id(""), Optional(HasSubstr("empty")));
  EXPECT_THAT(fault_of_id(std::string(512, 'x')), Optional(HasSubstr("512 bytes, at most 511")));
  EXPECT_THAT(fault_of_id("a\nb"), Optional(HasSubstr("control character")));
  EXPECT_THAT(fault_of_id(std::string_view("a\0b", 3)), Optional(HasSubstr("control character")));
  EXPECT_THAT(fault_of_id("a\xFF"), Optional(HasSubstr("not UTF-8")));
}

}  // namespace
}  // namespace mmra::bank
