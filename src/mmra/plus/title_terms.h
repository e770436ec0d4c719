#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "mmra/text/term_counts.h"

namespace mmra::plus {

/// Hashes are XXH3-64 of code points.
using text::TermCount;
using text::TermCounts;
using text::TermHash;

/// What the lexical space and the key statistics see of a clip's title.
struct TitleTerms {
  TermCounts words;  ///< words and pairs of neighbouring words
  TermCounts
      characters;  ///< 2 to 5 characters of each run without spaces, a space before and after
  // Each once, sorted.
  std::vector<TermHash> hashtag_keys;
  std::vector<TermHash> word_keys;
  std::vector<TermHash> pair_keys;

  [[nodiscard]] bool empty() const { return words.empty() && characters.empty(); }
};

/// Words are text::split_words'. A hashtag is the word behind "#"; where a space follows the "#",
/// everything up to the next one, without what is no word ("# sea shanty # boat": two). Any
/// bytes. Linear.
[[nodiscard]] TitleTerms extract_terms(std::string_view title);

/// Of a context value, in the space of keys.
[[nodiscard]] TermHash hash_key(std::string_view value);

}  // namespace mmra::plus
