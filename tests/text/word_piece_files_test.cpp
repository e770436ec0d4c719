#include "mmra/text/word_piece_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "expect_error.h"
#include "mmra/core/files.h"
#include "test_files.h"

namespace mmra::text {
namespace {

using mmra::testing::expect_error;
using mmra::testing::TemporaryDirectory;
using Json = nlohmann::json;
using Ids = std::vector<std::int32_t>;

const std::filesystem::path kGolden = std::filesystem::path(MMRA_GOLDEN_DIR) / "tokenizer";

Json golden_tokenizer() { return Json::parse(read_file(kGolden / "tokenizer.json")); }

WordPieceDefinition parse(const Json& json) { return parse_tokenizer_json(json.dump(), "t.json"); }

/// The golden tokenizer.json after `change` must be refused.
template <typename Change>
void expect_refused(ErrorKind kind, const std::string& part, Change change) {
  Json json = golden_tokenizer();
  change(json);
  expect_error(kind, part, [&] { static_cast<void>(WordPieceTokenizer(parse(json))); });
}

WordPieceDefinition configured(const Json& config) {
  WordPieceDefinition definition = parse(golden_tokenizer());
  apply_tokenizer_config(config.dump(), "c.json", definition);
  return definition;
}

TEST(TokenizerJson, IsReadWhole) {
  const WordPieceDefinition definition = parse(golden_tokenizer());
  EXPECT_EQ(definition.vocabulary.size(), golden_tokenizer().at("model").at("vocab").size());
  ASSERT_EQ(definition.added_tokens.size(), 5U);
  EXPECT_EQ(definition.added_tokens[4].content, "[MASK]");
  EXPECT_EQ(definition.added_tokens[4].id, 4);
  EXPECT_TRUE(definition.added_tokens[4].special);
  EXPECT_FALSE(definition.added_tokens[4].normalized);
  EXPECT_EQ(definition.cls_token, "[CLS]");
  EXPECT_EQ(definition.sep_token, "[SEP]");
  EXPECT_TRUE(definition.options.lower_case);
  EXPECT_TRUE(definition.options.strip_accents) << "null follows lowercase";
}

TEST(TokenizerJson, MayNameOtherTokensAndSettings) {
  Json json = golden_tokenizer();
  json["normalizer"] = {{"type", "BertNormalizer"},
                        {"clean_text", false},
                        {"handle_chinese_chars", false},
                        {"strip_accents", nullptr},
                        {"lowercase", false}};
  json["post_processor"] = {
      {"type", "RobertaProcessing"}, {"cls", {"<s>", 0}}, {"sep", {"</s>", 2}}};
  json["padding"] = {{"pad_token", "<pad>"}};
  json["model"]["max_input_chars_per_word"] = 7;
  json["model"].erase("type");  // as before tokenizers 0.9
  const WordPieceDefinition definition = parse(json);
  EXPECT_EQ(definition.cls_token, "<s>");
  EXPECT_EQ(definition.sep_token, "</s>");
  EXPECT_EQ(definition.pad_token, "<pad>");
  EXPECT_FALSE(definition.options.lower_case);
  EXPECT_FALSE(definition.options.strip_accents);
  EXPECT_FALSE(definition.options.split_chinese);
  EXPECT_FALSE(definition.options.clean_text);
  EXPECT_EQ(definition.options.max_word_code_points, 7);
}

TEST(TokenizerJson, OfAnotherKindIsUnsupported) {
  const auto refuse = [](const std::string& part, auto change) {
    expect_refused(ErrorKind::kUnsupported, part, change);
  };
  refuse("\"model\": is a tokenizer of the kind \"BPE\"",
         [](Json& json) { json["model"]["type"] = "BPE"; });
  refuse("of the kind \"Unigram\"", [](Json& json) { json["model"]["type"] = "Unigram"; });
  refuse("of the kind \"BPE\"", [](Json& json) {
    json["model"] = {{"merges", Json::array()}, {"vocab", Json::object()}};
  });
  refuse("\"normalizer\": is of the type \"NFC\", this program reads \"BertNormalizer\"",
         [](Json& json) {
           json["normalizer"] = {{"type", "NFC"}};
         });
  refuse("t.json: has no normalizer", [](Json& json) { json["normalizer"] = nullptr; });
  refuse("\"pre_tokenizer\": is of the type \"Metaspace\"", [](Json& json) {
    json["pre_tokenizer"] = {{"type", "Metaspace"}};
  });
  refuse("post_processor of the type \"(none)\"",
         [](Json& json) { json["post_processor"] = nullptr; });
  refuse("post_processor of the type \"TemplateProcessing\"",
         [](Json& json) { json["post_processor"]["single"].erase(0); });
  refuse("\"decoder\": joins at \"@@\"", [](Json& json) { json["decoder"]["prefix"] = "@@"; });
  refuse("\"added_tokens.4\": \"[MASK]\" is to match whole words only",
         [](Json& json) { json["added_tokens"][4]["single_word"] = true; });
}

TEST(TokenizerJson, ThatIsDamagedSaysWhere) {
  const auto refuse = [](const std::string& part, auto change) {
    expect_refused(ErrorKind::kCorruptData, part, change);
  };
  refuse("t.json: lacks the key \"model\"", [](Json& json) { json.erase("model"); });
  refuse("t.json, \"model\": lacks the key \"vocab\"",
         [](Json& json) { json["model"].erase("vocab"); });
  refuse("\"model.vocab\": has array, expected an object",
         [](Json& json) { json["model"]["vocab"] = Json::array(); });
  refuse("\"model.vocab.the\": has \"x\", expected a whole number",
         [](Json& json) { json["model"]["vocab"]["the"] = "x"; });
  refuse("has 4294967296, expected a whole number of 32 bits",
         [](Json& json) { json["model"]["vocab"]["the"] = 4294967296; });
  refuse("under the id 3", [](Json& json) { json["model"]["vocab"]["the"] = 3; });
  refuse("lacks the unknown token \"[WHAT]\"",
         [](Json& json) { json["model"]["unk_token"] = "[WHAT]"; });
  refuse("\"added_tokens.0.id\": has \"0\"",
         [](Json& json) { json["added_tokens"][0]["id"] = "0"; });
  refuse("\"added_tokens.0\": is an added token without content",
         [](Json& json) { json["added_tokens"][0]["content"] = ""; });
  refuse("\"normalizer.lowercase\": has 1, expected true or false",
         [](Json& json) { json["normalizer"]["lowercase"] = 1; });
  const std::string whole = read_file(kGolden / "tokenizer.json");
  expect_error(ErrorKind::kCorruptData, "t.json is not a JSON object", [&] {
    static_cast<void>(
        parse_tokenizer_json(std::string_view(whole).substr(0, whole.size() / 2), "t.json"));
  });
}

TEST(TokenizerConfig, WinsOverTheNormalizerOfBertsClasses) {
  const auto cased =
      configured({{"tokenizer_class", "BertTokenizerFast"}, {"do_lower_case", false}});
  EXPECT_FALSE(cased.options.lower_case);
  EXPECT_FALSE(cased.options.strip_accents);
  const auto accents = configured({{"strip_accents", false}, {"tokenize_chinese_chars", false}});
  EXPECT_TRUE(accents.options.lower_case);
  EXPECT_FALSE(accents.options.strip_accents);
  EXPECT_FALSE(accents.options.split_chinese);
  const auto generic =
      configured({{"tokenizer_class", "PreTrainedTokenizerFast"}, {"do_lower_case", false}});
  EXPECT_TRUE(generic.options.lower_case);
  expect_error(ErrorKind::kUnsupported, "\"tokenizer_class\": is \"T5Tokenizer\"", [] {
    static_cast<void>(configured({{"tokenizer_class", "T5TokenizerFast"}}));
  });
  expect_error(ErrorKind::kUnsupported, "this program cuts texts on the right", [] {
    static_cast<void>(configured({{"truncation_side", "left"}}));
  });
}

TEST(TokenizerConfig, NamesSpecialAndAddedTokens) {
  const auto definition =
      configured({{"cls_token", {{"content", "<s>"}}},
                  {"sep_token", "</s>"},
                  {"clean_up_tokenization_spaces", false},
                  {"added_tokens_decoder",
                   {{"4", {{"content", "[MASK]"}, {"lstrip", true}, {"special", true}}},
                    {"900", {{"content", "<new>"}}}}}});
  EXPECT_EQ(definition.cls_token, "<s>");
  EXPECT_EQ(definition.sep_token, "</s>");
  EXPECT_FALSE(definition.cleans_up_text);
  ASSERT_EQ(definition.added_tokens.size(), 6U);
  EXPECT_TRUE(definition.added_tokens[4].strips_left) << "replaces tokenizer.json's [MASK]";
  EXPECT_EQ(definition.added_tokens[5].content, "<new>");
  EXPECT_EQ(definition.added_tokens[5].id, 900);
  EXPECT_TRUE(definition.added_tokens[5].normalized);
  expect_error(ErrorKind::kCorruptData, "has the key \"9x\", expected a token's id", [] {
    static_cast<void>(configured({{"added_tokens_decoder", {{"9x", Json::object()}}}}));
  });
}

TEST(Vocabulary, IsOnePieceALine) {
  const auto definition = parse_vocabulary("[PAD]\r\n\xC3\xA9\n\n##s", "v.txt");
  ASSERT_EQ(definition.vocabulary.size(), 4U);
  EXPECT_EQ(definition.vocabulary[0], (std::pair<std::string, std::int32_t>{"[PAD]", 0}));
  EXPECT_EQ(definition.vocabulary[1].first, "\xC3\xA9");
  EXPECT_EQ(definition.vocabulary[2].first, "");
  EXPECT_EQ(definition.vocabulary[3], (std::pair<std::string, std::int32_t>{"##s", 3}));
  expect_error(ErrorKind::kCorruptData, "v.txt is empty",
               [] { static_cast<void>(parse_vocabulary("", "v.txt")); });
  expect_error(ErrorKind::kCorruptData, "v.txt, line 2: is not UTF-8",
               [] { static_cast<void>(parse_vocabulary("a\n\xFF\n", "v.txt")); });
}

TEST(WordPieceFiles, TakeTheVocabularyWhereThereIsNoTokenizerJson) {
  const TemporaryDirectory directory;
  expect_error(ErrorKind::kNotFound, "has neither tokenizer.json nor vocab.txt",
               [&] { static_cast<void>(WordPieceTokenizer::open(directory.path())); });
  std::filesystem::copy(kGolden / "vocab.txt", directory / "vocab.txt");
  const auto from_json = WordPieceTokenizer::open(kGolden);
  const auto uncased = WordPieceTokenizer::open(directory.path());
  const std::string text = "Dance [MASK] [CLS]NAÏVE 你好";
  EXPECT_EQ(uncased.encode(text, 30), from_json.encode(text, 30));
  write_file_atomically(directory / "tokenizer_config.json", R"({"do_lower_case": false})");
  EXPECT_NE(WordPieceTokenizer::open(directory.path()).encode(text, 30),
            from_json.encode(text, 30));
  write_file_atomically(directory / "vocab.txt", "[UNK]\n[CLS]\n[SEP]\na\n");
  expect_error(ErrorKind::kCorruptData,
               directory.path().string() + ": the tokenizer's vocabulary of 4 tokens lacks",
               [&] { static_cast<void>(WordPieceTokenizer::open(directory.path())); });
}

}  // namespace
}  // namespace mmra::text
