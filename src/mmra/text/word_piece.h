#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "mmra/text/added_tokens.h"
#include "mmra/text/bert_normalizer.h"

namespace mmra::text {

/// Everything that a tokenizer's files say.
struct WordPieceDefinition {
  std::vector<std::pair<std::string, std::int32_t>> vocabulary;  ///< pieces and their ids
  std::vector<AddedToken> added_tokens;  ///< may repeat pieces of the vocabulary, with their ids
  WordPieceOptions options;
  std::string continuation_prefix = "##";
  std::string unk_token = "[UNK]";
  std::string cls_token = "[CLS]";
  std::string sep_token = "[SEP]";
  std::string pad_token = "[PAD]";
  std::string mask_token = "[MASK]";  ///< need not be in the vocabulary
  // decode takes the space before punctuation away:
  bool cleans_up_pieces = true;  ///< before pieces are joined (tokenizer.json's decoder)
  bool cleans_up_text = true;    ///< after it (transformers)
};

/// Makes an added token of each of the five special tokens that the vocabulary has, where it is
/// none yet.
void add_special_tokens(WordPieceDefinition& definition);

/// BERT's tokenizer, equal to Hugging Face's BertTokenizerFast (tokenizers 0.19,
/// transformers 4.41). Immutable and thread-safe; a copy shares the vocabulary.
class WordPieceTokenizer {
 public:
  /// Opens a model's folder: its tokenizer.json, or vocab.txt where there is none, and
  /// tokenizer_config.json, where there is one. Throws Error{kNotFound} where neither is there,
  /// {kUnsupported} for another kind of tokenizer (BPE, Unigram …), {kCorruptData} naming file and
  /// line or key.
  [[nodiscard]] static WordPieceTokenizer open(const std::filesystem::path& directory);

  /// Throws Error{kCorruptData} for pieces or ids that are there twice, and where one of the four
  /// special tokens is neither a piece nor an added token.
  explicit WordPieceTokenizer(const WordPieceDefinition& definition);

  /// The id of a piece is its place. [UNK], [CLS], [SEP], [PAD] must be among them and are added
  /// tokens, as is [MASK] where it is there.
  WordPieceTokenizer(std::vector<std::string> vocabulary, WordPieceOptions options);

  /// [CLS], the pieces of `text`, [SEP]: at most `max_tokens` with both, what is longer is cut at
  /// the end. Bytes that are not UTF-8 count as U+FFFD. Throws Error{kInvalidInput} for max_tokens
  /// below 2.
  [[nodiscard]] std::vector<std::int32_t> encode(std::string_view text, int max_tokens) const;

  /// The text of `ids` without special tokens, continuations joined; as BertTokenizerFast.decode
  /// with skip_special_tokens. Ids that no token has are left out.
  [[nodiscard]] std::string decode(std::span<const std::int32_t> ids) const;

  /// One more than the largest id: the rows that an embedding of these tokens needs.
  [[nodiscard]] int vocabulary_size() const noexcept;
  [[nodiscard]] std::int32_t cls_id() const noexcept;
  [[nodiscard]] std::int32_t sep_id() const noexcept;
  [[nodiscard]] std::int32_t pad_id() const noexcept;
  [[nodiscard]] std::int32_t unk_id() const noexcept;

 private:
  struct Tables;
  std::shared_ptr<const Tables> tables_;
};

}  // namespace mmra::text
