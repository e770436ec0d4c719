#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "mmra/core/error.h"
#include "mmra/media/sample_frames.h"
#include "test_clips.h"
#include "test_files.h"

// Files that end early or hold garbage: the frames they have and a warning, or an error; never a
// crash, a hang, or a frame that is not in the file.

namespace mmra::media {
namespace {

using mmra::testing::TemporaryDirectory;
using testing::bytes_of;
using testing::number_of;
using testing::numbers_of;
using testing::sample_by_oracle;
using testing::write_bytes;
using testing::write_numbered_clip;

constexpr int kNumFrames = 30;

struct Container {
  const char* name;
  const char* file;
  ClipWriterOptions options;
  bool knows_its_length;  ///< so that a missing end is always noticed
};

std::vector<Container> containers() {
  using enum ClipCodec;
  // Space for the index in front of the frames, as files made for the web have it.
  const std::map<std::string, std::string> index_first = {{"moov_size", "2500"}};
  return {
      {"Mp4", "a.mp4", {.gop_size = 10, .muxer_options = index_first}, true},
      {"Mp4IndexLast", "a.mp4", {.gop_size = 10}, true},
      {"Mp4Hevc", "a.mp4", {.codec = kHevc, .gop_size = 10, .muxer_options = index_first}, true},
      {"FragmentedMp4",
       "a.mp4",
       {.gop_size = 10, .muxer_options = {{"movflags", "frag_keyframe+empty_moov"}}},
       false},
      {"Matroska", "a.mkv", {.gop_size = 10}, false},
      {"WebmVp9", "a.webm", {.codec = kVp9, .gop_size = 10, .num_b_frames = 1}, false},
      {"WebmAv1", "a.webm", {.codec = kAv1, .gop_size = 10, .num_b_frames = 0}, false},
      {"TransportStream", "a.ts", {.gop_size = 10}, false},
      {"Avi", "a.avi", {.codec = kMjpeg}, false},
      {"Gif", "a.gif", {.codec = kGif}, false},
  };
}

class Damaged : public ::testing::TestWithParam<Container> {
 protected:
  void SetUp() override {
    if (!has_encoder(GetParam().options.codec)) GTEST_SKIP() << "no encoder here";
    write_numbered_clip(directory_ / GetParam().file, kNumFrames, GetParam().options, 64, 48);
    whole_ = bytes_of(directory_ / GetParam().file);
    damaged_ = directory_ / (std::string("damaged-") + GetParam().file);
  }

  /// The frames of `bytes`, none where they are refused with an error that names the file.
  std::optional<SampledClip> sample(const std::string& bytes, bool decode_everything = false) {
    write_bytes(damaged_, bytes);
    SampleOptions options;
    options.max_decode_s = 300.0;
    options.decode_everything = decode_everything;
    try {
      return sample_frames(damaged_, options);
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), ::testing::HasSubstr(damaged_.string()));
      EXPECT_THAT(error.what(), ::testing::Not(::testing::HasSubstr("\n")));
      EXPECT_NE(error.kind(), ErrorKind::kInternal);
      return std::nullopt;
    }
  }

  TemporaryDirectory directory_;
  std::filesystem::path damaged_;
  std::string whole_;
};

void expect_sound(const SampledClip& clip) {
  ASSERT_FALSE(clip.frames.empty());
  EXPECT_LE(clip.frames.size(), 10U);
  EXPECT_GE(clip.info.num_frames, static_cast<std::int64_t>(clip.frames.size()));
  std::int64_t previous = -1;
  for (const Frame& frame : clip.frames) {
    EXPECT_GT(frame.index, previous);
    EXPECT_LT(frame.index, clip.info.num_frames);
    previous = frame.index;
    EXPECT_EQ(frame.rgb.size(), static_cast<std::size_t>(frame.width) * frame.height * 3U);
  }
}

TEST_P(Damaged, TruncatedAnywhereGivesTheFramesThatAreThere) {
  const std::size_t step = std::max<std::size_t>(1, whole_.size() / 40);
  int num_with_frames = 0;
  for (std::size_t size = 1; size < whole_.size(); size += step) {
    SCOPED_TRACE("truncated to " + std::to_string(size) + " of " + std::to_string(whole_.size()));
    const std::optional<SampledClip> clip = sample(whole_.substr(0, size));
    if (!clip) continue;
    ++num_with_frames;
    expect_sound(*clip);
    const testing::OracleClip oracle = sample_by_oracle(damaged_, {});
    EXPECT_EQ(clip->info.num_frames, oracle.num_frames);
    ASSERT_EQ(clip->frames.size(), oracle.frames.size());
    for (std::size_t i = 0; i < clip->frames.size(); ++i) {
      const Frame& frame = clip->frames[i];
      EXPECT_EQ(frame.index, oracle.frames[i].index);
      // The last pictures decoded may be patched, in ways that differ from run to run.
      if (frame.index + 4 >= clip->info.num_frames) break;
      EXPECT_TRUE(frame.rgb == oracle.frames[i].rgb) << i;
      EXPECT_EQ(number_of(frame), frame.index);
    }
    EXPECT_EQ(numbers_of(*clip), numbers_of(*sample(whole_.substr(0, size))));
    if (GetParam().knows_its_length && clip->info.num_frames < kNumFrames) {
      EXPECT_TRUE(clip->warning.has_value());
    }
  }
  const bool needs_its_end = std::string_view(GetParam().name) == "Mp4IndexLast";
  EXPECT_EQ(num_with_frames >= 6, !needs_its_end) << num_with_frames;
}

TEST_P(Damaged, GarbageInTheMiddleNeverBreaksIt) {
  std::mt19937 random(20240714);
  for (int round = 0; round < 40; ++round) {
    SCOPED_TRACE(round);
    std::string bytes = whole_;
    const auto burst = std::uniform_int_distribution<std::size_t>(1, 200)(random);
    const auto at = std::uniform_int_distribution<std::size_t>(0, bytes.size() - 1)(random);
    for (std::size_t i = at; i < std::min(bytes.size(), at + burst); ++i) {
      bytes[i] = static_cast<char>(random());
    }
    const std::optional<SampledClip> clip = sample(bytes);
    if (clip) expect_sound(*clip);
    // Decoded from end to end it is the oracle's, whatever the damage.
    const std::optional<SampledClip> slow = sample(bytes, /*decode_everything=*/true);
    if (!slow) continue;
    expect_sound(*slow);
    const testing::OracleClip oracle = sample_by_oracle(damaged_, {});
    if (oracle.frames.empty()) continue;  // it chose another stream, or another format by the name
    EXPECT_EQ(slow->info.num_frames, oracle.num_frames);
  }
}

TEST_P(Damaged, SingleWrongBitsNeverBreakIt) {
  std::mt19937 random(7);
  for (int round = 0; round < 60; ++round) {
    std::string bytes = whole_;
    // Mostly in the headers, which lie at either end.
    const std::size_t reach = std::min<std::size_t>(bytes.size() / 2, 1500);
    auto at = std::uniform_int_distribution<std::size_t>(0, reach)(random);
    if (round % 2 != 0) at = bytes.size() - 1 - at;
    bytes[at] = static_cast<char>(bytes[at] ^ (1 << (random() % 8)));
    SCOPED_TRACE("bit of byte " + std::to_string(at));
    const std::optional<SampledClip> clip = sample(bytes);
    if (clip) expect_sound(*clip);
  }
}

INSTANTIATE_TEST_SUITE_P(Containers, Damaged, ::testing::ValuesIn(containers()),
                         [](const auto& test) { return test.param.name; });

TEST(SampleFramesDamage, ADamagedPictureThatIsDecodedSendsItToTheLongWay) {
  // The packet index is exact, yet the decoder drops a picture: the index is not believed.
  if (!has_encoder(ClipCodec::kVp9)) GTEST_SKIP() << "no encoder here";
  const TemporaryDirectory directory;
  write_numbered_clip(directory / "a.webm", 40,
                      {.codec = ClipCodec::kVp9, .gop_size = 10, .num_b_frames = 0});
  std::string bytes = bytes_of(directory / "a.webm");
  SampleTrace before;
  (void)sample_frames(directory / "a.webm", {}, &before);
  ASSERT_TRUE(before.skipped_packets);
  // The tail of the first picture (a large keyframe) after its headers.
  const std::size_t cluster = bytes.find("\x1F\x43\xB6\x75");
  ASSERT_NE(cluster, std::string::npos);
  const std::size_t block = bytes.find('\xA3', cluster + 8);
  for (std::size_t i = block + 16; i < block + 60; ++i) bytes[i] = '\xFF';
  write_bytes(directory / "a.webm", bytes);
  SampleTrace trace;
  const SampledClip clip = sample_frames(directory / "a.webm", {}, &trace);
  EXPECT_FALSE(trace.skipped_packets);
  EXPECT_TRUE(clip.warning.has_value());
  const testing::OracleClip oracle = sample_by_oracle(directory / "a.webm", {});
  EXPECT_EQ(clip.info.num_frames, oracle.num_frames);
  EXPECT_LT(clip.info.num_frames, 40);
}

}  // namespace
}  // namespace mmra::media
