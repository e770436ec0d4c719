#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "mmra/text/word_piece.h"

namespace mmra::text {

// The files of a BERT tokenizer as Hugging Face's libraries write them. `origin` is the file's
// name, for messages. All throw Error{kCorruptData} naming file and key or line, and {kUnsupported}
// for what is valid but no WordPiece tokenizer of BERT's kind.

/// tokenizer.json: a WordPiece model with BertNormalizer, BertPreTokenizer and a post-processor
/// that puts one token in front and one behind.
[[nodiscard]] WordPieceDefinition parse_tokenizer_json(std::string_view text,
                                                       const std::string& origin);

/// vocab.txt: one piece a line, its id is the line's number from 0.
[[nodiscard]] WordPieceDefinition parse_vocabulary(std::string_view text,
                                                   const std::string& origin);

/// What tokenizer_config.json changes, as BertTokenizerFast of transformers 4.41 lets it: its
/// do_lower_case, strip_accents and tokenize_chinese_chars (or their defaults) win over
/// tokenizer.json's for the classes of BERT's family; names of special tokens, added tokens.
void apply_tokenizer_config(std::string_view text, const std::string& origin,
                            WordPieceDefinition& definition);

/// The files of a model's folder, as WordPieceTokenizer::open takes them.
[[nodiscard]] WordPieceDefinition read_word_piece_files(const std::filesystem::path& directory);

}  // namespace mmra::text
