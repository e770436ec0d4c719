#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "mmra/text/term_counts.h"

namespace mmra::encoders {

/// Hashes are FNV-1a, 64 bits, over the UTF-8 of "w:word", "w:word word" or "c:" and the
/// characters.
using text::TermCount;
using text::TermCounts;
using text::TermHash;

/// The first token is the title, then one for each of its first phrases; the last takes the rest.
inline constexpr int kMaxTextTokens = 8;

/// What is counted of a title.
struct TitleTerms {
  TermCounts words;       ///< words and pairs of neighbouring words
  TermCounts characters;  ///< 3, 4 and 5 characters of each word with a space before and after
  std::vector<TermCounts> phrases;  ///< words and pairs of each phrase, at most kMaxTextTokens − 1
};

/// Phrases end at , . ! ? ; : # | ~ … their Chinese forms and ends of line. All empty where the
/// title has no word. Linear in the title. Any bytes.
[[nodiscard]] TitleTerms extract_terms(std::string_view title);

}  // namespace mmra::encoders
