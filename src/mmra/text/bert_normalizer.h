#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace mmra::text {

/// What a BERT tokenizer does to a text before it looks words up.
struct WordPieceOptions {
  bool lower_case = true;
  bool strip_accents = true;
  bool split_chinese = true;       ///< each ideograph is a word of its own
  bool clean_text = true;          ///< controls are removed, every white space is a space
  int max_word_code_points = 100;  ///< a longer word is unknown
};

/// Equal to the BertNormalizer of Hugging Face's `tokenizers` 0.19 at every code point: cleaning,
/// spaces around ideographs, canonical decomposition without nonspacing marks (Mn), lower case, in
/// this order. Unicode as that library knows it (bert_unicode_tables.h). O(n log n) in the longest
/// run of marks, whatever the text is.
[[nodiscard]] std::u32string bert_normalize(std::u32string_view text,
                                            const WordPieceOptions& options);

/// The BertPreTokenizer of the same library: words are divided by white space, and each punctuation
/// character is a word. The views are into `normalized`.
[[nodiscard]] std::vector<std::u32string_view> bert_words(std::u32string_view normalized);

/// White space as Unicode's property White_Space has it.
[[nodiscard]] bool is_white_space(char32_t code_point) noexcept;

}  // namespace mmra::text
