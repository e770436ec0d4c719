#include "mmra/text/word_splitter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "mmra/text/utf8.h"

namespace mmra::text {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::vector<std::string> words_of(const std::string& title) {
  const SplitText split = split_words(title);
  std::vector<std::string> words;
  for (const Word& word : split.words) words.push_back(encode_utf8(split.text_of(word)));
  return words;
}

TEST(WordSplitter, SplitsAtEverythingThatIsNoWord) {
  EXPECT_THAT(words_of("Don't STOP, it's 5 o'clock!"),
              ElementsAre("don", "t", "stop", "it", "s", "5", "o", "clock"));
  EXPECT_THAT(words_of("a_b-c\td\ne"), ElementsAre("a_b", "c", "d", "e"));
  EXPECT_THAT(words_of(" .,!?…— "), IsEmpty());
  EXPECT_THAT(words_of(""), IsEmpty());
}

TEST(WordSplitter, KeepsMarksWithTheirLetters) {
  EXPECT_THAT(words_of("नमस्ते दुनिया"), ElementsAre("नमस्ते", "दुनिया"));
  EXPECT_THAT(words_of("مَرْحَبًا بالعالم"), ElementsAre("مَرْحَبًا", "بالعالم"));
  EXPECT_THAT(words_of("Привет, МИР"), ElementsAre("привет", "мир"));
  EXPECT_THAT(words_of("안녕 세계"), ElementsAre("안녕", "세계"));
}

TEST(WordSplitter, GivesOneWordACharacterWithoutSpaces) {
  EXPECT_THAT(words_of("你好world"), ElementsAre("你", "好", "world"));
  EXPECT_THAT(words_of("カメラ、です"), ElementsAre("カ", "メ", "ラ", "で", "す"));
  EXPECT_THAT(words_of("ที่นี่"), ElementsAre("ที่", "นี่"));
  const SplitText split = split_words("漢a");
  EXPECT_EQ(split.words.at(0).kind, WordKind::kCharacter);
  EXPECT_EQ(split.words.at(1).kind, WordKind::kWord);
}

TEST(WordSplitter, KeepsAnEmojiWhole) {
  EXPECT_THAT(words_of("wow😂😂!"), ElementsAre("wow", "😂", "😂"));
  EXPECT_THAT(words_of("👨‍👩‍👧x"), ElementsAre("👨‍👩‍👧", "x"));
  EXPECT_THAT(words_of("👍🏽👍"), ElementsAre("👍🏽", "👍"));
  EXPECT_THAT(words_of("🇩🇪🇫🇷"), ElementsAre("🇩🇪", "🇫🇷"));
  EXPECT_EQ(words_of("❤️"), words_of("❤"));
  EXPECT_EQ(split_words("😂").words.at(0).kind, WordKind::kEmoji);
}

TEST(WordSplitter, MarksHashtags) {
  const SplitText split = split_words("cat #Funny # comic story #, dog");
  std::vector<std::string> tags;
  for (const Word& word : split.words) {
    if (word.hashtag) tags.push_back(encode_utf8(split.text_of(word)));
  }
  EXPECT_THAT(tags, ElementsAre("funny", "comic"));
}

TEST(WordSplitter, DropsBrokenBytesAsSeparators) {
  EXPECT_THAT(words_of("ca\xFFt \xE2\x82"), ElementsAre("ca", "t"));
}

TEST(WordSplitter, WordsAreInOrderAndInside) {
  const SplitText split = split_words("#a 你 😂 b\xCC\x81 \xCC\x81 c");
  std::size_t last = 0;
  for (const Word& word : split.words) {
    EXPECT_LE(last, word.begin);
    EXPECT_LT(word.begin, word.end);
    EXPECT_LE(word.end, split.code_points.size());
    last = word.end;
  }
}

TEST(WordSplitter, ReadsAMegabyte) {
  std::string spaced;
  while (spaced.size() < 1'000'000) spaced += "ab ";
  EXPECT_EQ(split_words(spaced).words.size(), 333'334U);
  EXPECT_EQ(split_words(std::string(1'000'000, 'x')).words.size(), 1U);
  std::string joined;
  while (joined.size() < 1'000'000) joined += "😂\xE2\x80\x8D";
  EXPECT_EQ(split_words(joined).words.size(), 1U);
  EXPECT_TRUE(split_words(std::string(1'000'000, '#')).words.empty());
}

}  // namespace
}  // namespace mmra::text
