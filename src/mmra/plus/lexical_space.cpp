#include "mmra/plus/lexical_space.h"

#include <vector>

namespace mmra::plus {
namespace {

constexpr int kMinTitlesOfWord = 2;
constexpr int kMinTitlesOfCharacters = 3;
constexpr float kSqrtHalf = 0.70710678F;

}  // namespace

LexicalSpace LexicalSpace::fit(std::span<const TitleTerms> titles) {
  std::vector<const TermCounts*> words;
  std::vector<const TermCounts*> characters;
  for (const TitleTerms& title : titles) {
    words.push_back(&title.words);
    characters.push_back(&title.characters);
  }
  return {Tfidf::fit(words, kMinTitlesOfWord), Tfidf::fit(characters, kMinTitlesOfCharacters)};
}

void LexicalSpace::append(const TitleTerms& title, SparseRows& rows) const {
  words.append(title.words, kSqrtHalf, 0, rows);
  characters.append(title.characters, kSqrtHalf, static_cast<std::uint32_t>(words.size()), rows);
  rows.end_row();
}

}  // namespace mmra::plus
