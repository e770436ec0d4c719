#include "mmra/text/word_splitter.h"

#include <utf8proc.h>

#include <algorithm>
#include <iterator>

#include "mmra/text/utf8.h"

namespace mmra::text {
namespace {

enum class CharacterClass { kSeparator, kSpace, kHash, kLetter, kMark, kUnspaced, kEmoji, kJoiner };

constexpr char32_t kZeroWidthJoiner = 0x200D;

struct Range {
  char32_t first = 0;
  char32_t last = 0;
};

/// Scripts written without spaces between words, in order (blocks of Unicode 15).
constexpr Range kUnspacedRanges[] = {
    {0x0E00, 0x0EFF},    // Thai, Lao
    {0x1000, 0x109F},    // Myanmar
    {0x1780, 0x17FF},    // Khmer
    {0x3005, 0x3007},    // ideographic iteration mark, number zero
    {0x3040, 0x30FF},    // Hiragana, Katakana
    {0x31F0, 0x31FF},    // Katakana extensions
    {0x3400, 0x4DBF},    // Han, extension A
    {0x4E00, 0x9FFF},    // Han
    {0xF900, 0xFAFF},    // Han, compatibility
    {0x1B000, 0x1B16F},  // Kana supplement
    {0x20000, 0x3FFFF},  // Han, extensions B and later
};

bool is_unspaced(char32_t code_point) {
  const auto* range = std::lower_bound(
      std::begin(kUnspacedRanges), std::end(kUnspacedRanges), code_point,
      [](const Range& candidate, char32_t value) { return candidate.last < value; });
  return range != std::end(kUnspacedRanges) && code_point >= range->first;
}

CharacterClass classify(char32_t code_point) {
  if (code_point == U'#') return CharacterClass::kHash;
  if (code_point == kZeroWidthJoiner) return CharacterClass::kJoiner;
  const auto* property = utf8proc_get_property(static_cast<utf8proc_int32_t>(code_point));
  switch (property->category) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO:
    case UTF8PROC_CATEGORY_PC:
      return is_unspaced(code_point) ? CharacterClass::kUnspaced : CharacterClass::kLetter;
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
      return CharacterClass::kMark;
    case UTF8PROC_CATEGORY_ZS:
      return CharacterClass::kSpace;
    default:
      break;
  }
  const bool pictographic = property->boundclass == UTF8PROC_BOUNDCLASS_EXTENDED_PICTOGRAPHIC ||
                            property->boundclass == UTF8PROC_BOUNDCLASS_REGIONAL_INDICATOR;
  return pictographic ? CharacterClass::kEmoji : CharacterClass::kSeparator;
}

/// One grapheme cluster (UAX #29) that starts with a pictograph or a regional indicator.
std::size_t end_of_emoji(std::u32string_view text, std::size_t begin) {
  utf8proc_int32_t state = 0;
  std::size_t end = begin + 1;
  while (end < text.size() &&
         !utf8proc_grapheme_break_stateful(static_cast<utf8proc_int32_t>(text[end - 1]),
                                           static_cast<utf8proc_int32_t>(text[end]), &state)) {
    ++end;
  }
  return end;
}

template <typename Belongs>
std::size_t end_of_run(std::u32string_view text, std::size_t end, Belongs belongs) {
  while (end < text.size() && belongs(classify(text[end]))) ++end;
  return end;
}

bool is_mark(CharacterClass character) {
  return character == CharacterClass::kMark || character == CharacterClass::kJoiner;
}

/// A word that starts at `begin`, or an empty one where nothing does.
Word word_at(std::u32string_view text, std::size_t begin, CharacterClass first) {
  switch (first) {
    case CharacterClass::kLetter:
      return {begin,
              end_of_run(text, begin + 1,
                         [](CharacterClass next) {
                           return next == CharacterClass::kLetter || is_mark(next);
                         }),
              WordKind::kWord, false};
    case CharacterClass::kUnspaced:
      return {begin, end_of_run(text, begin + 1, is_mark), WordKind::kCharacter, false};
    case CharacterClass::kEmoji:
      return {begin, end_of_emoji(text, begin), WordKind::kEmoji, false};
    default:
      return {begin, begin, WordKind::kWord, false};
  }
}

}  // namespace

std::vector<Word> find_words(std::u32string_view normalized) {
  std::vector<Word> words;
  bool after_hash = false;
  for (std::size_t position = 0; position < normalized.size();) {
    const CharacterClass first = classify(normalized[position]);
    Word word = word_at(normalized, position, first);
    if (word.end == word.begin) {
      // A stray mark neither starts a word nor ends a hash sign's reach; other separators do.
      if (first == CharacterClass::kHash) after_hash = true;
      if (first == CharacterClass::kSeparator) after_hash = false;
      ++position;
      continue;
    }
    word.hashtag = after_hash;
    after_hash = false;
    words.push_back(word);
    position = word.end;
  }
  return words;
}

SplitText split_words(std::string_view title) {
  SplitText split;
  split.code_points = normalize(title);
  split.words = find_words(split.code_points);
  return split;
}

}  // namespace mmra::text
