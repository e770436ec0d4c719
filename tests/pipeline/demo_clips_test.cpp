#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <malloc.h>

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <map>
#include <set>
#include <sstream>
#include <stop_token>
#include <string>
#include <vector>

#include "mmra/bank/manifest.h"
#include "mmra/core/error.h"
#include "mmra/core/files.h"
#include "mmra/core/progress.h"
#include "mmra/media/sample_frames.h"
#include "mmra/pipeline/demo/clips.h"
#include "test_files.h"

namespace mmra::pipeline::demo {
namespace {

using ::testing::Contains;
using ::testing::Pair;

std::vector<std::string> words_of(const std::string& text) {
  std::istringstream stream(text);
  return {std::istream_iterator<std::string>(stream), {}};
}

TEST(DemoClips, AreTheSameForTheSameSeed) {
  const auto a = imagine_clips(100, 7);
  const auto b = imagine_clips(100, 7);
  const auto other = imagine_clips(100, 8);
  int different = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    EXPECT_EQ(a[i].title, b[i].title);
    EXPECT_EQ(a[i].popularity, b[i].popularity);
    EXPECT_EQ(video_name(a[i]), video_name(b[i]));
    different += a[i].title != other[i].title ? 1 : 0;
  }
  EXPECT_GT(different, 90);
}

TEST(DemoClips, AnotherNumberOfClipsLeavesThePicturesAsTheyAre) {
  const auto few = imagine_clips(60, 7);
  const auto many = imagine_clips(600, 7);
  for (std::size_t i = 0; i < few.size(); ++i) EXPECT_EQ(video_name(few[i]), video_name(many[i]));
}

TEST(DemoClips, AFileIsNamedByItsLook) {
  DemoClip clip = imagine_clips(1, 7).front();
  const std::string name = video_name(clip);
  clip.title += " and more";
  EXPECT_EQ(video_name(clip), name);
  clip.look.speed *= 2;
  EXPECT_NE(video_name(clip), name);
}

TEST(DemoClips, OnlyTheLastIsHeldOutAndEverySplitHasItsShare) {
  const auto clips = imagine_clips(600, 7);
  std::map<bank::Split, int> count;
  for (const DemoClip& clip : clips) ++count[clip.split];
  EXPECT_EQ(std::count_if(clips.begin(), clips.end(), [](const auto& c) { return c.held_out; }), 1);
  EXPECT_TRUE(clips.back().held_out);
  EXPECT_THAT(count, Contains(Pair(bank::Split::kTrain, 390)));
  EXPECT_THAT(count, Contains(Pair(bank::Split::kValid, 90)));
  EXPECT_THAT(count, Contains(Pair(bank::Split::kTest, 120)));
}

// Retrieval has something to find: most clips share a rare word with a train clip of the series.
TEST(DemoClips, MostShareARareWordWithATrainClip) {
  const auto clips = imagine_clips(600, 7);
  std::map<std::string, std::set<std::size_t>> uses;
  for (std::size_t i = 0; i < clips.size(); ++i) {
    for (const std::string& word : words_of(clips[i].title)) uses[word].insert(i);
  }
  int linked = 0;
  for (std::size_t i = 0; i < clips.size(); ++i) {
    const auto words = words_of(clips[i].title);
    linked += std::any_of(words.begin(), words.end(), [&](const std::string& word) {
      const auto& users = uses[word];
      return users.size() < 15 && std::any_of(users.begin(), users.end(), [&](std::size_t j) {
               return j != i && clips[j].split == bank::Split::kTrain;
             });
    });
  }
  EXPECT_GT(linked, 480);
}

TEST(DemoClips, AreRealVideosWithAManifestThatLeavesOutTheHeldOutOne) {
  testing::TemporaryDirectory directory;
  const auto clips = imagine_clips(4, 7);
  SilentProgress silent;
  const auto manifest = make_clips(clips, directory / "clips", 2, {}, silent);
  const auto rows = bank::load_manifest(manifest);
  ASSERT_EQ(rows.size(), 3U);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    EXPECT_EQ(rows[i].id, clips[i].id);
    EXPECT_EQ(rows[i].title, clips[i].title);
    const auto clip = media::sample_frames(rows[i].video_path, {});
    EXPECT_EQ(clip.frames.size(), 10U);
    EXPECT_EQ(clip.frames.front().width, 160);
  }
  EXPECT_TRUE(std::filesystem::exists(directory / "clips" / video_name(clips[3])));
}

TEST(DemoClips, ThatAreThereAreNotMadeAgain) {
  testing::TemporaryDirectory directory;
  const auto clips = imagine_clips(2, 7);
  SilentProgress silent;
  make_clips(clips, directory / "clips", 1, {}, silent);
  const auto file = directory / "clips" / video_name(clips[0]);
  const auto made = std::filesystem::last_write_time(file);
  make_clips(clips, directory / "clips", 1, {}, silent);
  EXPECT_EQ(std::filesystem::last_write_time(file), made);
}

// An encoder's kernels may read memory that nobody has written (x264's for AVX-512 do); here it is
// other memory each time.
TEST(DemoClips, AreTheSameBytesWhateverWasInMemory) {
  testing::TemporaryDirectory directory;
  const auto clips = imagine_clips(6, 7);
  SilentProgress silent;
  for (const int byte : {85, 170}) {
    ::mallopt(M_PERTURB, byte);
    make_clips(clips, directory / std::to_string(byte), 1, {}, silent);
  }
  ::mallopt(M_PERTURB, 0);
  for (const auto& clip : clips) {
    EXPECT_TRUE(read_file(directory / "85" / video_name(clip)) ==
                read_file(directory / "170" / video_name(clip)))
        << video_name(clip);
  }
}

TEST(DemoClips, StopWhenAsked) {
  testing::TemporaryDirectory directory;
  std::stop_source source;
  source.request_stop();
  SilentProgress silent;
  EXPECT_THROW(make_clips(imagine_clips(2, 7), directory / "clips", 1, source.get_token(), silent),
               Interrupted);
}

}  // namespace
}  // namespace mmra::pipeline::demo
