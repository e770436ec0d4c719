// A tokenizer's files of any bytes, and texts of any bytes for a tokenizer that opens. The first
// byte says which: of an even one the rest is tokenizer.json, a zero byte, tokenizer_config.json;
// of an odd one it is vocab.txt, a zero byte, a text.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "mmra/text/utf8.h"
#include "mmra/text/word_piece.h"
#include "mmra/text/word_piece_files.h"
#include "outcome.h"

namespace {

using mmra::fuzz::outcome_of;
using mmra::fuzz::require;
using mmra::text::WordPieceDefinition;
using mmra::text::WordPieceTokenizer;

constexpr std::size_t kShortTokens = 7;
constexpr int kManyTokens = 1 << 20;

std::string_view before_zero(std::string_view bytes) { return bytes.substr(0, bytes.find('\0')); }
std::string_view behind_zero(std::string_view bytes) {
  const std::size_t zero = bytes.find('\0');
  return zero == std::string_view::npos ? std::string_view() : bytes.substr(zero + 1);
}

void encode_and_decode(const WordPieceTokenizer& tokenizer, std::string_view text) {
  const auto ids = tokenizer.encode(text, kManyTokens);
  require(ids.size() >= 2 && ids.front() == tokenizer.cls_id() && ids.back() == tokenizer.sep_id(),
          "a text without its first and last token");
  for (const std::int32_t id : ids) {
    require(id >= 0 && id < tokenizer.vocabulary_size(), "an id beyond the vocabulary");
  }
  const auto cut = tokenizer.encode(text, static_cast<int>(kShortTokens));
  require(cut.size() <= kShortTokens, "more tokens than asked for");
  for (std::size_t i = 0; i + 1 < cut.size(); ++i) {
    require(cut[i] == ids[i], "a cut text starts otherwise");
  }
  require(mmra::text::is_valid_utf8(tokenizer.decode(ids)), "a decoded text that is not UTF-8");
  require(tokenizer.encode(mmra::text::replace_invalid_utf8(text), kManyTokens) == ids,
          "broken bytes are not U+FFFD");
}

std::string open_json(std::string_view bytes, std::string_view text) {
  return outcome_of([&] {
    WordPieceDefinition definition =
        mmra::text::parse_tokenizer_json(before_zero(bytes), "tokenizer.json");
    const std::string_view config = behind_zero(bytes);
    if (!config.empty()) mmra::text::apply_tokenizer_config(config, "config.json", definition);
    mmra::text::add_special_tokens(definition);
    encode_and_decode(WordPieceTokenizer(definition), text);
    return std::string("opened");
  });
}

std::string open_vocabulary(std::string_view bytes) {
  return outcome_of([&] {
    WordPieceDefinition definition = mmra::text::parse_vocabulary(before_zero(bytes), "vocab.txt");
    mmra::text::add_special_tokens(definition);
    encode_and_decode(WordPieceTokenizer(definition), behind_zero(bytes));
    return std::string("opened");
  });
}

/// Every other input reaches encode only if the fuzzer finds a vocabulary first.
const WordPieceTokenizer& fixed_tokenizer() {
  static const WordPieceTokenizer tokenizer(
      {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "b", "##a", "##b", "##ab", "ab", "e", "!",
       "\xE4\xBD\xA0", "\xF0\x9F\x98\x80", "##\xCC\x81"},
      {});
  return tokenizer;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  encode_and_decode(fixed_tokenizer(), bytes);
  if (data[0] % 2 == 0) {
    static_cast<void>(open_json(bytes, bytes.substr(0, 64)));
  } else {
    static_cast<void>(open_vocabulary(bytes));
  }
  return 0;
}
