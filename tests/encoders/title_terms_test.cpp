#include "mmra/encoders/builtin/title_terms.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

namespace mmra::encoders {
namespace {

/// FNV-1a as its authors give it.
TermHash fnv(std::string_view bytes) {
  TermHash hash = 14695981039346656037ULL;
  for (const char byte : bytes) hash = (hash ^ static_cast<unsigned char>(byte)) * 1099511628211ULL;
  return hash;
}

TermCounts counts(std::vector<std::string> terms) {
  std::vector<TermHash> hashes;
  for (const std::string& term : terms) hashes.push_back(fnv(term));
  std::sort(hashes.begin(), hashes.end());
  TermCounts result;
  for (const TermHash hash : hashes) {
    if (result.empty() || result.back().hash != hash) result.push_back({hash, 0});
    ++result.back().count;
  }
  return result;
}

TEST(TitleTerms, CountsWordsAndPairs) {
  EXPECT_EQ(extract_terms("The cat, the CAT").words,
            counts({"w:the", "w:cat", "w:the", "w:cat", "w:the cat", "w:cat the", "w:the cat"}));
}

TEST(TitleTerms, CountsCharactersOfEachWord) {
  EXPECT_EQ(extract_terms("cats").characters, counts({"c: ca", "c:cat", "c:ats", "c:ts ", "c: cat",
                                                      "c:cats", "c:ats ", "c: cats", "c:cats "}));
  EXPECT_EQ(extract_terms("a").characters, counts({"c: a "}));
  EXPECT_EQ(extract_terms("ab").characters, counts({"c: ab", "c:ab ", "c: ab "}));
}

TEST(TitleTerms, HashesCodePointsOfEveryLength) {
  EXPECT_EQ(extract_terms("é 你 😂").words, counts({"w:é", "w:你", "w:😂", "w:é 你", "w:你 😂"}));
}

TEST(TitleTerms, SplitsPhrases) {
  const TitleTerms terms = extract_terms("my cat, so funny! # comic #，。");
  ASSERT_EQ(terms.phrases.size(), 3U);
  EXPECT_EQ(terms.phrases[0], counts({"w:my", "w:cat", "w:my cat"}));
  EXPECT_EQ(terms.phrases[1], counts({"w:so", "w:funny", "w:so funny"}));
  EXPECT_EQ(terms.phrases[2], counts({"w:comic"}));
}

TEST(TitleTerms, TheLastPhraseTakesTheRest) {
  EXPECT_EQ(extract_terms("a,b,c,d,e,f,g").phrases.size(), 7U);
  const TitleTerms terms = extract_terms("a,b,c,d,e,f,g,h,i");
  ASSERT_EQ(terms.phrases.size(), 7U);
  EXPECT_EQ(terms.phrases[5], counts({"w:f"}));
  EXPECT_EQ(terms.phrases[6], counts({"w:g", "w:h", "w:i", "w:g h", "w:h i"}));
}

TEST(TitleTerms, NoWordsNoTerms) {
  for (const char* title : {"", "  ", "#,!", "\xFF\xFE"}) {
    const TitleTerms terms = extract_terms(title);
    EXPECT_TRUE(terms.words.empty() && terms.characters.empty() && terms.phrases.empty()) << title;
  }
}

TEST(TitleTerms, ReadsAMegabyte) {
  const TitleTerms one_word = extract_terms(std::string(1'000'000, 'x'));
  EXPECT_EQ(one_word.words.size(), 1U);
  EXPECT_EQ(one_word.characters.size(), 9U);
  std::string many;
  while (many.size() < 1'000'000) many += "w" + std::to_string(many.size()) + ",";
  EXPECT_EQ(extract_terms(many).phrases.size(), 7U);
}

}  // namespace
}  // namespace mmra::encoders
