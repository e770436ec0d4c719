#include "mmra/text/bert_normalizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "crc32.h"
#include "mmra/core/files.h"
#include "mmra/text/utf8.h"

namespace mmra::text {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr WordPieceOptions kOff = {
    .lower_case = false, .strip_accents = false, .split_chinese = false, .clean_text = false};

WordPieceOptions options_of(const std::string& step) {
  WordPieceOptions options = kOff;
  const bool all = step == "all";
  options.clean_text = all || step == "clean_text";
  options.split_chinese = all || step == "split_chinese";
  options.strip_accents = all || step == "strip_accents";
  options.lower_case = all || step == "lower_case";
  return options;
}

std::u32string between_letters(char32_t code_point) { return {U'x', code_point, U'y'}; }

/// `output_of` each code point of a block, joined by NUL.
template <typename OutputOf>
std::uint32_t checksum_of_block(char32_t begin, char32_t size, OutputOf output_of) {
  std::string all;
  bool first = true;
  for (char32_t c = begin; c < begin + size; ++c) {
    if (c >= 0xD800 && c <= 0xDFFF) continue;
    if (!first) all += '\0';
    first = false;
    all += output_of(c);
  }
  return mmra::testing::crc32_of(all);
}

template <typename OutputOf>
void expect_blocks(const std::string& name, OutputOf output_of) {
  const auto golden = nlohmann::json::parse(
      read_file(std::string(MMRA_GOLDEN_DIR) + "/tokenizer/code_points.json"));
  const auto size = golden.at("block").get<char32_t>();
  const auto checksums = golden.at("crcs").at(name).get<std::vector<std::uint32_t>>();
  ASSERT_EQ(checksums.size() * size, 0x110000U);
  for (std::size_t block = 0; block < checksums.size(); ++block) {
    const auto begin = static_cast<char32_t>(block * size);
    EXPECT_EQ(checksum_of_block(begin, size, output_of), checksums[block])
        << "from code point " << std::hex << static_cast<std::uint32_t>(begin);
  }
}

class EveryCodePoint : public ::testing::TestWithParam<const char*> {};

TEST_P(EveryCodePoint, IsNormalizedAsTheReferenceDoes) {
  const WordPieceOptions options = options_of(GetParam());
  expect_blocks(GetParam(), [&](char32_t c) {
    return encode_utf8(bert_normalize(between_letters(c), options));
  });
}

INSTANTIATE_TEST_SUITE_P(Steps, EveryCodePoint,
                         ::testing::Values("clean_text", "split_chinese", "strip_accents",
                                           "lower_case", "all"));

TEST(BertWords, DivideAtEveryCodePointAsTheReferenceDoes) {
  expect_blocks("words", [](char32_t c) {
    const std::u32string text = between_letters(c);
    std::string joined;
    for (const std::u32string_view word : bert_words(text)) {
      if (!joined.empty()) joined += '\0';
      joined += encode_utf8(word);
    }
    return joined;
  });
}

TEST(BertWords, AreViewsInOrder) {
  EXPECT_THAT(bert_words(U" don't\u3000stop!! "),
              ElementsAre(U"don", U"'", U"t", U"stop", U"!", U"!"));
  EXPECT_THAT(bert_words(U""), IsEmpty());
  EXPECT_THAT(bert_words(U" \t\n"), IsEmpty());
}

TEST(BertNormalize, OrdersMarksThatStayAmongThoseBetweenStarters) {
  WordPieceOptions options = kOff;
  options.strip_accents = true;
  // Class 224 and 9: brought into order, across a stripped mark of class 230, but not across one of
  // class 0, which is a starter.
  EXPECT_EQ(bert_normalize(U"a\u302E\u1BAA", options), U"a\u1BAA\u302E");
  EXPECT_EQ(bert_normalize(U"a\u302E\u0301\u1BAA", options), U"a\u1BAA\u302E");
  EXPECT_EQ(bert_normalize(U"a\u302E\u0901\u1BAA", options), U"a\u302E\u1BAA");
}

TEST(BertNormalize, IsFastOnRunsOfMarks) {
  // Ordered by insertion this would take minutes.
  std::u32string text;
  for (int i = 0; i < 200'000; ++i) text += i % 2 == 0 ? U'\u302E' : U'\u1BAA';
  const std::u32string normalized = bert_normalize(text, {});
  EXPECT_EQ(normalized.size(), text.size());
  EXPECT_EQ(normalized.front(), U'\u1BAA');
  EXPECT_EQ(normalized.back(), U'\u302E');
}

}  // namespace
}  // namespace mmra::text
