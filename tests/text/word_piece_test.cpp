#include "mmra/text/word_piece.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "crc32.h"
#include "expect_error.h"
#include "mmra/core/files.h"
#include "mmra/text/word_piece_files.h"

namespace mmra::text {
namespace {

using ::testing::ElementsAre;
using Ids = std::vector<std::int32_t>;
using mmra::testing::crc32_of;
using mmra::testing::expect_error;

const std::filesystem::path kGolden = std::filesystem::path(MMRA_GOLDEN_DIR) / "tokenizer";
const std::filesystem::path kRealModel =
    std::filesystem::path(MMRA_REAL_ENCODERS_DIR) / "minilm" / "retrieval";

nlohmann::json golden(const char* name) { return nlohmann::json::parse(read_file(kGolden / name)); }

std::vector<std::string> small_vocabulary() {
  std::vector<std::string> pieces;
  const auto definition = parse_vocabulary(read_file(kGolden / "vocab.txt"), "vocab.txt");
  for (const auto& entry : definition.vocabulary) pieces.push_back(entry.first);
  return pieces;
}

/// The sets of options of texts.json, in its order.
WordPieceOptions options_of(const std::string& name) {
  WordPieceOptions options;
  options.lower_case = name == "uncased" || name == "accents";
  options.strip_accents = name == "uncased" || name == "stripped";
  options.split_chinese = name != "stripped";
  return options;
}

std::uint32_t checksum(const Ids& ids) { return crc32_of(std::as_bytes(std::span(ids))); }

TEST(WordPieceTokenizer, GivesTheReferencesIds) {
  const auto file = golden("texts.json");
  const int max_tokens = file.at("max_tokens");
  const auto names = file.at("options").get<std::vector<std::string>>();
  ASSERT_EQ(names.size(), 4U);
  ASSERT_GT(file.at("cases").size(), 2000U);
  for (std::size_t i = 0; i < names.size(); ++i) {
    const WordPieceTokenizer tokenizer(small_vocabulary(), options_of(names[i]));
    for (const auto& entry : file.at("cases")) {
      const Ids ids = tokenizer.encode(entry.at("text").get<std::string>(), max_tokens);
      ASSERT_EQ(checksum(ids), entry.at("crcs").at(i).get<std::uint32_t>())
          << names[i] << ": " << entry.at("text");
      if (names[i] == "uncased" && entry.contains("uncased")) {
        ASSERT_EQ(ids, entry.at("uncased").get<Ids>()) << entry.at("text");
      }
    }
  }
}

TEST(WordPieceTokenizer, DecodesAsTheReference) {
  const auto file = golden("texts.json");
  const WordPieceTokenizer tokenizer(small_vocabulary(), options_of("cased"));
  for (const auto& entry : file.at("cases")) {
    const Ids ids =
        tokenizer.encode(entry.at("text").get<std::string>(), file.at("max_tokens").get<int>());
    const std::string text = tokenizer.decode(ids);
    ASSERT_EQ(crc32_of(text), entry.at("decoded").get<std::uint32_t>()) << text;
    if (entry.contains("decoded_cased")) {
      ASSERT_EQ(text, entry.at("decoded_cased"));
    }
  }
  // Any ids in any order, some of them beyond the vocabulary.
  for (const auto& entry : file.at("decodes")) {
    ASSERT_EQ(tokenizer.decode(entry.at("ids").get<Ids>()), entry.at("text")) << entry.at("ids");
  }
}

TEST(WordPieceTokenizer, CutsAtTheEnd) {
  const auto file = golden("texts.json");
  const WordPieceTokenizer tokenizer(small_vocabulary(), options_of("uncased"));
  for (const auto& entry : file.at("lengths")) {
    EXPECT_EQ(tokenizer.encode(entry.at("text").get<std::string>(), entry.at("max_tokens")),
              entry.at("ids").get<Ids>());
  }
  expect_error(ErrorKind::kInvalidInput, "cut to 1 tokens, at least 2",
               [&] { static_cast<void>(tokenizer.encode("the", 1)); });
}

TEST(WordPieceTokenizer, ReadsBrokenUtf8AsReplacementCharacters) {
  const auto file = golden("texts.json");
  const WordPieceTokenizer tokenizer(small_vocabulary(), options_of("uncased"));
  for (const auto& entry : file.at("broken")) {
    const std::string hex = entry.at("bytes");
    std::string bytes;
    for (std::size_t i = 0; i < hex.size(); i += 2) {
      bytes += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
    }
    EXPECT_EQ(tokenizer.encode(bytes, 48), entry.at("ids").get<Ids>()) << hex;
  }
}

TEST(WordPieceTokenizer, KnowsItsSpecialTokens) {
  const WordPieceTokenizer tokenizer(small_vocabulary(), {});
  EXPECT_EQ(tokenizer.pad_id(), 0);
  EXPECT_EQ(tokenizer.unk_id(), 1);
  EXPECT_EQ(tokenizer.cls_id(), 2);
  EXPECT_EQ(tokenizer.sep_id(), 3);
  EXPECT_EQ(tokenizer.vocabulary_size(), static_cast<int>(small_vocabulary().size()));
  EXPECT_THAT(tokenizer.encode("", 8), ElementsAre(2, 3));
}

TEST(WordPieceTokenizer, RefusesAVocabularyThatCannotBe) {
  const auto with = [](std::vector<std::string> vocabulary) {
    return [vocabulary] { WordPieceTokenizer tokenizer(vocabulary, {}); };
  };
  expect_error(ErrorKind::kCorruptData, "lacks the padding token \"[PAD]\"",
               with({"[UNK]", "[CLS]", "[SEP]"}));
  expect_error(ErrorKind::kCorruptData, "\"a\" twice, under the ids 4 and 5",
               with({"[UNK]", "[CLS]", "[SEP]", "[PAD]", "a", "a"}));
  WordPieceDefinition definition;
  definition.vocabulary = {{"[UNK]", 0}, {"[CLS]", 1}, {"[SEP]", 2}, {"[PAD]", 2}};
  expect_error(ErrorKind::kCorruptData, "\"[SEP]\" and \"[PAD]\" under the id 2",
               [&] { WordPieceTokenizer tokenizer(definition); });
  definition.vocabulary[3].second = -1;
  expect_error(ErrorKind::kCorruptData, "the id -1 for \"[PAD]\"",
               [&] { WordPieceTokenizer tokenizer(definition); });
  definition.vocabulary[3].second = 2'000'000'000;
  expect_error(ErrorKind::kCorruptData, "expected from 0 to 4194303",
               [&] { WordPieceTokenizer tokenizer(definition); });
  definition.vocabulary[3].second = 3;
  definition.added_tokens = {{"[PAD]", 4}};
  expect_error(ErrorKind::kCorruptData, "under the id 3, its added token says 4",
               [&] { WordPieceTokenizer tokenizer(definition); });
}

TEST(WordPieceTokenizer, FindsAddedTokensLongestFirstWithTheSpaceTheyTake) {
  WordPieceDefinition definition;
  definition.vocabulary = {{"[UNK]", 0}, {"[CLS]", 1}, {"[SEP]", 2}, {"[PAD]", 3}, {"a", 4}};
  AddedToken plain{"<v>", 6, true};
  AddedToken longer{"<v><w>", 7, true};
  AddedToken greedy{"<s>", 8, true, false, true, true};
  AddedToken normalized{"HÉ", 9, false, true};
  definition.added_tokens = {plain, longer, greedy, normalized};
  const WordPieceTokenizer tokenizer(definition);
  EXPECT_EQ(tokenizer.vocabulary_size(), 10);
  EXPECT_EQ(tokenizer.encode("a<v>a<v><w><v>", 20), (Ids{1, 4, 6, 4, 7, 6, 2}));
  EXPECT_EQ(tokenizer.encode("a  <s> \n a", 20), (Ids{1, 4, 8, 4, 2}));
  // In the normalised text, itself normalised; and not special, so that decode keeps it.
  EXPECT_EQ(tokenizer.encode("a he\u0301a", 20), (Ids{1, 4, 9, 4, 2}));
  EXPECT_EQ(tokenizer.decode(Ids{4, 6, 9, 5}), "a HÉ");
}

TEST(WordPieceTokenizer, FindsAddedTokensAsTheReference) {
  const auto file = golden("texts.json");
  const auto& added = file.at("added");
  auto definition = parse_vocabulary(read_file(kGolden / "vocab.txt"), "vocab.txt");
  for (const auto& token : added.at("tokens")) {
    definition.added_tokens.push_back({token.at("content"), token.at("id"), token.at("special"),
                                       token.at("normalized"), token.at("lstrip"),
                                       token.at("rstrip")});
  }
  const WordPieceTokenizer tokenizer(definition);
  for (std::size_t i = 0; i < added.at("texts").size(); ++i) {
    const std::string text = added.at("texts").at(i);
    const Ids ids = tokenizer.encode(text, file.at("max_tokens").get<int>());
    ASSERT_EQ(checksum(ids), added.at("crcs").at(i).get<std::uint32_t>()) << text;
    ASSERT_EQ(crc32_of(tokenizer.decode(ids)), added.at("decoded").at(i).get<std::uint32_t>())
        << text;
  }
}

TEST(WordPieceTokenizer, ServesManyThreads) {
  const WordPieceTokenizer tokenizer(small_vocabulary(), {});
  const Ids expected = tokenizer.encode("the cats, dancing", 20);
  std::vector<int> equal(4, 0);
  std::vector<std::thread> threads;
  for (int& count : equal) {
    threads.emplace_back([&count, &expected, copy = tokenizer] {
      for (int i = 0; i < 200; ++i) count += copy.encode("the cats, dancing", 20) == expected;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(equal, ElementsAre(200, 200, 200, 200));
}

TEST(WordPieceTokenizer, OpensAModelsFolder) {
  const WordPieceTokenizer opened = WordPieceTokenizer::open(kGolden);
  const WordPieceTokenizer made(small_vocabulary(), {});
  EXPECT_EQ(opened.vocabulary_size(), made.vocabulary_size());
  for (const auto& entry : golden("texts.json").at("cases")) {
    const std::string text = entry.at("text");
    ASSERT_EQ(opened.encode(text, 48), made.encode(text, 48)) << text;
  }
}

TEST(RealModel, GivesTheReferencesIds) {
  if (!std::filesystem::exists(kRealModel)) {
    GTEST_SKIP() << "no model in " << kRealModel;
  }
  const auto file = golden("minilm.json");
  const WordPieceTokenizer tokenizer = WordPieceTokenizer::open(kRealModel);
  EXPECT_EQ(tokenizer.vocabulary_size(), file.at("vocabulary_size").get<int>());
  for (const auto& entry : file.at("cases")) {
    EXPECT_EQ(tokenizer.encode(entry.at("text").get<std::string>(), file.at("max_tokens")),
              entry.at("ids").get<Ids>())
        << entry.at("text");
  }
}

}  // namespace
}  // namespace mmra::text
