#include "mmra/encoders/builtin/captioner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "made_frames.h"

namespace mmra::encoders {
namespace {

using testing::Colour;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::paint;
using testing::plain;
using testing::square;

std::string caption(const media::Frame& frame) {
  return BuiltinCaptioner().caption(std::vector{frame}).at(0);
}

TEST(Captioner, SaysWhatThePixelsAreLike) {
  EXPECT_EQ(caption(plain({200, 10, 10})),
            "dim scene, mostly red, vivid colours, flat light, smooth");
  EXPECT_EQ(caption(plain({0, 0, 0})), "dark scene, mostly black, colourless, flat light, smooth");
  EXPECT_EQ(caption(plain({255, 255, 255})),
            "glaring scene, mostly white, colourless, flat light, smooth");
}

TEST(Captioner, NamesTwoColours) {
  const media::Frame halves = paint(64, 64, [](int x, int) {
    return x < 40 ? Colour{30, 60, 220} : Colour{250, 240, 40};
  });
  EXPECT_THAT(caption(halves), HasSubstr("mostly blue and yellow, vivid colours"));
}

TEST(Captioner, SeesLinesAndTheirDirection) {
  const auto level = [](bool on) { return on ? Colour{230, 230, 230} : Colour{20, 20, 20}; };
  EXPECT_THAT(caption(paint(64, 64, [&](int x, int) { return level(x / 4 % 2 == 0); })),
              HasSubstr("busy texture, vertical lines"));
  EXPECT_THAT(caption(paint(64, 64, [&](int, int y) { return level(y / 4 % 2 == 0); })),
              HasSubstr("busy texture, horizontal lines"));
  EXPECT_THAT(caption(paint(64, 64, [&](int x, int y) { return level((x + y) / 6 % 2 == 0); })),
              HasSubstr("diagonal lines"));
}

TEST(Captioner, SeesTheSubject) {
  EXPECT_THAT(caption(square(40, 24, 16, {240, 240, 240})), HasSubstr("subject in the centre"));
  EXPECT_THAT(caption(square(4, 24, 16, {240, 240, 240})), HasSubstr("subject on the left"));
  EXPECT_THAT(caption(square(76, 24, 16, {240, 240, 240})), HasSubstr("subject on the right"));
  EXPECT_THAT(caption(square(40, 1, 14, {240, 240, 240})), HasSubstr("subject at the top"));
}

TEST(Captioner, SeesMotionFromTheSecondFrameOn) {
  const media::Frame here = square(20, 20, 30, {240, 240, 240});
  const media::Frame there = square(50, 20, 30, {240, 240, 240});
  const std::vector<std::string> captions =
      BuiltinCaptioner().caption(std::vector{here, here, there, plain({255, 255, 255})});
  EXPECT_THAT(captions[0], Not(HasSubstr("still")));
  EXPECT_THAT(captions[1], HasSubstr("still"));
  EXPECT_THAT(captions[2], HasSubstr("strong motion"));
  EXPECT_THAT(captions[3], HasSubstr("cut to another picture"));
}

TEST(Captioner, VocabularyHasNoWordTwice) {
  const auto words = caption_vocabulary();
  EXPECT_EQ(std::set(words.begin(), words.end()).size(), words.size());
}

}  // namespace
}  // namespace mmra::encoders
