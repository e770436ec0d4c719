#include "mmra/encoders/pretrained/bert.h"

#include <gtest/gtest.h>
#include <omp.h>

#include <algorithm>
#include <cmath>
#include <future>
#include <map>
#include <nlohmann/json.hpp>

#include "expect_error.h"
#include "made_model.h"
#include "test_files.h"

namespace mmra::encoders {
namespace {

using mmra::testing::expect_error;
using mmra::testing::TemporaryDirectory;
using testing::cosine;
using testing::Expected;
using testing::golden_folder;
using testing::MadeTensors;
using testing::read_tensors;
using testing::read_text;
using testing::relative_error;
using testing::write_model;

std::vector<TokenIds> golden_texts() {
  const Expected expected("bert");
  const auto ids = expected.integers("ids");
  std::vector<TokenIds> texts;
  auto from = ids.begin();
  for (const std::int32_t length : expected.integers("lengths")) {
    texts.emplace_back(from, from + length);
    from += length;
  }
  return texts;
}

using Stages = std::map<std::string, std::vector<float>>;

Stages stages_of(const Bert& bert) {
  Stages stages;
  const auto texts = golden_texts();
  static_cast<void>(bert.hidden_states(texts, [&](const std::string& stage, ConstRows values) {
    stages[stage].assign(values.data, values.data + values.rows * values.cols);
  }));
  stages["cls"] = bert.embed(texts, Pooling::kCls, false);
  stages["mean"] = bert.embed(texts, Pooling::kMean, false);
  stages["cls_avg"] = bert.embed(texts, Pooling::kClsAverage, false);
  return stages;
}

void expect_equal(const Stages& stages, const Expected& expected) {
  ASSERT_EQ(stages.size(), 7U);
  for (const auto& [name, values] : stages) {
    EXPECT_LT(relative_error(values, expected.floats(name)), 2e-6) << name;
  }
}

void expect_close(const Stages& stages, const Expected& expected) {
  ASSERT_EQ(stages.size(), 7U);
  for (const auto& [name, values] : stages) {
    EXPECT_GT(cosine(values, expected.floats(name)), 0.999) << name;
  }
}

TEST(Bert, EqualsTransformersAtEveryStage) {
  expect_equal(stages_of(Bert::open(golden_folder("bert"), Precision::kFloat32)), Expected("bert"));
}

TEST(Bert, OfFloat16Shards) {
  expect_equal(stages_of(Bert::open(golden_folder("bert/sharded_f16"), Precision::kFloat32)),
               Expected("bert/sharded_f16"));
}

TEST(Bert, OfBFloat16OnDisk) {
  expect_equal(stages_of(Bert::open(golden_folder("bert/bf16"), Precision::kFloat32)),
               Expected("bert/bf16"));
}

TEST(Bert, InBFloat16) {
  const Bert bert = Bert::open(golden_folder("bert/bf16"), Precision::kBFloat16);
  EXPECT_EQ(bert.precision(), Precision::kBFloat16);
  // Where weights are widened for each product, only their rounding is bfloat16's.
  if (!has_bfloat16_products()) expect_equal(stages_of(bert), Expected("bert/bf16"));
  expect_close(stages_of(bert), Expected("bert/bf16"));
  expect_close(stages_of(Bert::open(golden_folder("bert"), Precision::kBFloat16)),
               Expected("bert"));
}

TEST(Bert, AutoTakesWhatTheProcessorHas) {
  const Bert bert = Bert::open(golden_folder("bert"));
  EXPECT_EQ(bert.precision(), has_bfloat16_products() ? Precision::kBFloat16 : Precision::kFloat32);
}

/// The golden model with another config or other tensors.
class ChangedBert : public ::testing::Test {
 protected:
  Bert open(const nlohmann::json& config, const MadeTensors& tensors) const {
    write_model(folder_.path(), config.dump(), tensors);
    return Bert::open(folder_.path(), Precision::kFloat32);
  }
  void expect(ErrorKind kind, const std::string& part, const nlohmann::json& config,
              const MadeTensors& tensors) const {
    expect_error(kind, part, [&] { open(config, tensors); });
  }

  TemporaryDirectory folder_;
  nlohmann::json config_ = nlohmann::json::parse(read_text(golden_folder("bert") / "config.json"));
  MadeTensors tensors_ = read_tensors(golden_folder("bert"));
};

TEST_F(ChangedBert, OtherActivations) {
  for (const char* name : {"gelu_new", "relu"}) {
    config_["hidden_act"] = name;
    EXPECT_LT(relative_error(stages_of(open(config_, tensors_)).at("layer.2"),
                             Expected(std::string("bert/") + name).floats("layer.2")),
              2e-6)
        << name;
  }
}

TEST_F(ChangedBert, PrefixesOldNamesAndUnusedHeads) {
  MadeTensors renamed;
  for (auto& [name, tensor] : tensors_) {
    std::string other = "0.auto_model.bert." + name;
    for (const auto& [now, old] : {std::pair{"LayerNorm.weight", "LayerNorm.gamma"},
                                   std::pair{"LayerNorm.bias", "LayerNorm.beta"}}) {
      const auto at = other.find(now);
      if (at != std::string::npos) other.replace(at, std::string(now).size(), old);
    }
    renamed[other] = tensor;
  }
  renamed["0.auto_model.bert.pooler.dense.weight"] = {{1}, {1}};
  renamed["cls.predictions.bias"] = {{1}, {1}};
  expect_equal(stages_of(open(config_, renamed)), Expected("bert"));
}

TEST_F(ChangedBert, SaysWhichTensorDoesNotFit) {
  auto missing = tensors_;
  missing.erase("encoder.layer.1.output.dense.weight");
  expect(ErrorKind::kCorruptData,
         "has no tensor \"encoder.layer.1.output.dense.weight\"; expected one of shape [36, 52]",
         config_, missing);
  auto wider = config_;
  wider["intermediate_size"] = 53;
  expect(ErrorKind::kCorruptData,
         "tensor \"encoder.layer.0.intermediate.dense.weight\" has the shape [52, 36], expected "
         "[53, 36]",
         wider, tensors_);
}

TEST_F(ChangedBert, SaysWhichKeyDoesNotFit) {
  const auto with = [&](const char* key, const nlohmann::json& value) {
    auto config = config_;
    config[key] = value;
    return config;
  };
  expect(ErrorKind::kUnsupported, "\"model_type\" is \"roberta\"; text encoders of type \"bert\"",
         with("model_type", "roberta"), tensors_);
  expect(ErrorKind::kUnsupported, "\"position_embedding_type\" is \"relative_key\"",
         with("position_embedding_type", "relative_key"), tensors_);
  expect(ErrorKind::kUnsupported, "\"hidden_act\" is \"mish\"", with("hidden_act", "mish"),
         tensors_);
  expect(ErrorKind::kCorruptData, "\"hidden_size\" is 36, not a multiple",
         with("num_attention_heads", 5), tensors_);
  expect(ErrorKind::kCorruptData, "\"num_hidden_layers\" is 1000000; expected a whole number",
         with("num_hidden_layers", 1000000), tensors_);
  expect(ErrorKind::kCorruptData, "\"vocab_size\" is \"61\"", with("vocab_size", "61"), tensors_);
  expect(ErrorKind::kCorruptData, "has no \"model_type\"", nlohmann::json::object(), tensors_);
}

class GoldenBert : public ::testing::Test {
 protected:
  Bert bert_ = Bert::open(golden_folder("bert"), Precision::kFloat32);
  std::vector<TokenIds> texts_ = golden_texts();
};

TEST_F(GoldenBert, ATextGivesTheSameAloneAndAmongOthers) {
  std::vector<TokenMatrix> alone;
  for (const TokenIds& ids : texts_) alone.push_back(bert_.hidden_states(std::span(&ids, 1))[0]);
  const std::vector<std::vector<std::size_t>> orders = {
      {0, 1, 2, 3, 4}, {4, 3, 2, 1, 0}, {1, 1, 1}, {2, 0, 2, 4, 1, 3}, {3, 2}};
  for (const auto& order : orders) {
    std::vector<TokenIds> batch;
    for (const std::size_t i : order) batch.push_back(texts_[i]);
    const auto states = bert_.hidden_states(batch);
    ASSERT_EQ(states.size(), order.size());
    for (std::size_t i = 0; i < order.size(); ++i) {
      EXPECT_EQ(states[i].num_tokens, static_cast<int>(batch[i].size()));
      EXPECT_LT(relative_error(states[i].values, alone[order[i]].values), 1e-6);
    }
  }
}

TEST_F(GoldenBert, MoreTextsThanFitAPass) {
  std::vector<TokenIds> batch;
  for (int i = 0; i < 500; ++i) batch.push_back(texts_[static_cast<std::size_t>(i) % 5]);
  const auto few = bert_.embed(texts_, Pooling::kMean, true);
  const auto many = bert_.embed(batch, Pooling::kMean, true);
  ASSERT_EQ(many.size(), 500U * 36U);
  for (std::size_t i = 0; i < 500; ++i) {
    ASSERT_LT(
        relative_error(std::span(many).subspan(i * 36, 36), std::span(few).subspan(i % 5 * 36, 36)),
        1e-6);
  }
}

TEST_F(GoldenBert, NormalisedVectorsAreOfUnitLength) {
  for (const Pooling pooling : {Pooling::kCls, Pooling::kMean, Pooling::kClsAverage}) {
    const auto plain = bert_.embed(texts_, pooling, false);
    const auto unit = bert_.embed(texts_, pooling, true);
    for (std::size_t i = 0; i < texts_.size(); ++i) {
      const auto vector = std::span(unit).subspan(i * 36, 36);
      double squares = 0.0;
      for (const float value : vector) squares += static_cast<double>(value) * value;
      EXPECT_NEAR(squares, 1.0, 1e-6);
      EXPECT_NEAR(cosine(vector, std::span(plain).subspan(i * 36, 36)), 1.0, 1e-9);
    }
  }
}

TEST_F(GoldenBert, ManyThreadsAtOnce) {
  const auto expected = bert_.embed(texts_, Pooling::kMean, true);
  std::vector<std::future<std::vector<float>>> futures;
  for (int i = 0; i < 6; ++i) {
    futures.push_back(std::async(std::launch::async, [&, i] {
      omp_set_num_threads(1 + i / 5);  // most alone: teams of threads that spin are slow to share
      std::vector<float> last;
      for (int turn = 0; turn < 5; ++turn) last = bert_.embed(texts_, Pooling::kMean, true);
      return last;
    }));
  }
  for (auto& future : futures) EXPECT_LT(relative_error(future.get(), expected), 1e-6);
}

TEST_F(GoldenBert, WordEmbeddingsAreTheTablesRows) {
  const auto table =
      read_tensors(golden_folder("bert")).at("embeddings.word_embeddings.weight").values;
  const TokenMatrix tokens = bert_.word_embeddings(std::vector<std::int32_t>{3, 60, 0});
  ASSERT_EQ(tokens.num_tokens, 3);
  ASSERT_EQ(tokens.dim, 36);
  for (std::size_t i = 0; i < 36; ++i) {
    EXPECT_EQ(tokens.token(0)[i], table[3 * 36 + i]);
    EXPECT_EQ(tokens.token(1)[i], table[60 * 36 + i]);
    EXPECT_EQ(tokens.token(2)[i], table[i]);
  }
}

TEST_F(GoldenBert, RefusesTextsThatDoNotFit) {
  const auto embed = [&](const TokenIds& ids) {
    static_cast<void>(bert_.embed(std::vector{texts_[0], ids}, Pooling::kCls, false));
  };
  expect_error(ErrorKind::kInvalidInput, "a text of 0 tokens; the text encoder takes 1 to 23",
               [&] { embed({}); });
  expect_error(ErrorKind::kInvalidInput, "a text of 24 tokens", [&] { embed(TokenIds(24, 1)); });
  expect_error(ErrorKind::kInvalidInput, "token id 61 is outside of the text encoder's 61 words",
               [&] {
                 embed({1, 61});
               });
  expect_error(ErrorKind::kInvalidInput, "token id -1 is outside", [&] { embed({-1}); });
  expect_error(ErrorKind::kInvalidInput, "token id 61",
               [&] { static_cast<void>(bert_.word_embeddings(std::vector<std::int32_t>{61})); });
}

TEST_F(GoldenBert, NoTextsGiveNothing) {
  EXPECT_TRUE(bert_.hidden_states({}).empty());
  EXPECT_TRUE(bert_.embed({}, Pooling::kMean, true).empty());
}

}  // namespace
}  // namespace mmra::encoders
