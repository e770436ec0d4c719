#include "mmra/sandbox/clip_decoder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "expect_error.h"
#include "mmra/core/error.h"
#include "mmra/core/files.h"
#include "mmra/core/sanitizer.h"
#include "mmra/media/sample_frames.h"
#include "test_files.h"

namespace mmra::sandbox {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

/// Grey pictures, uncompressed: what decoding them costs is known.
std::string y4m(int width, int height, int frames) {
  std::string clip = "YUV4MPEG2 W" + std::to_string(width) + " H" + std::to_string(height) +
                     " F10:1 Ip A1:1 C420jpeg\n";
  for (int i = 0; i < frames; ++i) {
    clip += "FRAME\n" +
            std::string(static_cast<std::size_t>(width) * height, static_cast<char>(40 + i)) +
            std::string(static_cast<std::size_t>(width) * height / 2, '\x80');
  }
  return clip;
}

class Decoding : public ::testing::Test {
 protected:
  [[nodiscard]] std::filesystem::path write(const std::string& bytes) const {
    write_file_atomically(directory_ / "clip", bytes);
    return directory_ / "clip";
  }
  static ClipDecoder decoder(DecoderLimits limits = {}) { return {MMRA_DECODER, limits}; }

  mmra::testing::TemporaryDirectory directory_;
};

TEST_F(Decoding, GivesWhatDecodingHereGives) {
  const auto file = write(y4m(64, 48, 12));
  media::SampleOptions options;
  options.num_frames = 4;
  options.max_side_px = 32;
  const media::SampledClip here = media::sample_frames(file, options);
  const media::SampledClip there = decoder().decode(file, 4, 32, {});
  ASSERT_EQ(there.frames.size(), here.frames.size());
  for (std::size_t i = 0; i < here.frames.size(); ++i) {
    EXPECT_EQ(there.frames[i].rgb, here.frames[i].rgb);
    EXPECT_EQ(there.frames[i].index, here.frames[i].index);
    EXPECT_EQ(there.frames[i].pts_s, here.frames[i].pts_s);
  }
  EXPECT_EQ(there.info.num_frames, here.info.num_frames);
  EXPECT_EQ(there.info.codec, here.info.codec);
  EXPECT_EQ(there.info.duration_s, here.info.duration_s);
  EXPECT_EQ(there.warning, here.warning);
}

TEST_F(Decoding, SaysWhatIsWrongWithoutAPath) {
  for (const std::string& bytes : {std::string("no video"), y4m(64, 48, 1).substr(0, 50),
                                   std::string("#EXTM3U\nfile:///etc/passwd\n")}) {
    try {
      (void)decoder().decode(write(bytes), 4, 0, {});
      ADD_FAILURE() << "decoded: " << bytes;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kCorruptData);
      EXPECT_THAT(error.what(), Not(HasSubstr(directory_.path().string())));
      EXPECT_THAT(error.what(), Not(HasSubstr("bytes in memory")));
    }
  }
}

TEST_F(Decoding, RefusesAPictureBeyondTheLimit) {
  DecoderLimits limits;
  limits.max_pixels = 64 * 47;
  mmra::testing::expect_error(ErrorKind::kCorruptData, {"too large"}, [&] {
    (void)decoder(limits).decode(write(y4m(64, 48, 2)), 2, 0, {});
  });
}

#if !MMRA_ADDRESS_SANITIZER  // there the addresses have no limit
TEST_F(Decoding, TooLittleMemoryEndsTheDecoderAlone) {
  DecoderLimits limits;
  limits.max_memory_bytes = std::int64_t{1} << 20;  // less than the program itself has
  mmra::testing::expect_error(ErrorKind::kCorruptData, {"more memory than it may have"}, [&] {
    (void)decoder(limits).decode(write(y4m(1920, 1080, 3)), 3, 0, {});
  });
}
#endif

TEST_F(Decoding, TakesNoLongerThanItMay) {
  DecoderLimits limits;
  limits.max_time = std::chrono::milliseconds(1);
  // Cut short it has a frame and a warning, or nothing at all.
  try {
    EXPECT_TRUE(decoder(limits).decode(write(y4m(1280, 720, 40)), 10, 0, {}).warning.has_value());
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kCorruptData);
  }
}

TEST_F(Decoding, StopsWhenAsked) {
  std::stop_source stop;
  stop.request_stop();
  EXPECT_THROW((void)decoder().decode(write(y4m(64, 48, 2)), 2, 0, stop.get_token()), Interrupted);
}

TEST_F(Decoding, NeedsItsProgram) {
  mmra::testing::expect_error(ErrorKind::kNotFound, {"/nowhere/mmra-decoder"},
                              [] { (void)ClipDecoder("/nowhere/mmra-decoder", {}); });
}

}  // namespace
}  // namespace mmra::sandbox
