#include "mmra/encoders/pretrained/pretrained_encoders.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <numeric>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "../made_frames.h"
#include "expect_error.h"
#include "made_models.h"
#include "mmra/core/error.h"
#include "test_files.h"

namespace mmra::encoders::testing {
namespace {

namespace fs = std::filesystem;
using mmra::testing::expect_error;
using mmra::testing::TemporaryDirectory;
using ::testing::Each;
using ::testing::FloatNear;
using ::testing::Pointwise;

constexpr float kTolerance = 1e-5F;

double dot(const std::vector<float>& a, const std::vector<float>& b) {
  return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
}

class PretrainedSet : public ::testing::Test {
 protected:
  void SetUp() override {
    make_set(set());
    write_json(set() / "retrieval/mmra.json",
               {{"pooling", "cls"}, {"prompt", "the number of {text}"}});
  }
  [[nodiscard]] fs::path set() const { return directory_ / "small"; }
  [[nodiscard]] EncoderSet open(Precision precision = Precision::kFloat32) const {
    freeze_pretrained(set(), directory_ / "artefact");
    return open_encoder_set(directory_ / "artefact", precision);
  }
  TemporaryDirectory directory_;
  std::vector<media::Frame> clip_{square(10, 20, 20, {220, 20, 20}),
                                  square(50, 20, 20, {20, 220, 20}), plain({1, 2, 3})};
};

TEST_F(PretrainedSet, SaysWhatItIs) {
  const EncoderSet encoders = open();
  EXPECT_EQ(encoders.name(), "small");
  EXPECT_EQ(encoders.fingerprint(), fingerprint_of_set(set()));
  EXPECT_EQ(encoders.visual_dim(), kMadeWidth);
  EXPECT_EQ(encoders.text_dim(), kMadeWidth);
  EXPECT_EQ(encoders.retrieval_dim(), kMadeWidth);
}

TEST_F(PretrainedSet, EncodesEachPartWithItsModel) {
  const Encoding encoding = open().encode(clip_, "a red ball jumps");
  EXPECT_TRUE(encoding.captions.empty()) << "the set has no captioner";
  EXPECT_EQ(encoding.visual_tokens.num_tokens, 3);
  EXPECT_NEAR(dot(encoding.retrieval_vector, encoding.retrieval_vector), 1.0, 1e-5);

  const TokenizedBert text = TokenizedBert::open(set() / "text", Precision::kFloat32);
  const std::vector<TokenIds> ids{text.tokenizer.encode("a red ball jumps", 64)};
  EXPECT_EQ(ids[0].size(), 7U) << "[CLS] a red ball jump ##s [SEP]";
  EXPECT_THAT(encoding.text_tokens.values,
              Pointwise(FloatNear(kTolerance), text.bert.hidden_states(ids)[0].values));

  const TokenizedBert retrieval = TokenizedBert::open(set() / "retrieval", Precision::kFloat32);
  const std::vector<TokenIds> prompt{
      retrieval.tokenizer.encode("the number of a red ball jumps", 64)};
  EXPECT_THAT(encoding.retrieval_vector,
              Pointwise(FloatNear(kTolerance),
                        retrieval.bert.embed(prompt, Pooling::kCls, /*normalise=*/true)));
}

TEST_F(PretrainedSet, ABatchGivesWhatEachItemGives) {
  const EncoderSet encoders = open();
  const std::vector<std::string> titles = {"a red ball", "", "the boat on the water, my boat",
                                           "cake", "unknownword"};
  std::vector<EncoderInput> items;
  for (std::size_t i = 0; i < titles.size(); ++i) {
    items.push_back({Clip(clip_).first(i % 4), titles[i]});
  }
  for (const int num_threads : {1, 3}) {
    const std::vector<Encoding> batch = encoders.encode(items, {num_threads});
    ASSERT_EQ(batch.size(), items.size());
    for (std::size_t i = 0; i < items.size(); ++i) {
      const Encoding alone = encoders.encode(items[i].frames, items[i].title);
      EXPECT_EQ(batch[i].text_tokens.num_tokens, alone.text_tokens.num_tokens);
      EXPECT_EQ(batch[i].visual_tokens.num_tokens, static_cast<int>(i % 4));
      EXPECT_THAT(batch[i].text_tokens.values,
                  Pointwise(FloatNear(kTolerance), alone.text_tokens.values));
      EXPECT_THAT(batch[i].visual_tokens.values,
                  Pointwise(FloatNear(kTolerance), alone.visual_tokens.values));
      EXPECT_THAT(batch[i].retrieval_vector,
                  Pointwise(FloatNear(kTolerance), alone.retrieval_vector));
    }
  }
}

TEST_F(PretrainedSet, WhatIsMissingIsMissingNotZero) {
  const EncoderSet encoders = open();
  const Encoding video_only = encoders.encode(clip_, "");
  EXPECT_EQ(video_only.text_tokens.num_tokens, 0);
  EXPECT_EQ(video_only.text_tokens.dim, kMadeWidth);
  EXPECT_THAT(video_only.retrieval_vector, Each(0.0F)) << "nothing to compare by: no prompt alone";
  const Encoding title_only = encoders.encode({}, "a cake");
  EXPECT_EQ(title_only.visual_tokens.num_tokens, 0);
  EXPECT_EQ(title_only.visual_tokens.dim, kMadeWidth);
}

TEST_F(PretrainedSet, LongTitlesAreCut) {
  std::string title;
  for (int i = 0; i < 500; ++i) title += "boat ";
  const Encoding encoding = open().encode({}, title);
  EXPECT_EQ(encoding.text_tokens.num_tokens, PretrainedTextEncoder::kMaxTitleTokens);
  EXPECT_NEAR(dot(encoding.retrieval_vector, encoding.retrieval_vector), 1.0, 1e-5);
}

TEST_F(PretrainedSet, BFloat16PointsTheSameWay) {
  const Encoding exact = open().encode(clip_, "a red ball jumps on the water");
  const Encoding rounded =
      open(Precision::kBFloat16).encode(clip_, "a red ball jumps on the water");
  EXPECT_GT(dot(exact.retrieval_vector, rounded.retrieval_vector), 0.999);
  EXPECT_NE(exact.retrieval_vector, rounded.retrieval_vector);
}

TEST_F(PretrainedSet, StopsWhenAsked) {
  std::stop_source stop;
  stop.request_stop();
  const EncoderInput item{clip_, "a cake"};
  EXPECT_THROW((void)open().encode(std::span(&item, 1), {1, stop.get_token()}), Interrupted);
}

TEST_F(PretrainedSet, AFaultOfAModelShowsWhenItIsLoaded) {
  fs::resize_file(set() / "visual/model.safetensors",
                  fs::file_size(set() / "visual/model.safetensors") - 4);
  const EncoderSet encoders = open();
  expect_error(ErrorKind::kCorruptData, "visual/model.safetensors", [&] { encoders.load(); });
  (void)encoders.encode({}, "the other parts go on");
}

TEST_F(PretrainedSet, ATokenizerOfAnotherModelIsRefused) {
  std::string pieces = read_file(set() / "text/vocab.txt");
  write_file_atomically(set() / "text/vocab.txt", pieces + "one\nmore\n");
  expect_error(ErrorKind::kCorruptData, "a tokenizer of 24 tokens and a model for 22",
               [&] { open().load(); });
}

TEST_F(PretrainedSet, CaptionsBecomePartOfTheRetrievalVector) {
  fs::copy(fs::path(MMRA_GOLDEN_DIR) / "pretrained/blip", set() / "captioner",
           fs::copy_options::recursive);
  const EncoderSet encoders = open();
  const std::vector<media::Frame> still{clip_[0], clip_[0], clip_[2]};
  const Encoding encoding = encoders.encode(still, "a red ball");
  ASSERT_EQ(encoding.captions.size(), 3U);
  EXPECT_EQ(encoding.captions[0], encoding.captions[1]);
  const Encoding title_only = encoders.encode({}, "a red ball");
  EXPECT_TRUE(title_only.captions.empty());
  EXPECT_LT(dot(encoding.retrieval_vector, title_only.retrieval_vector), 0.99999);
  const Encoding video_only = encoders.encode(still, "");
  EXPECT_NEAR(dot(video_only.retrieval_vector, video_only.retrieval_vector), 1.0, 1e-5);

  const std::vector<EncoderInput> items{{clip_, "a cake"}, {still, "a red ball"}};
  EXPECT_EQ(encoders.encode(items, {2})[1].captions, encoding.captions);
}

TEST(JoinPrompt, HasEachCaptionOnceAndTheTitleLast) {
  const std::vector<std::string> captions = {"a man", "a man", "a boat", "", "a man"};
  EXPECT_EQ(join_prompt({captions, "my day"}), "a man. a boat. my day");
  EXPECT_EQ(join_prompt({captions, ""}), "a man. a boat");
  EXPECT_EQ(join_prompt({{}, "my day"}), "my day");
  EXPECT_EQ(join_prompt({{}, ""}), "");
}

}  // namespace
}  // namespace mmra::encoders::testing
