#include "mmra/text/word_piece_files.h"

#include <algorithm>
#include <charconv>
#include <iterator>
#include <nlohmann/json.hpp>
#include <optional>
#include <system_error>

#include "mmra/core/error.h"
#include "mmra/core/files.h"
#include "mmra/core/json_view.h"
#include "mmra/text/utf8.h"

namespace mmra::text {
namespace {

/// Their fast tokenizers let tokenizer_config.json decide about lower case, accents and ideographs.
constexpr std::string_view kBertClasses[] = {
    "BertTokenizer",   "ConvBertTokenizer",  "DistilBertTokenizer", "ElectraTokenizer",
    "FunnelTokenizer", "LayoutLMTokenizer",  "LxmertTokenizer",     "MobileBertTokenizer",
    "RealmTokenizer",  "RetriBertTokenizer", "SqueezeBertTokenizer"};
/// Decides about the first two alone.
constexpr std::string_view kMpnetClass = "MPNetTokenizer";
/// Whatever tokenizer.json says.
constexpr std::string_view kGenericClass = "PreTrainedTokenizer";

[[noreturn]] void unsupported(const JsonView& where, const std::string& what) {
  throw Error(ErrorKind::kUnsupported, where.place() + ": " + what);
}

/// The part under `key`, which must be there and of the type that BERT's tokenizers have.
JsonView part_of_type(const JsonView& root, const std::string& key, const std::string& expected) {
  const auto part = root.find(key);
  if (!part) {
    throw Error(ErrorKind::kUnsupported, root.place() + ": has no " + key +
                                             ", this program reads tokenizers with \"" + expected +
                                             "\"");
  }
  const std::string type = part->string_or("type", "");
  if (type != expected) {
    unsupported(*part, "is of the type \"" + type + "\", this program reads \"" + expected + "\"");
  }
  return *part;
}

AddedToken added_token_in(const JsonView& value, std::int32_t id) {
  AddedToken token;
  token.content = value.at("content").string();
  token.id = id;
  token.special = value.boolean_or("special", false);
  token.normalized = value.boolean_or("normalized", !token.special);
  token.strips_left = value.boolean_or("lstrip", false);
  token.strips_right = value.boolean_or("rstrip", false);
  if (token.content.empty()) value.fail("is an added token without content");
  if (value.boolean_or("single_word", false)) {
    unsupported(value, "\"" + token.content +
                           "\" is to match whole words only (single_word), which this program does "
                           "not do");
  }
  return token;
}

void set_added_token(AddedToken token, std::vector<AddedToken>& tokens) {
  const auto known = std::find_if(tokens.begin(), tokens.end(), [&](const AddedToken& other) {
    return other.content == token.content;
  });
  if (known == tokens.end()) {
    tokens.push_back(std::move(token));
  } else {
    *known = std::move(token);
  }
}

void read_normalizer(const JsonView& root, WordPieceOptions& options) {
  const JsonView normalizer = part_of_type(root, "normalizer", "BertNormalizer");
  options.clean_text = normalizer.boolean_or("clean_text", true);
  options.split_chinese = normalizer.boolean_or("handle_chinese_chars", true);
  options.lower_case = normalizer.boolean_or("lowercase", true);
  options.strip_accents = normalizer.boolean_or("strip_accents", options.lower_case);
}

/// Files that were written before tokenizers 0.9 do not say it; what they have does.
std::string model_type(const JsonView& model) {
  const auto type = model.find("type");
  if (type) return type->string();
  if (model.find("merges")) return "BPE";
  return model.find("continuing_subword_prefix") ? "WordPiece" : "unknown";
}

void read_model(const JsonView& root, WordPieceDefinition& definition) {
  const JsonView model = root.at("model");
  const std::string type = model_type(model);
  if (type != "WordPiece") {
    unsupported(model, "is a tokenizer of the kind \"" + type +
                           "\", this program reads \"WordPiece\" (BERT's)");
  }
  definition.unk_token = model.string_or("unk_token", definition.unk_token);
  definition.continuation_prefix =
      model.string_or("continuing_subword_prefix", definition.continuation_prefix);
  definition.options.max_word_code_points =
      model.integer_or("max_input_chars_per_word", definition.options.max_word_code_points);
  const JsonView vocabulary = model.at("vocab");
  vocabulary.expect_object();
  for (const auto& [piece, id] : vocabulary.raw().items()) {
    definition.vocabulary.emplace_back(piece, vocabulary.at(piece).integer());
  }
}

/// {"SpecialToken": {"id": "[CLS]"}}
std::optional<std::string> template_token(const JsonView& element) {
  const auto token = element.find("SpecialToken");
  if (!token) return std::nullopt;
  return token->at("id").string();
}

void read_post_processor(const JsonView& root, WordPieceDefinition& definition) {
  const auto processor = root.find("post_processor");
  const std::string type = processor ? processor->string_or("type", "") : "(none)";
  if (type == "BertProcessing" || type == "RobertaProcessing") {
    // A pair of token and id each.
    const auto first_of = [&](const char* key) {
      const auto pair = processor->at(key).elements();
      if (pair.empty()) processor->fail(std::string("has nothing under \"") + key + "\"");
      return pair.front().string();
    };
    definition.cls_token = first_of("cls");
    definition.sep_token = first_of("sep");
    return;
  }
  if (type == "TemplateProcessing") {
    const auto parts = processor->at("single").elements();
    if (parts.size() == 3 && parts[1].find("Sequence")) {
      const auto first = template_token(parts[0]);
      const auto last = template_token(parts[2]);
      if (first && last) {
        definition.cls_token = *first;
        definition.sep_token = *last;
        return;
      }
    }
  }
  throw Error(ErrorKind::kUnsupported,
              root.place() + ": its post_processor of the type \"" + type +
                  "\" does not put one token in front of a text and one behind, as BERT needs");
}

void read_decoder(const JsonView& root, WordPieceDefinition& definition) {
  if (!root.find("decoder")) return;
  const JsonView decoder = part_of_type(root, "decoder", "WordPiece");
  const std::string prefix = decoder.string_or("prefix", definition.continuation_prefix);
  if (prefix != definition.continuation_prefix) {
    unsupported(decoder, "joins at \"" + prefix + "\", its model divides at \"" +
                             definition.continuation_prefix + "\"");
  }
  definition.cleans_up_pieces = decoder.boolean_or("cleanup", true);
}

/// "BertTokenizerFast" is "BertTokenizer".
std::string class_without_fast(std::string name) {
  constexpr std::string_view kFast = "Fast";
  if (name.size() > kFast.size() && name.ends_with(kFast)) name.resize(name.size() - kFast.size());
  return name;
}

void apply_normalizer_settings(const JsonView& config, WordPieceOptions& options) {
  const std::string name = class_without_fast(config.string_or("tokenizer_class", "BertTokenizer"));
  const bool bert =
      std::find(std::begin(kBertClasses), std::end(kBertClasses), name) != std::end(kBertClasses);
  if (name == kGenericClass) return;
  if (!bert && name != kMpnetClass) {
    unsupported(config.at("tokenizer_class"),
                "is \"" + name + "\", this program reads tokenizers of BERT's family");
  }
  options.lower_case = config.boolean_or("do_lower_case", true);
  options.strip_accents = config.boolean_or("strip_accents", options.lower_case);
  if (bert) options.split_chinese = config.boolean_or("tokenize_chinese_chars", true);
}

void apply_added_tokens(const JsonView& config, WordPieceDefinition& definition) {
  const auto added = config.find("added_tokens_decoder");
  if (!added) return;
  added->expect_object();
  for (const auto& [key, ignored] : added->raw().items()) {
    std::int32_t id = 0;
    const char* end = key.data() + key.size();
    const auto parsed = std::from_chars(key.data(), end, id);
    if (parsed.ec != std::errc{} || parsed.ptr != end) {
      added->fail("has the key \"" + key + "\", expected a token's id");
    }
    set_added_token(added_token_in(added->at(key), id), definition.added_tokens);
  }
}

/// A special token's name, given as a string or with its flags.
void apply_special_token(const JsonView& config, const std::string& key, std::string& name) {
  const auto value = config.find(key);
  if (!value) return;
  name = value->is_object() ? value->at("content").string() : value->string();
}

}  // namespace

WordPieceDefinition parse_tokenizer_json(std::string_view text, const std::string& origin) {
  const JsonView root = JsonView::parse(text, origin);
  WordPieceDefinition definition;
  read_model(root, definition);
  read_normalizer(root, definition.options);
  static_cast<void>(part_of_type(root, "pre_tokenizer", "BertPreTokenizer"));
  read_post_processor(root, definition);
  read_decoder(root, definition);
  if (const auto added = root.find("added_tokens")) {
    for (const JsonView& value : added->elements()) {
      definition.added_tokens.push_back(added_token_in(value, value.at("id").integer()));
    }
  }
  if (const auto padding = root.find("padding")) {
    definition.pad_token = padding->string_or("pad_token", definition.pad_token);
  }
  return definition;
}

WordPieceDefinition parse_vocabulary(std::string_view text, const std::string& origin) {
  WordPieceDefinition definition;
  while (!text.empty()) {
    // As Python's text files: \n, \r and \r\n end a line.
    const std::size_t end = text.find_first_of("\r\n");
    const std::string_view line = text.substr(0, end);
    const auto id = static_cast<std::int32_t>(definition.vocabulary.size());
    if (!is_valid_utf8(line)) {
      throw Error(ErrorKind::kCorruptData, origin + ", line " + std::to_string(id + 1) +
                                               ": is not UTF-8; download or copy it again");
    }
    definition.vocabulary.emplace_back(line, id);
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + (text.substr(end, 2) == "\r\n" ? 2 : 1));
  }
  if (definition.vocabulary.empty()) {
    throw Error(ErrorKind::kCorruptData, origin + " is empty, expected one piece a line");
  }
  return definition;
}

void apply_tokenizer_config(std::string_view text, const std::string& origin,
                            WordPieceDefinition& definition) {
  const JsonView config = JsonView::parse(text, origin);
  apply_normalizer_settings(config, definition.options);
  apply_special_token(config, "unk_token", definition.unk_token);
  apply_special_token(config, "cls_token", definition.cls_token);
  apply_special_token(config, "sep_token", definition.sep_token);
  apply_special_token(config, "pad_token", definition.pad_token);
  apply_special_token(config, "mask_token", definition.mask_token);
  apply_added_tokens(config, definition);
  definition.cleans_up_text = config.boolean_or("clean_up_tokenization_spaces", true);
  if (const auto side = config.find("truncation_side"); side && side->string() != "right") {
    unsupported(*side, "is \"" + side->string() + "\", this program cuts texts on the right");
  }
}

WordPieceDefinition read_word_piece_files(const std::filesystem::path& directory) {
  const auto tokenizer = directory / "tokenizer.json";
  const auto vocabulary = directory / "vocab.txt";
  const auto config = directory / "tokenizer_config.json";
  const bool has_tokenizer = std::filesystem::exists(tokenizer);
  if (!has_tokenizer && !std::filesystem::exists(vocabulary)) {
    throw Error(ErrorKind::kNotFound, directory.string() +
                                          " has neither tokenizer.json nor vocab.txt; a model's "
                                          "folder needs one of them");
  }
  WordPieceDefinition definition =
      has_tokenizer ? parse_tokenizer_json(read_file(tokenizer), tokenizer.string())
                    : parse_vocabulary(read_file(vocabulary), vocabulary.string());
  if (std::filesystem::exists(config)) {
    apply_tokenizer_config(read_file(config), config.string(), definition);
  }
  add_special_tokens(definition);
  return definition;
}

WordPieceTokenizer WordPieceTokenizer::open(const std::filesystem::path& directory) {
  const WordPieceDefinition definition = read_word_piece_files(directory);
  try {
    return WordPieceTokenizer(definition);
  } catch (const Error& error) {
    throw Error(error.kind(), directory.string() + ": " + error.what());
  }
}

}  // namespace mmra::text
