#include "mmra/encoders/builtin/caption_vector.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <string>
#include <vector>

#include "mmra/encoders/builtin/captioner.h"

namespace mmra::encoders {
namespace {

std::size_t element_of(std::string_view word) {
  const auto words = caption_vocabulary();
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (words[i] == word) return i;
  }
  ADD_FAILURE() << "no word " << word;
  return 0;
}

TEST(CaptionVector, CountsTheShareOfFramesThatHaveAWord) {
  const auto vector = encode_captions(std::vector<std::string>{
      "dark scene, mostly red and blue", "dark scene, mostly red", "dark scene", "dark scene"});
  // Counts: dark 4, red 2, blue 1.
  EXPECT_NEAR(vector[element_of("dark")], std::sqrt(4.0 / 7.0), 1e-6);
  EXPECT_NEAR(vector[element_of("red")], std::sqrt(2.0 / 7.0), 1e-6);
  EXPECT_NEAR(vector[element_of("blue")], std::sqrt(1.0 / 7.0), 1e-6);
  EXPECT_NEAR(std::inner_product(vector.begin(), vector.end(), vector.begin(), 0.0), 1.0, 1e-6);
}

TEST(CaptionVector, EveryWordOfTheCaptionerIsKnown) {
  FrameDescription frame;
  frame.colour_names[0] = 1.0F;
  frame.scene.luma_deviation = 0.3F;
  frame.scene.mirror_symmetry = 1.0F;
  frame.scene.edge_share = 0.5F;
  frame.scene.centre_energy = 0.6F;
  frame.gradients[0] = 1.0F;
  frame.motion.has_previous = true;
  frame.motion.change = 0.5F;
  frame.motion.shift_x = 1.0F;
  frame.motion.shift_explains = 1.0F;
  const std::string caption = describe_in_words(frame);
  EXPECT_EQ(caption,
            "dark scene, mostly red, colourless, high-contrast, busy texture, vertical lines, "
            "subject in the centre, symmetric, strong motion, drifting rightwards");
  const auto vector = encode_captions(std::vector{caption});
  for (std::size_t i = caption_vocabulary().size(); i < vector.size(); ++i) {
    EXPECT_EQ(vector[i], 0.0F);
  }
}

TEST(CaptionVector, OtherWordsAreHashed) {
  const auto vector = encode_captions(std::vector<std::string>{"elephant"});
  float known = 0.0F;
  for (std::size_t i = 0; i < caption_vocabulary().size(); ++i) known += vector[i];
  EXPECT_EQ(known, 0.0F);
  EXPECT_EQ(std::accumulate(vector.begin(), vector.end(), 0.0F), 1.0F);
}

TEST(CaptionVector, NothingSaidIsNothing) {
  const std::array<float, kCaptionVectorDim> zeros{};
  EXPECT_EQ(encode_captions({}), zeros);
  EXPECT_EQ(encode_captions(std::vector<std::string>{"", " , ", "scene and the"}), zeros);
}

}  // namespace
}  // namespace mmra::encoders
