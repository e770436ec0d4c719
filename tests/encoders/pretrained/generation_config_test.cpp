#include "mmra/encoders/pretrained/generation_config.h"

#include <gtest/gtest.h>

#include <fstream>

#include "expect_error.h"
#include "test_files.h"

namespace mmra::encoders {
namespace {

using mmra::testing::expect_error;
using mmra::testing::TemporaryDirectory;

class GenerationConfig : public ::testing::Test {
 protected:
  GenerationOptions read(const std::string& text_config) const {
    return read_generation_options(folder_.path(), ModelConfig::parse(text_config, "config.json"));
  }
  void write(const std::string& text) const {
    std::ofstream(folder_ / "generation_config.json") << text;
  }
  void refuse(ErrorKind kind, const std::string& part, const std::string& text_config) const {
    expect_error(kind, part, [&] { (void)read(text_config); });
  }

  TemporaryDirectory folder_;
};

TEST_F(GenerationConfig, WithoutASettingItIsTransformersDefault) {
  const GenerationOptions options = read("{}");
  EXPECT_EQ(options.start_id, 30522);
  EXPECT_EQ(options.end_ids, std::vector<std::int32_t>{102});
  EXPECT_EQ(options.max_length, 20);
  EXPECT_EQ(options.min_length, 0);
  EXPECT_EQ(options.num_beams, 1);
  EXPECT_EQ(options.length_penalty, 1.0);
  EXPECT_EQ(options.early_stopping, EarlyStopping::kLikely);
  EXPECT_EQ(options.repetition_penalty, 1.0F);
  EXPECT_EQ(options.no_repeat_ngram_size, 0);
}

TEST_F(GenerationConfig, ReadsTextConfigAsOldConfigsWriteIt) {
  const GenerationOptions options = read(R"({
      "bos_token_id": 7, "sep_token_id": 9, "eos_token_id": 2, "max_length": 30, "min_length": 4,
      "num_beams": 3, "length_penalty": 2, "early_stopping": true, "repetition_penalty": 1.5,
      "no_repeat_ngram_size": 2, "do_sample": false, "num_beam_groups": 1, "bad_words_ids": null,
      "diversity_penalty": 0.0, "encoder_no_repeat_ngram_size": 0, "temperature": 1.0,
      "top_k": 50, "num_return_sequences": 1, "forced_eos_token_id": null})");
  EXPECT_EQ(options.start_id, 7);
  EXPECT_EQ(options.end_ids, std::vector<std::int32_t>{9});
  EXPECT_EQ(options.max_length, 30);
  EXPECT_EQ(options.min_length, 4);
  EXPECT_EQ(options.num_beams, 3);
  EXPECT_EQ(options.length_penalty, 2.0);
  EXPECT_EQ(options.early_stopping, EarlyStopping::kFirst);
  EXPECT_EQ(options.repetition_penalty, 1.5F);
  EXPECT_EQ(options.no_repeat_ngram_size, 2);
}

TEST_F(GenerationConfig, TheFileOfItsOwnWinsButNotForIds) {
  write(R"({"num_beams": 4, "max_new_tokens": 11, "min_new_tokens": 3, "early_stopping": "never",
            "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 3})");
  const GenerationOptions options =
      read(R"({"num_beams": 2, "max_length": 50, "length_penalty": -0.5, "sep_token_id": 8})");
  EXPECT_EQ(options.num_beams, 4);
  EXPECT_EQ(options.max_length, 12);
  EXPECT_EQ(options.min_length, 4);
  EXPECT_EQ(options.length_penalty, -0.5);
  EXPECT_EQ(options.early_stopping, EarlyStopping::kNever);
  EXPECT_EQ(options.start_id, 30522);
  EXPECT_EQ(options.end_ids, std::vector<std::int32_t>{8});
}

TEST_F(GenerationConfig, RefusesOtherWaysOfGenerating) {
  for (const char* setting : {R"("do_sample": true)", R"("num_beam_groups": 2)",
                              R"("diversity_penalty": 0.5)", R"("bad_words_ids": [[3]])",
                              R"("forced_bos_token_id": 4)", R"("renormalize_logits": true)"}) {
    const std::string text = "{" + std::string(setting) + "}";
    const std::string key = text.substr(1, text.find(':') - 1);
    refuse(ErrorKind::kUnsupported, "config.json: " + key, text);
    write(text);
    refuse(ErrorKind::kUnsupported, "generation_config.json: " + key, "{}");
    write("{}");
  }
}

TEST_F(GenerationConfig, NamesValuesThatCannotBe) {
  const ErrorKind corrupt = ErrorKind::kCorruptData;
  refuse(corrupt, "\"num_beams\" is 0", R"({"num_beams": 0})");
  refuse(corrupt, "\"num_beams\" is \"3\"", R"({"num_beams": "3"})");
  refuse(corrupt, "\"repetition_penalty\" is -1", R"({"repetition_penalty": -1})");
  refuse(corrupt, "\"max_length\" is 1.5", R"({"max_length": 1.5})");
  refuse(corrupt, "\"early_stopping\" is \"soon\"; expected true, false or \"never\"",
         R"({"early_stopping": "soon"})");
  refuse(corrupt, "\"early_stopping\" is 1", R"({"early_stopping": 1})");
  refuse(corrupt, "\"sep_token_id\" is -2", R"({"sep_token_id": -2})");
  write("[1, 2");
  refuse(corrupt, "generation_config.json is not a JSON object", "{}");
}

}  // namespace
}  // namespace mmra::encoders
