#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mmra/text/bert_normalizer.h"

namespace mmra::text {

/// A token that is looked for in the text itself, before it is divided into words ("[MASK]").
struct AddedToken {
  std::string content;
  std::int32_t id = 0;
  bool special = false;       ///< left out by decode
  bool normalized = false;    ///< looked for after normalisation, itself normalised
  bool strips_left = false;   ///< takes the white space before it
  bool strips_right = false;  ///< takes the white space behind it
};

/// A piece of a text: an added token, or text between them.
struct TextSection {
  std::u32string_view text;
  std::optional<std::int32_t> added_id;
};

/// Finds the added tokens of a text: at each place the longest, from left to right, as the
/// AddedVocabulary of Hugging Face's `tokenizers` does. Immutable, thread-safe.
class AddedTokenFinder {
 public:
  /// Of `tokens`, those with `normalized`, or those without.
  AddedTokenFinder(const std::vector<AddedToken>& tokens, bool normalized,
                   const WordPieceOptions& options);

  /// In order, without empty ones. The views are into `text`.
  [[nodiscard]] std::vector<TextSection> split(std::u32string_view text) const;

 private:
  struct Pattern {
    std::u32string content;
    std::int32_t id = 0;
    bool strips_left = false;
    bool strips_right = false;
  };

  [[nodiscard]] const Pattern* longest_at(std::u32string_view rest) const;
  [[nodiscard]] bool may_start(char32_t first) const noexcept {
    return first_code_points_[first % first_code_points_.size()];
  }

  std::vector<Pattern> patterns_;  ///< longest first
  /// Of each pattern's first code point, modulo the size: most places of a text are passed by it.
  std::array<bool, 256> first_code_points_{};
};

}  // namespace mmra::text
