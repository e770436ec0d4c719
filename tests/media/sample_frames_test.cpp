#include "mmra/media/sample_frames.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>
#include <stop_token>

#include "expect_error.h"
#include "mmra/media/jpeg.h"
#include "test_clips.h"
#include "test_files.h"

namespace mmra::media {
namespace {

using mmra::testing::expect_error;
using mmra::testing::TemporaryDirectory;
using ::testing::ElementsAre;
using testing::expect_like_oracle;
using testing::number_of;
using testing::numbered_frame;
using testing::numbers_of;
using ::testing::Optional;
using testing::write_numbered_clip;

struct Case {
  const char* name;
  const char* file;
  ClipWriterOptions options;
  int num_frames;
  bool skips;  ///< fewer packets than there are need decoding
};

std::vector<Case> cases() {
  using enum ClipCodec;
  return {
      {"H264", "a.mp4", {.codec = kH264, .gop_size = 12, .num_b_frames = 2}, 97, true},
      {"H264Pyramid", "a.mp4", {.codec = kH264, .gop_size = 48, .num_b_frames = 5}, 97, true},
      {"H264NoBFrames", "a.mp4", {.codec = kH264, .gop_size = 5, .num_b_frames = 0}, 61, true},
      {"H264OneGop", "a.mp4", {.codec = kH264, .gop_size = 1000, .num_b_frames = 3}, 90, true},
      {"H264IntraOnly", "a.mp4", {.codec = kH264, .gop_size = 1, .num_b_frames = 0}, 40, true},
      {"H264OpenGop",
       "a.mp4",
       {.codec = kH264, .gop_size = 12, .num_b_frames = 3, .open_gop = true},
       97,
       true},
      {"H264Matroska", "a.mkv", {.codec = kH264, .gop_size = 12, .num_b_frames = 2}, 97, true},
      {"H264TransportStream",
       "a.ts",
       {.codec = kH264, .gop_size = 12, .num_b_frames = 2},
       97,
       true},
      {"H264Fragmented",
       "a.mp4",
       {.codec = kH264,
        .gop_size = 12,
        .num_b_frames = 2,
        .muxer_options = {{"movflags", "frag_keyframe+empty_moov"}}},
       97,
       true},
      {"H264Raw", "a.h264", {.codec = kH264, .gop_size = 12, .num_b_frames = 2}, 50, false},
      {"H264Avi", "a.avi", {.codec = kH264, .gop_size = 12, .num_b_frames = 0}, 50, false},
      {"H264Interlaced",
       "a.mp4",
       {.codec = kH264,
        .gop_size = 12,
        .num_b_frames = 2,
        .encoder_options = {{"flags", "+ildct+ilme"}}},
       50,
       true},
      {"H264WithSound",
       "a.mp4",
       {.codec = kH264, .gop_size = 12, .num_b_frames = 2, .audio = AudioTrack::kTone},
       97,
       true},
      {"H264TenBit", "a.mp4", {.codec = kH264, .gop_size = 12, .bit_depth = 10}, 50, true},
      {"Hevc", "a.mp4", {.codec = kHevc, .gop_size = 12, .num_b_frames = 3}, 97, true},
      {"HevcOpenGop",
       "a.mp4",
       {.codec = kHevc, .gop_size = 12, .num_b_frames = 3, .open_gop = true},
       97,
       true},
      {"HevcTenBit", "a.mkv", {.codec = kHevc, .gop_size = 24, .bit_depth = 10}, 50, true},
      {"HevcTransportStream", "a.ts", {.codec = kHevc, .gop_size = 12, .open_gop = true}, 60, true},
      {"Vp9", "a.webm", {.codec = kVp9, .gop_size = 6, .num_b_frames = 0}, 61, true},
      {"Vp9HiddenFrames", "a.webm", {.codec = kVp9, .gop_size = 20, .num_b_frames = 1}, 61, true},
      {"Vp9OneGop", "a.mp4", {.codec = kVp9, .gop_size = 999, .num_b_frames = 1}, 40, false},
      {"Av1", "a.webm", {.codec = kAv1, .gop_size = 6, .num_b_frames = 0}, 61, false},
      {"Av1HiddenFrames", "a.mp4", {.codec = kAv1, .gop_size = 20, .num_b_frames = 1}, 41, false},
      {"Mjpeg", "a.avi", {.codec = kMjpeg}, 40, false},
      {"Ffv1", "a.mkv", {.codec = kFfv1, .gop_size = 10}, 40, false},
  };
}

class SampleFramesOf : public ::testing::TestWithParam<Case> {};

TEST_P(SampleFramesOf, EqualsDecodingEverything) {
  const Case& test = GetParam();
  if (!has_encoder(test.options.codec)) GTEST_SKIP() << "libavcodec has no encoder for it here";
  const TemporaryDirectory directory;
  const std::filesystem::path file = directory / test.file;
  write_numbered_clip(file, test.num_frames, test.options);
  for (const int num_picks : {1, 2, 3, 7, 10, 33}) {
    SCOPED_TRACE(num_picks);
    SampleOptions options;
    options.num_frames = num_picks;
    const auto packets = expect_like_oracle(file, options);
    if (num_picks == 3) {
      EXPECT_EQ(packets.value_or(test.num_frames) < test.num_frames, test.skips)
          << packets.value_or(-1) << " packets were decoded";
    }
    const SampledClip clip = sample_frames(file, options);
    EXPECT_EQ(clip.info.num_frames, test.num_frames);
    EXPECT_EQ(clip.warning, std::nullopt);
    for (const Frame& frame : clip.frames) EXPECT_EQ(number_of(frame), frame.index);
  }
}

INSTANTIATE_TEST_SUITE_P(Codecs, SampleFramesOf, ::testing::ValuesIn(cases()),
                         [](const auto& test) { return test.param.name; });

TEST(SampleFrames, TellsWhatTheFileSays) {
  const TemporaryDirectory directory;
  write_numbered_clip(directory / "a.mp4", 48, {.audio = AudioTrack::kSilence});
  write_numbered_clip(
      directory / "b.mkv", 30,
      {.codec = ClipCodec::kMjpeg, .frame_rate_num = 30'000, .frame_rate_den = 1001});
  const ClipInfo a = sample_frames(directory / "a.mp4", {}).info;
  EXPECT_EQ(a.codec, "h264");
  EXPECT_EQ(a.num_frames, 48);
  EXPECT_EQ(a.width, 96);
  EXPECT_EQ(a.height, 64);
  EXPECT_NEAR(a.duration_s, 2.0, 1e-6);
  EXPECT_NEAR(a.frame_rate, 24.0, 1e-6);
  EXPECT_TRUE(a.has_audio);
  const ClipInfo b = sample_frames(directory / "b.mkv", {}).info;
  EXPECT_EQ(b.codec, "mjpeg");
  EXPECT_NEAR(b.frame_rate, 29.97, 0.05);  // Matroska rounds to milliseconds
  EXPECT_FALSE(b.has_audio);
}

TEST(SampleFrames, GivesAShortClipsFramesOnce) {
  const TemporaryDirectory directory;
  for (const int num_frames : {1, 2, 9}) {
    write_numbered_clip(directory / "a.mp4", num_frames, {});
    expect_like_oracle(directory / "a.mp4");
    std::vector<int> all(static_cast<std::size_t>(num_frames));
    std::iota(all.begin(), all.end(), 0);
    EXPECT_EQ(numbers_of(sample_frames(directory / "a.mp4", {})), all);
  }
}

TEST(SampleFrames, FollowsVariableFrameRate) {
  const TemporaryDirectory directory;
  for (const char* name : {"a.mp4", "a.mkv"}) {
    ClipWriter writer(directory / name, {.variable_frame_rate = true, .gop_size = 8});
    double pts_s = 0.0;
    std::vector<double> times_s;
    for (int i = 0; i < 40; ++i) {
      Frame frame = numbered_frame(i);
      frame.pts_s = pts_s;
      times_s.push_back(pts_s);
      pts_s += i % 7 == 0 ? 0.5 : 0.02;
      writer.add(frame);
    }
    writer.finish();
    expect_like_oracle(directory / name);
    for (const Frame& frame : sample_frames(directory / name, {}).frames) {
      EXPECT_EQ(number_of(frame), frame.index);
      EXPECT_NEAR(frame.pts_s, times_s[static_cast<std::size_t>(frame.index)], 1e-3);
    }
  }
}

TEST(SampleFrames, CountsFramesItselfWhereTheHeaderLies) {
  const TemporaryDirectory directory;
  write_numbered_clip(directory / "a.avi", 40, {.codec = ClipCodec::kMjpeg});
  std::string bytes = testing::bytes_of(directory / "a.avi");
  // dwTotalFrames of the main header and dwLength of the stream's, little endian.
  const auto patch = [&](const char* chunk, std::size_t offset) {
    const std::size_t at = bytes.find(chunk);
    ASSERT_NE(at, std::string::npos);
    ASSERT_EQ(bytes[at + 8 + offset], 40);
    bytes[at + 8 + offset] = 99;
  };
  patch("avih", 16);
  patch("strh", 32);
  testing::write_bytes(directory / "a.avi", bytes);
  const SampledClip clip = sample_frames(directory / "a.avi", {});
  EXPECT_EQ(clip.info.num_frames, 40);
  EXPECT_EQ(clip.frames.back().index, 39);
  EXPECT_THAT(clip.warning, Optional(::testing::HasSubstr("its header promises")));
}

TEST(SampleFrames, DecodesAnyAccessUnitThatTheIndexDoesNotUnderstand) {
  // Annex B streams have no times: everything is decoded, and the answer is the same.
  const TemporaryDirectory directory;
  write_numbered_clip(directory / "a.h264", 60, {.gop_size = 10});
  SampleTrace trace;
  EXPECT_THAT(numbers_of(sample_frames(directory / "a.h264", {.num_frames = 4}, &trace)),
              ElementsAre(0, 19, 39, 59));
  EXPECT_FALSE(trace.skipped_packets);
}

TEST(SampleFrames, ReadsStillImages) {
  const TemporaryDirectory directory;
  write_numbered_clip(directory / "a.png", 1, {.codec = ClipCodec::kPng});
  write_numbered_clip(directory / "a.jpg", 1, {.codec = ClipCodec::kMjpeg});
  for (const char* name : {"a.png", "a.jpg"}) {
    std::filesystem::copy_file(directory / name, directory / "still");  // the name says nothing
    const SampledClip clip = sample_frames(directory / "still", {});
    ASSERT_EQ(clip.frames.size(), 1U) << name;
    EXPECT_EQ(number_of(clip.frames[0]), 0);
    EXPECT_EQ(clip.info.num_frames, 1);
    EXPECT_EQ(clip.info.duration_s, 0.0);
    EXPECT_EQ(clip.info.frame_rate, 0.0);
    EXPECT_EQ(clip.info.width, 96);
    std::filesystem::remove(directory / "still");
  }
}

TEST(SampleFrames, ReadsAnimatedGifs) {
  const TemporaryDirectory directory;
  write_numbered_clip(directory / "a.gif", 25, {.codec = ClipCodec::kGif, .frame_rate_num = 10});
  expect_like_oracle(directory / "a.gif");
  EXPECT_THAT(numbers_of(sample_frames(directory / "a.gif", {.num_frames = 3})),
              ElementsAre(0, 12, 24));
}

TEST(SampleFrames, DoesNotTakeTheNameForAPattern) {
  const TemporaryDirectory directory;
  for (int i = 1; i <= 3; ++i) {
    const std::vector<std::uint8_t> jpeg = encode_jpeg(numbered_frame(i), 0, 95);
    testing::write_bytes(directory / ("p" + std::to_string(i) + ".jpg"),
                         {jpeg.begin(), jpeg.end()});
  }
  std::filesystem::copy_file(directory / "p3.jpg", directory / "p%d.jpg");
  EXPECT_THAT(numbers_of(sample_frames(directory / "p%d.jpg", {})), ElementsAre(3));
  expect_error(ErrorKind::kNotFound, "q%d.jpg",
               [&] { (void)sample_frames(directory / "q%d.jpg", {}); });
}

TEST(SampleFrames, ShrinksInTheSameStep) {
  const TemporaryDirectory directory;
  write_numbered_clip(directory / "a.mp4", 20, {}, 192, 108);
  SampleOptions options;
  options.max_side_px = 64;
  expect_like_oracle(directory / "a.mp4", options);
  const SampledClip clip = sample_frames(directory / "a.mp4", options);
  EXPECT_EQ(clip.frames[0].width, 64);
  EXPECT_EQ(clip.frames[0].height, 36);
  EXPECT_EQ(clip.info.width, 192);
  EXPECT_EQ(clip.info.height, 108);
  EXPECT_EQ(number_of(clip.frames.back()), 19);
}

TEST(SampleFrames, IsTheSameWithMoreDecoderThreads) {
  const TemporaryDirectory directory;
  for (const ClipCodec codec : {ClipCodec::kH264, ClipCodec::kHevc, ClipCodec::kVp9}) {
    if (!has_encoder(codec)) continue;
    write_numbered_clip(directory / "a.mkv", 70, {.codec = codec, .gop_size = 15});
    SampleOptions options;
    options.decoder_threads = 3;
    expect_like_oracle(directory / "a.mkv", options);
  }
}

TEST(SampleFrames, ReadsFromMemoryAsFromAFile) {
  const TemporaryDirectory directory;
  write_numbered_clip(directory / "a.mp4", 30, {});
  const std::string bytes = testing::bytes_of(directory / "a.mp4");
  const SampledClip clip =
      sample_frames_from_memory(std::as_bytes(std::span(bytes.data(), bytes.size())), {});
  EXPECT_EQ(numbers_of(clip), numbers_of(sample_frames(directory / "a.mp4", {})));
}

TEST(SampleFrames, StopsAtTheLimitOfFrames) {
  const TemporaryDirectory directory;
  write_numbered_clip(directory / "a.mp4", 60, {.gop_size = 12});
  SampleOptions options;
  options.num_frames = 3;
  options.max_frames = 21;
  const SampledClip clip = sample_frames(directory / "a.mp4", options);
  EXPECT_THAT(numbers_of(clip), ElementsAre(0, 10, 20));
  EXPECT_EQ(clip.info.num_frames, 21);
  EXPECT_THAT(clip.warning, Optional(::testing::HasSubstr("only the first 21 frames")));
  options.max_frames = 60;
  EXPECT_EQ(sample_frames(directory / "a.mp4", options).warning, std::nullopt);
}

TEST(SampleFrames, StopsWhereItsTimeIsUp) {
  const TemporaryDirectory directory;
  write_numbered_clip(directory / "a.mp4", 60, {});
  SampleOptions options;
  options.max_decode_s = 1e-9;
  expect_error(ErrorKind::kUnsupported, "a.mp4: it took longer than",
               [&] { (void)sample_frames(directory / "a.mp4", options); });
  // Whatever the time, what comes out is right, and short of frames only with a warning.
  write_numbered_clip(directory / "b.mp4", 200, {.gop_size = 200, .num_b_frames = 0}, 320, 180);
  for (const bool everything : {false, true}) {
    for (double budget_s = 1e-3; budget_s < 0.2; budget_s *= 1.3) {
      options.max_decode_s = budget_s;
      options.decode_everything = everything;
      try {
        const SampledClip clip = sample_frames(directory / "b.mp4", options);
        EXPECT_TRUE(clip.frames.size() == 10 || clip.warning.has_value());
        for (const Frame& frame : clip.frames) EXPECT_EQ(number_of(frame), frame.index);
      } catch (const Error& error) {
        EXPECT_THAT(error.what(), ::testing::HasSubstr("took longer than"));
      }
    }
  }
}

TEST(SampleFrames, RefusesPicturesThatAreTooLarge) {
  const TemporaryDirectory directory;
  for (const ClipCodec codec : {ClipCodec::kH264, ClipCodec::kPng}) {
    const std::filesystem::path file = directory / (codec == ClipCodec::kPng ? "a.png" : "a.mp4");
    write_numbered_clip(file, 1, {.codec = codec}, 96, 64);
    SampleOptions options;
    options.max_pixels = 96LL * 64 - 1;
    expect_error(ErrorKind::kUnsupported, "96x64 is too large",
                 [&] { (void)sample_frames(file, options); });
    options.max_pixels = 96LL * 64;
    EXPECT_EQ(sample_frames(file, options).frames.size(), 1U);
  }
}

TEST(SampleFrames, StopsWhenAsked) {
  const TemporaryDirectory directory;
  write_numbered_clip(directory / "a.mp4", 10, {});
  std::stop_source source;
  source.request_stop();
  SampleOptions options;
  options.stop = source.get_token();
  EXPECT_THROW((void)sample_frames(directory / "a.mp4", options), Interrupted);
}

TEST(SampleFrames, RefusesOptionsThatMakeNoSense) {
  const auto refuses = [](const SampleOptions& options, const char* what) {
    expect_error(ErrorKind::kInvalidInput, what, [&] { (void)sample_frames("a.mp4", options); });
  };
  refuses({.num_frames = 0}, "num_frames");
  refuses({.max_side_px = -1}, "max_side_px");
  refuses({.max_decode_s = 0.0}, "max_decode_s");
  refuses({.max_frames = 0}, "max_frames");
  refuses({.max_pixels = 0}, "max_pixels");
  refuses({.decoder_threads = 0}, "decoder_threads");
}

}  // namespace
}  // namespace mmra::media
