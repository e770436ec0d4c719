#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace mmra::encoders {

/// A term is known by its hash alone: FNV-1a, 64 bits, over the UTF-8 of "w:word", "w:word word" or
/// "c:" and the characters. Of 10⁶ terms two share a hash with a chance of 3·10⁻⁸.
using TermHash = std::uint64_t;

struct TermCount {
  TermHash hash = 0;
  std::uint32_t count = 0;
  friend bool operator==(const TermCount&, const TermCount&) = default;
};

/// Terms and how often they occur, sorted by hash, so that nothing depends on a container's order.
using TermCounts = std::vector<TermCount>;

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
