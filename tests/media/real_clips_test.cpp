#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <vector>

#include "mmra/core/error.h"
#include "mmra/media/sample_frames.h"
#include "test_clips.h"

namespace mmra::media {
namespace {

std::vector<std::filesystem::path> real_clips() {
  std::vector<std::filesystem::path> clips;
  const std::filesystem::path folder = MMRA_SHARED_DATA_DIR "/videos";
  if (!std::filesystem::is_directory(folder)) return clips;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() == ".mp4") clips.push_back(entry.path());
  }
  std::sort(clips.begin(), clips.end());
  return clips;
}

TEST(RealClips, EqualDecodingEverythingAndSkipMostPackets) {
  const std::vector<std::filesystem::path> clips = real_clips();
  if (clips.empty()) GTEST_SKIP() << "no real micro-videos in " MMRA_SHARED_DATA_DIR "/videos";
  for (const std::filesystem::path& clip : clips) {
    SCOPED_TRACE(clip.filename());
    SampleOptions options;
    options.max_side_px = 256;
    options.max_decode_s = 600.0;  // sanitizers
    const auto packets = testing::expect_like_oracle(clip, options);
    const ClipInfo info = sample_frames(clip, options).info;
    ASSERT_TRUE(packets.has_value());
    EXPECT_LT(*packets, info.num_frames * 2 / 3);
    EXPECT_EQ(info.codec, "hevc");
    EXPECT_EQ(info.width, 1280);
    EXPECT_EQ(info.height, 720);
  }
}

TEST(RealClips, CutShortGiveTheFramesTheyHave) {
  const std::vector<std::filesystem::path> clips = real_clips();
  if (clips.empty()) GTEST_SKIP() << "no real micro-videos in " MMRA_SHARED_DATA_DIR "/videos";
  const std::string whole = testing::bytes_of(clips[1]);
  const std::string half = whole.substr(0, whole.size() / 2);
  SampleOptions options;
  options.max_side_px = 64;
  options.max_decode_s = 600.0;
  const auto sample = [&] {
    return sample_frames_from_memory(std::as_bytes(std::span(half.data(), half.size())), options);
  };
  const bool index_first = whole.find("moov") < whole.find("mdat");
  if (!index_first) {
    EXPECT_THROW((void)sample(), Error);
    return;
  }
  const SampledClip clip = sample();
  EXPECT_TRUE(clip.warning.has_value());
  EXPECT_LT(clip.info.num_frames, sample_frames(clips[1], options).info.num_frames);
}

}  // namespace
}  // namespace mmra::media
