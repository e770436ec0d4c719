#include "mmra/sandbox/clip_stream.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <string>

#include "expect_error.h"

namespace mmra::sandbox {
namespace {

media::SampledClip made_clip() {
  media::SampledClip clip;
  clip.info.duration_s = 2.5;
  clip.info.width = 4;
  clip.info.height = 2;
  clip.info.frame_rate = 10.0;
  clip.info.has_audio = true;
  clip.info.num_frames = 25;
  clip.info.codec = "h264";
  clip.warning = "cut off";
  for (int i = 0; i < 2; ++i) {
    media::Frame frame;
    frame.width = 4;
    frame.height = 2;
    frame.index = i * 12;
    frame.pts_s = i * 1.2;
    frame.rgb.assign(24, static_cast<std::uint8_t>(40 + i));
    clip.frames.push_back(frame);
  }
  return clip;
}

std::string written(const std::function<void(const WriteAll&)>& write) {
  std::string bytes;
  write([&](std::span<const std::byte> piece) {
    bytes.append(reinterpret_cast<const char*>(piece.data()), piece.size());
  });
  return bytes;
}

media::SampledClip read(const std::string& bytes, const ClipLimits& limits = {}) {
  std::size_t at = 0;
  return read_clip(
      [&](std::span<std::byte> to) {
        if (bytes.size() - at < to.size()) throw Error(ErrorKind::kCorruptData, "it ends");
        std::memcpy(to.data(), bytes.data() + at, to.size());
        at += to.size();
      },
      limits);
}

const std::string& whole() {
  static const std::string kBytes =
      written([](const WriteAll& write) { write_clip(made_clip(), write); });
  return kBytes;
}

TEST(ClipStream, GivesBackWhatWasWritten) {
  const media::SampledClip expected = made_clip();
  const media::SampledClip clip = read(whole());
  EXPECT_EQ(clip.info.duration_s, 2.5);
  EXPECT_EQ(clip.info.width, 4);
  EXPECT_EQ(clip.info.height, 2);
  EXPECT_EQ(clip.info.frame_rate, 10.0);
  EXPECT_TRUE(clip.info.has_audio);
  EXPECT_EQ(clip.info.num_frames, 25);
  EXPECT_EQ(clip.info.codec, "h264");
  EXPECT_EQ(clip.warning, "cut off");
  ASSERT_EQ(clip.frames.size(), 2U);
  EXPECT_EQ(clip.frames[1].index, 12);
  EXPECT_EQ(clip.frames[1].pts_s, 1.2);
  EXPECT_EQ(clip.frames[1].rgb, expected.frames[1].rgb);
}

TEST(ClipStream, GivesBackAnErrorWithoutWhatCannotBePrinted) {
  const std::string bytes = written([](const WriteAll& write) {
    write_error(Error(ErrorKind::kUnsupported, "caf\xC3\xA9 <b>"), write);
  });
  testing::expect_error(ErrorKind::kCorruptData, {"caf?? <b>"}, [&] { (void)read(bytes); });
}

TEST(ClipStream, AnErrorSaysSomething) {
  const std::string bytes =
      written([](const WriteAll& write) { write_error(Error(ErrorKind::kIo, ""), write); });
  testing::expect_error(ErrorKind::kCorruptData, "makes no sense", [&] { (void)read(bytes); });
}

TEST(ClipStream, RefusesWhateverIsCutOff) {
  for (std::size_t size = 0; size < whole().size(); ++size) {
    EXPECT_THROW((void)read(whole().substr(0, size)), Error) << size;
  }
}

TEST(ClipStream, RefusesMoreThanItsLimits) {
  ClipLimits limits;
  limits.max_frames = 1;
  EXPECT_THROW((void)read(whole(), limits), Error);
  limits = {};
  limits.max_pixels = 7;
  EXPECT_THROW((void)read(whole(), limits), Error);
  limits = {};
  limits.max_bytes = 47;
  EXPECT_THROW((void)read(whole(), limits), Error);
  limits.max_bytes = 48;
  EXPECT_NO_THROW((void)read(whole(), limits));
}

TEST(ClipStream, AnyDamageIsAnErrorOrAClipWithinTheLimits) {
  for (std::size_t at = 0; at < whole().size(); ++at) {
    for (const char value : {'\x00', '\x7F', '\xFF'}) {
      std::string damaged = whole();
      damaged[at] = value;
      try {
        const media::SampledClip clip = read(damaged);
        EXPECT_LE(clip.frames.size(), 10U);
        for (const media::Frame& frame : clip.frames) {
          EXPECT_EQ(frame.rgb.size(), 3U * frame.width * frame.height);
        }
      } catch (const Error&) {
      }
    }
  }
}

}  // namespace
}  // namespace mmra::sandbox
