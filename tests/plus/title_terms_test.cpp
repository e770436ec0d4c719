#include "mmra/plus/title_terms.h"

#include <gtest/gtest.h>

#include <cmath>

#include "mmra/plus/title_shape.h"

namespace mmra::plus::testing {
namespace {

std::size_t total(const TermCounts& counts) {
  std::size_t sum = 0;
  for (const TermCount& term : counts) sum += term.count;
  return sum;
}

TEST(TitleTerms, CountWordsPairsAndCharacters) {
  const TitleTerms terms = extract_terms("Go go GO");
  EXPECT_EQ(terms.words, (extract_terms("go go go").words));
  EXPECT_EQ(terms.words.size(), 2U) << "go, go go";
  EXPECT_EQ(total(terms.words), 5U);
  EXPECT_EQ(terms.word_keys.size(), 1U);
  EXPECT_EQ(terms.pair_keys.size(), 1U);
  // " go " has three of 2 characters, two of 3 and one of 4; it is too short for 5.
  EXPECT_EQ(total(terms.characters), 3U * 6U);
  // " a " is counted whole for 3, and not again for 4 and 5.
  EXPECT_EQ(total(extract_terms("a").characters), 3U);
}

TEST(TitleTerms, HashtagsEndAtTheSpaceOrTheNextOne) {
  const auto tags = [](const char* title) { return extract_terms(title).hashtag_keys; };
  EXPECT_EQ(tags("x #Funny video").size(), 1U);
  EXPECT_EQ(tags("x #Funny video"), tags("#funny"));
  EXPECT_EQ(tags("x # sea shanty # boat").size(), 2U);
  EXPECT_EQ(tags("# sea shanty # boat"), tags("#boat #seashanty"));
  EXPECT_EQ(tags("#a#b").size(), 2U);
  EXPECT_TRUE(tags("no tag, # or ##").size() == 1U) << "'or' stands behind the spaced one";
  EXPECT_TRUE(tags("C").empty());
  EXPECT_TRUE(tags("#").empty());
  EXPECT_TRUE(extract_terms("").empty());
}

TEST(TitleTerms, TakeAnyBytes) {
  EXPECT_NO_THROW((void)extract_terms("\xff\xfe broken \xe4 #\x80"));
  EXPECT_NO_THROW((void)title_shape("\xff #\xfe"));
}

TEST(TitleShape, CountsWhatIsThere) {
  const auto shape = title_shape("Hi, YOU 2! # tag é");
  const float expected[] = {18, 5, 1, 11, 3, 1, 0, 1, 0, 1, 4.0F / 19.0F, 3, 2.0F, 1};
  for (std::size_t i = 0; i < kShapeWidth; ++i) EXPECT_FLOAT_EQ(shape[i], expected[i]) << i;
  for (const float value : title_shape("")) EXPECT_TRUE(std::isnan(value));
}

}  // namespace
}  // namespace mmra::plus::testing
