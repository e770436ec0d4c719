#include "mmra/encoders/encoder_set.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

#include "made_frames.h"
#include "mmra/encoders/builtin/title_encoder.h"
#include "test_files.h"

namespace mmra::encoders {
namespace {

using testing::plain;
using testing::square;

double dot(const std::vector<float>& a, const std::vector<float>& b) {
  return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
}

class BuiltinSet : public ::testing::Test {
 protected:
  void SetUp() override {
    fit_builtin(std::vector<std::string>{"a red ball jumps", "a blue ball rolls", "the red car"},
                directory_.path());
  }
  [[nodiscard]] EncoderSet open() const { return open_encoder_set(directory_.path()); }
  mmra::testing::TemporaryDirectory directory_;
  std::vector<media::Frame> clip_{square(10, 20, 20, {220, 20, 20}),
                                  square(50, 20, 20, {220, 20, 20})};
};

TEST_F(BuiltinSet, SaysWhatItIs) {
  const EncoderSet set = open();
  EXPECT_EQ(set.name(), "builtin");
  EXPECT_EQ(set.fingerprint().size(), 32U);
  EXPECT_EQ(set.visual_dim(), 192);
  EXPECT_EQ(set.text_dim(), 512);
  EXPECT_EQ(set.retrieval_dim(), 1088);
  EXPECT_EQ(set.traits().max_frame_side_px, 256);
}

TEST_F(BuiltinSet, EncodesBothParts) {
  const Encoding encoding = open().encode(clip_, "A red ball, jumping");
  EXPECT_EQ(encoding.captions.size(), 2U);
  EXPECT_EQ(encoding.visual_tokens.num_tokens, 2);
  EXPECT_EQ(encoding.text_tokens.num_tokens, 3);
  EXPECT_EQ(encoding.retrieval_vector.size(), 1088U);
  EXPECT_NEAR(dot(encoding.retrieval_vector, encoding.retrieval_vector), 1.0, 1e-5);
}

TEST_F(BuiltinSet, EncodesOneClipUnderSeveralTitlesAsUnderEachAlone) {
  const EncoderSet set = open();
  const std::vector<std::string_view> titles{"A red ball, jumping", "", "the red car"};
  for (const auto& frames : {clip_, {}}) {
    const std::vector<Encoding> together = set.encode_titles(set.encode_clip(frames), titles);
    ASSERT_EQ(together.size(), titles.size());
    for (std::size_t i = 0; i < titles.size(); ++i) {
      const Encoding alone = set.encode(frames, titles[i]);
      EXPECT_EQ(together[i].captions, alone.captions);
      EXPECT_EQ(together[i].visual_tokens.values, alone.visual_tokens.values);
      EXPECT_EQ(together[i].visual_tokens.dim, alone.visual_tokens.dim);
      EXPECT_EQ(together[i].text_tokens.values, alone.text_tokens.values);
      EXPECT_EQ(together[i].text_tokens.dim, alone.text_tokens.dim);
      EXPECT_EQ(together[i].retrieval_vector, alone.retrieval_vector);
    }
  }
}

TEST_F(BuiltinSet, MissingPartsAreMissingNotZero) {
  const EncoderSet set = open();
  const Encoding title_only = set.encode({}, "the red car");
  EXPECT_TRUE(title_only.captions.empty());
  EXPECT_EQ(title_only.visual_tokens.num_tokens, 0);
  EXPECT_EQ(title_only.visual_tokens.dim, 192);
  EXPECT_NEAR(dot(title_only.retrieval_vector, title_only.retrieval_vector), 1.0, 1e-5);
  const Encoding video_only = set.encode(clip_, "");
  EXPECT_EQ(video_only.text_tokens.num_tokens, 0);
  EXPECT_EQ(video_only.text_tokens.dim, 512);
  EXPECT_NEAR(dot(video_only.retrieval_vector, video_only.retrieval_vector), 1.0, 1e-5);
  EXPECT_EQ(dot(video_only.retrieval_vector, title_only.retrieval_vector), 0.0);
  const Encoding nothing = set.encode({}, "");
  EXPECT_EQ(nothing.retrieval_vector, std::vector<float>(1088, 0.0F));
}

TEST_F(BuiltinSet, TitleDecidesBeforePicture) {
  const EncoderSet set = open();
  const std::vector<media::Frame> other_clip(2, plain({240, 240, 250}));
  const auto query = set.encode(clip_, "a red ball jumps").retrieval_vector;
  const auto same_title = set.encode(other_clip, "a red ball jumps").retrieval_vector;
  const auto same_clip = set.encode(clip_, "quite unrelated words").retrieval_vector;
  const auto no_clip = set.encode({}, "a red ball jumps").retrieval_vector;
  EXPECT_GT(dot(query, same_title), dot(query, same_clip));
  EXPECT_GT(dot(query, same_clip), 0.3);
  EXPECT_NEAR(dot(query, no_clip), 0.8, 1e-5);
}

TEST_F(BuiltinSet, IsTheSameOnEveryThreadAndInEveryProcess) {
  const EncoderSet set = open();
  const Encoding expected = set.encode(clip_, "a red ball, so funny");
  std::vector<Encoding> found(4);
  {
    std::vector<std::jthread> threads;
    for (Encoding& encoding : found) {
      threads.emplace_back([&] { encoding = open().encode(clip_, "a red ball, so funny"); });
    }
  }
  for (const Encoding& encoding : found) {
    EXPECT_EQ(encoding.captions, expected.captions);
    EXPECT_EQ(encoding.visual_tokens.values, expected.visual_tokens.values);
    EXPECT_EQ(encoding.text_tokens.values, expected.text_tokens.values);
    EXPECT_EQ(encoding.retrieval_vector, expected.retrieval_vector);
  }
}

TEST_F(BuiltinSet, OutlivesItsDirectory) {
  const EncoderSet set = open();
  const Encoding before = set.encode({}, "the red car");
  std::filesystem::remove_all(directory_.path());
  EXPECT_EQ(set.encode({}, "the red car").retrieval_vector, before.retrieval_vector);
}

TEST(EncoderSet, WithoutPartsHasNoModalities) {
  const EncoderSet set("none", "f", nullptr, nullptr, nullptr, nullptr);
  EXPECT_EQ(set.visual_dim() + set.text_dim() + set.retrieval_dim(), 0);
  EXPECT_EQ(set.traits().max_frame_side_px, 0);
  const Encoding encoding = set.encode(std::vector{plain({1, 2, 3})}, "title");
  EXPECT_TRUE(encoding.captions.empty());
  EXPECT_TRUE(encoding.retrieval_vector.empty());
  EXPECT_EQ(encoding.visual_tokens.num_tokens + encoding.text_tokens.num_tokens, 0);
}

}  // namespace
}  // namespace mmra::encoders
