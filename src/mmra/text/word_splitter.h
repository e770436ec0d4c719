#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace mmra::text {

enum class WordKind {
  kWord,  ///< a maximal run of letters, marks, digits and connectors ("don" and "t" of "don't")
  kCharacter,  ///< one character with its marks, of a script that is written without spaces
  kEmoji,      ///< one emoji: with its skin tone, joined family, flag
};

/// A piece [begin, end) of the code points that were split.
struct Word {
  std::size_t begin = 0;
  std::size_t end = 0;
  WordKind kind = WordKind::kWord;
  bool hashtag = false;  ///< "#word" or "# word" (some platforms put a space there)
};

/// A text that was normalised and split.
struct SplitText {
  std::u32string code_points;  ///< normalize(title)
  std::vector<Word> words;     ///< in order, not overlapping

  [[nodiscard]] std::u32string_view text_of(const Word& word) const {
    return std::u32string_view(code_points).substr(word.begin, word.end - word.begin);
  }
};

/// The words of already normalised code points, by Unicode's categories; everything else separates
/// (punctuation, spaces, symbols, controls). Han, kana, Thai, Lao, Khmer and Myanmar give one word
/// a character, so that pairs of words are their usual character bigrams. Linear time.
[[nodiscard]] std::vector<Word> find_words(std::u32string_view normalized);

/// normalize, then find_words.
[[nodiscard]] SplitText split_words(std::string_view title);

}  // namespace mmra::text
