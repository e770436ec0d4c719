#include "mmra/text/word_piece.h"

#include <algorithm>
#include <unordered_map>

#include "mmra/core/error.h"
#include "mmra/text/utf8.h"

namespace mmra::text {
namespace {

/// Above every vocabulary that exists (a few hundred thousand); bounds the memory that one wrong id
/// in a file can take.
constexpr std::int32_t kMaxId = (1 << 22) - 1;
constexpr std::int32_t kNoToken = -1;

[[noreturn]] void corrupt(const std::string& what) {
  throw Error(ErrorKind::kCorruptData, "the tokenizer's vocabulary " + what);
}

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  std::size_t at = text.find(from);
  if (at == std::string::npos) return;
  std::string replaced;
  std::size_t done = 0;
  for (; at != std::string::npos; at = text.find(from, done)) {
    replaced.append(text, done, at - done).append(to);
    done = at + from.size();
  }
  text = replaced.append(text, done);
}

using Replacement = std::pair<std::string_view, std::string_view>;
/// The order is the reference's: transformers' clean_up_tokenization.
constexpr Replacement kTextCleanUp[] = {
    {" .", "."},     {" ?", "?"},   {" !", "!"},   {" ,", ","},     {" ' ", "'"},
    {" n't", "n't"}, {" 'm", "'m"}, {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}};
/// cleanup of tokenizers' WordPiece decoder.
constexpr Replacement kPieceCleanUp[] = {{" .", "."},     {" ?", "?"},           {" !", "!"},
                                         {" ,", ","},     {" ' ", "'"},          {" n't", "n't"},
                                         {" 'm", "'m"},   {" do not", " don't"}, {" 's", "'s"},
                                         {" 've", "'ve"}, {" 're", "'re"}};

void replace_each(std::string& text, std::span<const Replacement> replacements) {
  for (const auto& [from, to] : replacements) replace_all(text, from, to);
}

/// Pieces by their code points. The views are into what `add` was given, which must stay.
class PieceTable {
 public:
  void add(std::u32string_view piece, std::int32_t id) {
    ids_.emplace(piece, id);
    longest_ = std::max(longest_, piece.size());
  }

  struct Match {
    std::int32_t id = kNoToken;
    std::size_t size = 0;
  };
  /// The longest piece that `text` starts with.
  [[nodiscard]] Match longest_prefix(std::u32string_view text) const {
    for (std::size_t size = std::min(text.size(), longest_); size > 0; --size) {
      const auto found = ids_.find(text.substr(0, size));
      if (found != ids_.end()) return {found->second, size};
    }
    return {};
  }

 private:
  std::unordered_map<std::u32string_view, std::int32_t> ids_;
  std::size_t longest_ = 0;
};

struct Token {
  std::string text;
  std::u32string code_points;
  bool special = false;
};

WordPieceDefinition definition_of(std::vector<std::string> vocabulary, WordPieceOptions options) {
  WordPieceDefinition definition;
  definition.options = options;
  definition.vocabulary.reserve(vocabulary.size());
  for (std::string& piece : vocabulary) {
    const auto id = static_cast<std::int32_t>(definition.vocabulary.size());
    definition.vocabulary.emplace_back(std::move(piece), id);
  }
  add_special_tokens(definition);
  return definition;
}

}  // namespace

void add_special_tokens(WordPieceDefinition& definition) {
  for (const std::string& name : {definition.unk_token, definition.cls_token, definition.sep_token,
                                  definition.pad_token, definition.mask_token}) {
    const auto same_content = [&](const AddedToken& token) { return token.content == name; };
    const auto same_piece = [&](const auto& entry) { return entry.first == name; };
    auto& added = definition.added_tokens;
    if (std::any_of(added.begin(), added.end(), same_content)) continue;
    const auto& vocabulary = definition.vocabulary;
    const auto piece = std::find_if(vocabulary.begin(), vocabulary.end(), same_piece);
    if (piece != vocabulary.end()) {
      added.push_back({name, piece->second, /*special=*/true, /*normalized=*/false,
                       /*strips_left=*/false, /*strips_right=*/false});
    }
  }
}

struct WordPieceTokenizer::Tables {
  explicit Tables(const WordPieceDefinition& definition);

  void add_token(const std::string& text, std::int32_t id);
  void add_vocabulary(const WordPieceDefinition& definition);
  void add_added_tokens(const std::vector<AddedToken>& added_tokens);
  [[nodiscard]] std::int32_t id_of(const std::string& text) const;
  [[nodiscard]] std::int32_t required_id(const char* role, const std::string& text) const;
  [[nodiscard]] const Token* token_of(std::int32_t id) const;

  /// Both append ids, until there are `max_ids` of them.
  void encode_text(std::u32string_view text, std::size_t max_ids,
                   std::vector<std::int32_t>& ids) const;
  void encode_word(std::u32string_view word, std::vector<std::int32_t>& ids) const;

  WordPieceOptions options;
  bool cleans_up_pieces = true;
  bool cleans_up_text = true;
  std::string continuation_prefix;
  std::vector<Token> tokens;
  std::vector<std::int32_t> token_of_id;  ///< place in `tokens`, or kNoToken
  std::unordered_map<std::string, std::int32_t> ids;
  PieceTable first_pieces;
  PieceTable continuations;
  AddedTokenFinder added_before;      ///< looked for in the text as it is
  AddedTokenFinder added_normalized;  ///< looked for in the normalised text
  std::int32_t unk_id = 0;
  std::int32_t cls_id = 0;
  std::int32_t sep_id = 0;
  std::int32_t pad_id = 0;
};

WordPieceTokenizer::Tables::Tables(const WordPieceDefinition& definition)
    : options(definition.options),
      cleans_up_pieces(definition.cleans_up_pieces),
      cleans_up_text(definition.cleans_up_text),
      continuation_prefix(definition.continuation_prefix),
      added_before(definition.added_tokens, /*normalized=*/false, definition.options),
      added_normalized(definition.added_tokens, /*normalized=*/true, definition.options) {
  add_vocabulary(definition);
  add_added_tokens(definition.added_tokens);
  unk_id = required_id("unknown", definition.unk_token);
  cls_id = required_id("first", definition.cls_token);
  sep_id = required_id("last", definition.sep_token);
  pad_id = required_id("padding", definition.pad_token);
}

void WordPieceTokenizer::Tables::add_token(const std::string& text, std::int32_t id) {
  if (id < 0 || id > kMaxId) {
    corrupt("has the id " + std::to_string(id) + " for \"" + text + "\", expected from 0 to " +
            std::to_string(kMaxId));
  }
  const auto place = static_cast<std::size_t>(id);
  if (place >= token_of_id.size()) token_of_id.resize(place + 1, kNoToken);
  if (const Token* other = token_of(id)) {
    corrupt("has \"" + other->text + "\" and \"" + text + "\" under the id " + std::to_string(id));
  }
  if (!ids.emplace(text, id).second) {
    corrupt("has \"" + text + "\" twice, under the ids " + std::to_string(ids.at(text)) + " and " +
            std::to_string(id));
  }
  token_of_id[place] = static_cast<std::int32_t>(tokens.size());
  tokens.push_back({text, decode_utf8(text), false});
}

void WordPieceTokenizer::Tables::add_vocabulary(const WordPieceDefinition& definition) {
  tokens.reserve(definition.vocabulary.size() + definition.added_tokens.size());
  for (const auto& [text, id] : definition.vocabulary) add_token(text, id);
  // Only now, because the tables hold views of what no longer moves.
  const std::u32string prefix = decode_utf8(continuation_prefix);
  for (const Token& token : tokens) {
    const std::u32string_view piece = token.code_points;
    const std::int32_t id = ids.at(token.text);
    if (!piece.empty()) first_pieces.add(piece, id);
    if (piece.size() > prefix.size() && piece.substr(0, prefix.size()) == prefix) {
      continuations.add(piece.substr(prefix.size()), id);
    }
  }
}

void WordPieceTokenizer::Tables::add_added_tokens(const std::vector<AddedToken>& added_tokens) {
  for (const AddedToken& added : added_tokens) {
    const std::int32_t known = id_of(added.content);
    if (known == kNoToken) {
      add_token(added.content, added.id);
    } else if (known != added.id) {
      corrupt("has \"" + added.content + "\" under the id " + std::to_string(known) +
              ", its added token says " + std::to_string(added.id));
    }
    tokens[static_cast<std::size_t>(token_of_id[static_cast<std::size_t>(added.id)])].special =
        added.special;
  }
}

std::int32_t WordPieceTokenizer::Tables::id_of(const std::string& text) const {
  const auto found = ids.find(text);
  return found == ids.end() ? kNoToken : found->second;
}

std::int32_t WordPieceTokenizer::Tables::required_id(const char* role,
                                                     const std::string& text) const {
  const std::int32_t id = id_of(text);
  if (id == kNoToken) {
    corrupt("of " + std::to_string(tokens.size()) + " tokens lacks the " + role + " token \"" +
            text + "\"");
  }
  return id;
}

const Token* WordPieceTokenizer::Tables::token_of(std::int32_t id) const {
  if (id < 0 || static_cast<std::size_t>(id) >= token_of_id.size()) return nullptr;
  const std::int32_t place = token_of_id[static_cast<std::size_t>(id)];
  return place == kNoToken ? nullptr : &tokens[static_cast<std::size_t>(place)];
}

void WordPieceTokenizer::Tables::encode_word(std::u32string_view word,
                                             std::vector<std::int32_t>& out) const {
  if (word.size() > static_cast<std::size_t>(options.max_word_code_points)) {
    out.push_back(unk_id);
    return;
  }
  const std::size_t begin = out.size();
  const PieceTable* table = &first_pieces;
  while (!word.empty()) {
    const PieceTable::Match match = table->longest_prefix(word);
    if (match.size == 0) {
      // One unknown part makes the whole word unknown.
      out.resize(begin);
      out.push_back(unk_id);
      return;
    }
    out.push_back(match.id);
    word.remove_prefix(match.size);
    table = &continuations;
  }
}

void WordPieceTokenizer::Tables::encode_text(std::u32string_view text, std::size_t max_ids,
                                             std::vector<std::int32_t>& out) const {
  const std::u32string normalized = bert_normalize(text, options);
  for (const TextSection& section : added_normalized.split(normalized)) {
    if (section.added_id) {
      out.push_back(*section.added_id);
      continue;
    }
    for (const std::u32string_view word : bert_words(section.text)) {
      if (out.size() >= max_ids) return;
      encode_word(word, out);
    }
  }
}

WordPieceTokenizer::WordPieceTokenizer(const WordPieceDefinition& definition)
    : tables_(std::make_shared<const Tables>(definition)) {}

WordPieceTokenizer::WordPieceTokenizer(std::vector<std::string> vocabulary,
                                       WordPieceOptions options)
    : WordPieceTokenizer(definition_of(std::move(vocabulary), options)) {}

std::vector<std::int32_t> WordPieceTokenizer::encode(std::string_view text, int max_tokens) const {
  if (max_tokens < 2) {
    throw Error(ErrorKind::kInvalidInput, "a text is to be cut to " + std::to_string(max_tokens) +
                                              " tokens, at least 2 are needed");
  }
  const auto max_ids = static_cast<std::size_t>(max_tokens) - 1;
  std::vector<std::int32_t> ids = {tables_->cls_id};
  const std::u32string code_points = decode_utf8(text);
  for (const TextSection& section : tables_->added_before.split(code_points)) {
    if (ids.size() >= max_ids) break;
    if (section.added_id) {
      ids.push_back(*section.added_id);
    } else {
      tables_->encode_text(section.text, max_ids, ids);
    }
  }
  if (ids.size() > max_ids) ids.resize(max_ids);
  ids.push_back(tables_->sep_id);
  return ids;
}

std::string WordPieceTokenizer::decode(std::span<const std::int32_t> ids) const {
  const std::string& prefix = tables_->continuation_prefix;
  std::string text;
  bool first = true;
  for (const std::int32_t id : ids) {
    const Token* token = tables_->token_of(id);
    if (token == nullptr || token->special) continue;
    std::string piece = token->text;
    if (!first) {
      const bool continues = piece.compare(0, prefix.size(), prefix) == 0;
      piece.replace(0, continues ? prefix.size() : 0, continues ? "" : " ");
    }
    if (tables_->cleans_up_pieces) replace_each(piece, kPieceCleanUp);
    text += piece;
    first = false;
  }
  if (tables_->cleans_up_text) replace_each(text, kTextCleanUp);
  return text;
}

int WordPieceTokenizer::vocabulary_size() const noexcept {
  return static_cast<int>(tables_->token_of_id.size());
}
std::int32_t WordPieceTokenizer::cls_id() const noexcept { return tables_->cls_id; }
std::int32_t WordPieceTokenizer::sep_id() const noexcept { return tables_->sep_id; }
std::int32_t WordPieceTokenizer::pad_id() const noexcept { return tables_->pad_id; }
std::int32_t WordPieceTokenizer::unk_id() const noexcept { return tables_->unk_id; }

}  // namespace mmra::text
