#include "mmra/encoders/builtin/title_terms.h"

#include <algorithm>
#include <cstddef>
#include <span>
#include <string>

#include "mmra/text/word_splitter.h"

namespace mmra::encoders {
namespace {

constexpr TermHash kFnvOffset = 0xCBF29CE484222325ULL;
constexpr TermHash kFnvPrime = 0x100000001B3ULL;
constexpr int kMinCharacters = 3;
constexpr int kMaxCharacters = 5;
constexpr std::u32string_view kPhraseEnds =
    U",.!?;:#|~\n\r\u2026\u3001\u3002\uFF0C\uFF01\uFF1F\uFF1B\uFF1A";

/// FNV-1a over the UTF-8 of what is added, byte by byte.
class TermHasher {
 public:
  explicit TermHasher(char space) {
    add(static_cast<unsigned char>(space));
    add(U':');
  }
  void add(char32_t code_point) {
    if (code_point < 0x80) {
      add_byte(code_point);
    } else if (code_point < 0x800) {
      add_byte(0xC0 | (code_point >> 6));
      add_byte(0x80 | (code_point & 0x3F));
    } else if (code_point < 0x10000) {
      add_byte(0xE0 | (code_point >> 12));
      add_byte(0x80 | ((code_point >> 6) & 0x3F));
      add_byte(0x80 | (code_point & 0x3F));
    } else {
      add_byte(0xF0 | (code_point >> 18));
      add_byte(0x80 | ((code_point >> 12) & 0x3F));
      add_byte(0x80 | ((code_point >> 6) & 0x3F));
      add_byte(0x80 | (code_point & 0x3F));
    }
  }
  void add(std::u32string_view text) {
    for (const char32_t code_point : text) add(code_point);
  }
  [[nodiscard]] TermHash hash() const { return hash_; }

 private:
  void add_byte(char32_t byte) { hash_ = (hash_ ^ byte) * kFnvPrime; }
  TermHash hash_ = kFnvOffset;
};

TermCounts count_words(const text::SplitText& title, std::span<const text::Word> words) {
  std::vector<TermHash> hashes;
  hashes.reserve(2 * words.size());
  for (std::size_t i = 0; i < words.size(); ++i) {
    TermHasher hasher('w');
    hasher.add(title.text_of(words[i]));
    hashes.push_back(hasher.hash());
    if (i + 1 == words.size()) break;
    hasher.add(U' ');
    hasher.add(title.text_of(words[i + 1]));
    hashes.push_back(hasher.hash());
  }
  return text::count_terms(std::move(hashes));
}

void add_characters(std::u32string_view word, std::vector<TermHash>& hashes) {
  std::u32string padded(1, U' ');
  padded += word;
  padded += U' ';
  for (std::size_t size = kMinCharacters; size <= kMaxCharacters; ++size) {
    const std::size_t last = padded.size() > size ? padded.size() - size : 0;
    for (std::size_t begin = 0; begin <= last; ++begin) {
      TermHasher hasher('c');
      hasher.add(std::u32string_view(padded).substr(begin, size));
      hashes.push_back(hasher.hash());
    }
    // A short word counts once as a whole, not once for every length.
    if (padded.size() <= size) break;
  }
}

/// The words by phrase, in order: positions [begin, end) in title.words.
struct Phrase {
  std::size_t begin = 0;
  std::size_t end = 0;
};

std::vector<Phrase> find_phrases(const text::SplitText& title) {
  std::vector<Phrase> phrases;
  for (std::size_t i = 0; i < title.words.size(); ++i) {
    bool starts = i == 0;
    if (!starts) {
      const std::size_t gap = title.words[i - 1].end;
      const auto between =
          std::u32string_view(title.code_points).substr(gap, title.words[i].begin - gap);
      starts = between.find_first_of(kPhraseEnds) != std::u32string_view::npos;
    }
    const bool has_room = phrases.size() + 1 < kMaxTextTokens;
    if (starts && has_room) phrases.push_back({i, i});
    phrases.back().end = i + 1;
  }
  return phrases;
}

}  // namespace

TitleTerms extract_terms(std::string_view title) {
  const text::SplitText split = text::split_words(title);
  TitleTerms terms;
  terms.words = count_words(split, split.words);
  std::vector<TermHash> characters;
  for (const text::Word& word : split.words) add_characters(split.text_of(word), characters);
  terms.characters = text::count_terms(std::move(characters));
  for (const Phrase& phrase : find_phrases(split)) {
    terms.phrases.push_back(count_words(
        split, std::span(split.words).subspan(phrase.begin, phrase.end - phrase.begin)));
  }
  return terms;
}

}  // namespace mmra::encoders
