#include "mmra/plus/title_terms.h"

#include <algorithm>
#include <cstddef>
#include <string>
#include <utility>

#include "mmra/core/fingerprint.h"
#include "mmra/text/word_splitter.h"

namespace mmra::plus {
namespace {

constexpr std::size_t kMinCharacters = 2;
constexpr std::size_t kMaxCharacters = 5;

// Seeds that keep the kinds of terms apart.
constexpr std::uint64_t kWordSeed = 0x776F7264;       // "word"
constexpr std::uint64_t kCharacterSeed = 0x63686172;  // "char"
constexpr std::uint64_t kHashtagSeed = 0x746167;      // "tag"
constexpr std::uint64_t kValueSeed = 0x76616C7565;    // "value"

TermHash hash_of(std::u32string_view text, std::uint64_t seed) {
  const std::string_view bytes(reinterpret_cast<const char*>(text.data()),
                               text.size() * sizeof(char32_t));
  return seeded_hash(bytes, seed);
}

/// Unicode's White_Space and the four separators that Python's str.split() knows.
bool is_space(char32_t c) {
  return c == U' ' || (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x1F) || c == 0x85 ||
         c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 ||
         c == 0x202F || c == 0x205F || c == 0x3000;
}

void keep_each_once(std::vector<TermHash>& hashes) {
  std::sort(hashes.begin(), hashes.end());
  hashes.erase(std::unique(hashes.begin(), hashes.end()), hashes.end());
}

/// As scikit-learn's analyzer "char_wb" does it.
void add_characters(std::u32string_view run, std::vector<TermHash>& hashes) {
  std::u32string padded(1, U' ');
  padded += run;
  padded += U' ';
  const std::u32string_view all(padded);
  for (std::size_t size = kMinCharacters; size <= kMaxCharacters; ++size) {
    const std::size_t last = all.size() > size ? all.size() - size : 0;
    for (std::size_t begin = 0; begin <= last; ++begin) {
      hashes.push_back(hash_of(all.substr(begin, size), kCharacterSeed));
    }
    // A short run counts once as a whole, not once for every length.
    if (all.size() <= size) break;
  }
}

void add_runs(std::u32string_view text, std::vector<TermHash>& hashes) {
  std::size_t begin = 0;
  for (std::size_t i = 0; i <= text.size(); ++i) {
    if (i < text.size() && !is_space(text[i])) continue;
    if (i > begin) add_characters(text.substr(begin, i - begin), hashes);
    begin = i + 1;
  }
}

/// The words in [begin, end) of the code points, one after the other without what is between.
std::u32string joined_words(const text::SplitText& split, std::size_t begin, std::size_t end) {
  std::u32string joined;
  for (const text::Word& word : split.words) {
    if (word.begin >= begin && word.end <= end) joined += split.text_of(word);
  }
  return joined;
}

std::size_t end_of_run(std::u32string_view text, std::size_t begin, std::size_t limit) {
  while (begin < limit && !is_space(text[begin])) ++begin;
  return begin;
}

void add_hashtags(const text::SplitText& split, std::vector<TermHash>& keys) {
  const std::u32string_view all(split.code_points);
  for (std::size_t at = all.find(U'#'); at != std::u32string_view::npos;) {
    const std::size_t next = all.find(U'#', at + 1);
    const std::size_t until = next == std::u32string_view::npos ? all.size() : next;
    // "#tag rest": the tag ends at the space. "# a tag": nothing says where it ends but the next.
    const bool spaced = at + 1 < until && is_space(all[at + 1]);
    const std::size_t end = spaced ? until : end_of_run(all, at + 1, until);
    const std::u32string tag = joined_words(split, at + 1, end);
    if (!tag.empty()) keys.push_back(hash_of(tag, kHashtagSeed));
    at = next;
  }
}

}  // namespace

TitleTerms extract_terms(std::string_view title) {
  TitleTerms terms;
  std::vector<TermHash> words;
  std::vector<TermHash> characters;
  const text::SplitText split = text::split_words(title);
  for (std::size_t i = 0; i < split.words.size(); ++i) {
    std::u32string term(split.text_of(split.words[i]));
    terms.word_keys.push_back(hash_of(term, kWordSeed));
    if (i + 1 == split.words.size()) break;
    term += U' ';
    term += split.text_of(split.words[i + 1]);
    terms.pair_keys.push_back(hash_of(term, kWordSeed));
  }
  add_runs(split.code_points, characters);
  add_hashtags(split, terms.hashtag_keys);
  words = terms.word_keys;
  words.insert(words.end(), terms.pair_keys.begin(), terms.pair_keys.end());
  terms.words = text::count_terms(std::move(words));
  terms.characters = text::count_terms(std::move(characters));
  keep_each_once(terms.hashtag_keys);
  keep_each_once(terms.word_keys);
  keep_each_once(terms.pair_keys);
  return terms;
}

TermHash hash_key(std::string_view value) { return seeded_hash(value, kValueSeed); }

}  // namespace mmra::plus
