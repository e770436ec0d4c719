#include "mmra/media/clip_writer.h"

#include <gtest/gtest.h>

#include <iterator>

#include "expect_error.h"
#include "mmra/media/sample_frames.h"
#include "test_clips.h"
#include "test_files.h"

namespace mmra::media {
namespace {

using mmra::testing::expect_error;
using mmra::testing::TemporaryDirectory;
using testing::bytes_of;
using testing::numbered_frame;
using testing::write_numbered_clip;

std::ptrdiff_t count_files(const std::filesystem::path& directory) {
  const std::filesystem::directory_iterator files(directory);
  return std::distance(begin(files), end(files));
}

TEST(ClipWriter, WritesTheSameBytesEachTime) {
  const TemporaryDirectory directory;
  for (const ClipCodec codec :
       {ClipCodec::kH264, ClipCodec::kHevc, ClipCodec::kVp9, ClipCodec::kMjpeg, ClipCodec::kFfv1}) {
    if (!has_encoder(codec)) continue;
    const ClipWriterOptions options = {.codec = codec, .audio = AudioTrack::kTone};
    write_numbered_clip(directory / "a.mkv", 12, options);
    const std::string first = bytes_of(directory / "a.mkv");
    write_numbered_clip(directory / "a.mkv", 12, options);
    EXPECT_TRUE(bytes_of(directory / "a.mkv") == first) << static_cast<int>(codec);
  }
}

TEST(ClipWriter, IsThereOnlyWhenFinished) {
  const TemporaryDirectory directory;
  {
    ClipWriter writer(directory / "a.mp4", {});
    for (int i = 0; i < 30; ++i) writer.add(numbered_frame(i));
  }
  EXPECT_EQ(count_files(directory.path()), 0);
  write_numbered_clip(directory / "a.mp4", 5, {});
  EXPECT_EQ(count_files(directory.path()), 1);
}

TEST(ClipWriter, PutsKeyframesWhereTheyWereAskedFor) {
  const TemporaryDirectory directory;
  write_numbered_clip(directory / "short.mp4", 40, {.gop_size = 5});
  write_numbered_clip(directory / "long.mp4", 40, {.gop_size = 100});
  SampleTrace short_gops;
  SampleTrace long_gop;
  SampleOptions options;
  options.num_frames = 3;
  (void)sample_frames(directory / "short.mp4", options, &short_gops);
  (void)sample_frames(directory / "long.mp4", options, &long_gop);
  EXPECT_LT(short_gops.packets_decoded, long_gop.packets_decoded);
}

TEST(ClipWriter, HasSoundWhereAskedFor) {
  const TemporaryDirectory directory;
  for (const AudioTrack track : {AudioTrack::kNone, AudioTrack::kSilence, AudioTrack::kTone}) {
    write_numbered_clip(directory / "a.mp4", 24, {.audio = track});
    const SampledClip clip = sample_frames(directory / "a.mp4", {});
    EXPECT_EQ(clip.info.has_audio, track != AudioTrack::kNone);
    EXPECT_EQ(clip.info.num_frames, 24);
    EXPECT_EQ(clip.warning, std::nullopt);
  }
}

TEST(ClipWriter, SaysWhatItCannotWrite) {
  const TemporaryDirectory directory;
  expect_error(ErrorKind::kInvalidInput, "a.nonsense",
               [&] { ClipWriter(directory / "a.nonsense", {}); });
  expect_error(ErrorKind::kInvalidInput, "no container has the name \"nonsense\"",
               [&] { ClipWriter(directory / "a.mp4", {.container = "nonsense"}); });
  expect_error(ErrorKind::kInvalidInput, "frame rate",
               [&] { ClipWriter(directory / "a.mp4", {.frame_rate_num = 0}); });
  expect_error(ErrorKind::kInvalidInput, "bit_depth",
               [&] { ClipWriter(directory / "a.mp4", {.bit_depth = 9}); });
  expect_error(ErrorKind::kInvalidInput, "rotation_degrees",
               [&] { ClipWriter(directory / "a.mp4", {.rotation_degrees = 45}); });
  expect_error(ErrorKind::kInvalidInput, "no option nonsense", [&] {
    ClipWriter(directory / "a.mp4", {.encoder_options = {{"nonsense", "1"}}})
        .add(numbered_frame(0));
  });
  expect_error(ErrorKind::kInvalidInput, "no option nonsense", [&] {
    ClipWriter(directory / "a.mp4", {.muxer_options = {{"nonsense", "1"}}}).add(numbered_frame(0));
  });
  // 4:2:0 needs even sides here.
  expect_error(ErrorKind::kInvalidInput, "libx264",
               [&] { ClipWriter(directory / "a.mp4", {}).add(numbered_frame(0, 33, 33)); });
  EXPECT_EQ(count_files(directory.path()), 0);
}

TEST(ClipWriter, RefusesFramesThatDoNotFit) {
  const TemporaryDirectory directory;
  ClipWriter writer(directory / "a.mp4", {});
  expect_error(ErrorKind::kInvalidInput, "it has no frame", [&] { writer.finish(); });
  writer.add(numbered_frame(0));
  expect_error(ErrorKind::kInvalidInput, "a frame is 64x64, the first was 96x64",
               [&] { writer.add(numbered_frame(1, 64, 64)); });
  ClipWriter variable(directory / "b.mp4", {.variable_frame_rate = true});
  Frame frame = numbered_frame(0);
  frame.pts_s = 1.0;
  variable.add(frame);
  expect_error(ErrorKind::kInvalidInput, "is not after the one before it",
               [&] { variable.add(frame); });
}

TEST(ClipWriter, NamesTheFolderThatIsMissing) {
  const TemporaryDirectory directory;
  ClipWriter writer(directory / "no/where/a.mp4", {});
  writer.add(numbered_frame(0));
  expect_error(ErrorKind::kNotFound, "no/where/a.mp4", [&] { writer.finish(); });
}

}  // namespace
}  // namespace mmra::media
