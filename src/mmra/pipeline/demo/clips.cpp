#include "mmra/pipeline/demo/clips.h"

#include <algorithm>
#include <cmath>
#include <mutex>
#include <random>

#include "mmra/bank/manifest.h"
#include "mmra/core/error.h"
#include "mmra/core/files.h"
#include "mmra/core/threads.h"
#include "mmra/media/clip_writer.h"

namespace mmra::pipeline::demo {
namespace {

constexpr int kWidthPx = 160;
constexpr int kHeightPx = 90;
constexpr int kFrameRate = 24;
constexpr int kClipsPerCreator = 10;

struct SceneWords {
  double effect;  ///< on log2 popularity
  std::vector<std::string> phrases;
};

const std::vector<SceneWords>& scene_words() {
  static const std::vector<SceneWords> kScenes = {
      {0.2, {"sailing a boat", "out on the lake", "my little boat", "waves and wind"}},
      {0.9, {"campfire night", "playing with fire", "flames everywhere", "how to light a fire"}},
      {-0.6, {"a walk in the forest", "between the trees", "lost in the woods", "green forest"}},
      {0.0, {"city lights", "downtown at night", "windows of the city", "rooftops"}},
      {1.2, {"dance challenge", "learn this dance", "dancing all night", "party moves"}},
      {-0.9, {"first snow", "snow day", "winter is here", "it is snowing again"}}};
  return kScenes;
}

struct TopicWord {
  std::string text;
  double effect;
};

const std::vector<TopicWord>& topic_words() {
  static const std::vector<TopicWord> kTopics = {
      {"# funny", 0.9},        {"# tutorial", 0.3}, {"# vlog", -0.4}, {"# relaxing", -0.7},
      {"# unbelievable", 0.8}, {"# daily", -0.8},   {"# cute", 0.6},  {"", 0.0}};
  return kTopics;
}

/// A made-up name of three syllables; different creators get different names.
std::string creator_name(int creator) {
  static const char* const kSyllables[] = {"ba", "do", "ki", "lu",  "me",  "no", "ra",
                                           "si", "ta", "zu", "ven", "mor", "fel"};
  std::string name;
  for (int i = 0, rest = creator * 37 + 11; i < 3; ++i, rest /= 13) name += kSyllables[rest % 13];
  return name + std::to_string(creator % 10);
}

bank::Split split_at(int index) {
  const int place = index % 20;  // 65 % train, 15 % valid, 20 % test
  if (place < 13) return bank::Split::kTrain;
  return place < 16 ? bank::Split::kValid : bank::Split::kTest;
}

class Imagination {
 public:
  explicit Imagination(std::uint64_t seed) : random_(seed) {}

  std::vector<DemoClip> clips(int count) {
    const int num_creators = std::max(2, count / kClipsPerCreator);
    std::vector<double> following;
    for (int i = 0; i < num_creators; ++i) following.push_back(1.5 * normal());
    std::vector<DemoClip> clips;
    for (int i = 0; i < count; ++i) {
      const int creator = pick(num_creators);
      clips.push_back(clip(i, creator, following[static_cast<std::size_t>(creator)]));
    }
    clips.back().held_out = true;
    return clips;
  }

 private:
  DemoClip clip(int index, int creator, double following) {
    DemoClip clip;
    clip.id = "demo-" +
              std::string(index < 10    ? "00"
                          : index < 100 ? "0"
                                        : "") +
              std::to_string(index);
    clip.split = split_at(index);
    const int shown = pick(kNumScenes);
    clip.look.scene = static_cast<Scene>(shown);
    clip.look.speed = std::exp2(4.0 * uniform() - 2.3);  // 0.2 … 3.2
    clip.look.brightness = 0.5 + 0.8 * uniform();
    clip.look.seed = random_();
    clip.duration_s = 1.0 + uniform();

    const double chance = uniform();
    const bool contradicts = chance < 0.2;
    const bool silent = chance > 0.55;  // the title does not say what is shown
    const int told = contradicts ? (shown + 1 + pick(kNumScenes - 1)) % kNumScenes : shown;
    const TopicWord& topic =
        topic_words()[static_cast<std::size_t>(pick(static_cast<int>(topic_words().size())))];
    clip.title = title(told, silent, creator, topic.text);

    const double value = 6.0 + scene_words()[static_cast<std::size_t>(shown)].effect +
                         0.55 * std::log2(clip.look.speed) + 1.5 * (clip.look.brightness - 0.9) +
                         topic.effect - (contradicts ? 1.2 : 0.0) + following + 0.5 * normal();
    clip.popularity = std::llround(std::exp2(std::max(0.0, value)));
    return clip;
  }

  std::string title(int told, bool silent, int creator, const std::string& topic) {
    static const std::vector<std::string> kEmpty = {"you have to see this", "watch until the end",
                                                    "best moment of today", "no words"};
    const auto& phrases = scene_words()[static_cast<std::size_t>(told)].phrases;
    const auto& chosen = silent ? kEmpty : phrases;
    std::string text = chosen[static_cast<std::size_t>(pick(static_cast<int>(chosen.size())))];
    text += " with " + creator_name(creator);
    return topic.empty() ? text : text + " " + topic;
  }

  // Not std::…_distribution: their numbers are the library's choice, and the demonstration's shall
  // be the same everywhere.
  double uniform() { return static_cast<double>(random_() >> 11) * 0x1.0p-53; }
  int pick(int count) { return std::min(count - 1, static_cast<int>(uniform() * count)); }
  double normal() {
    return std::sqrt(-2.0 * std::log(1.0 - uniform())) * std::cos(6.283185307179586 * uniform());
  }

  std::mt19937_64 random_;
};

void encode_clip_file(const DemoClip& clip, const std::filesystem::path& file) {
  media::ClipWriterOptions options;
  options.frame_rate_num = kFrameRate;
  media::ClipWriter writer(file, options);
  const auto num_frames = static_cast<std::int64_t>(clip.duration_s * kFrameRate);
  for (std::int64_t i = 0; i < num_frames; ++i) {
    writer.add(paint(clip.look, i, static_cast<double>(i) / kFrameRate, kWidthPx, kHeightPx));
  }
  writer.finish();
}

}  // namespace

std::vector<DemoClip> imagine_clips(int count, std::uint64_t seed) {
  return Imagination(seed).clips(count);
}

std::filesystem::path make_clips(const std::vector<DemoClip>& clips,
                                 const std::filesystem::path& directory, int num_threads,
                                 const std::stop_token& stop, ProgressSink& progress) {
  make_directories(directory);
  progress.begin("making clips", static_cast<std::int64_t>(clips.size()));
  std::mutex progress_mutex;
  parallel_for(clips.size(), 1, num_threads, [&](std::size_t begin, std::size_t) {
    if (stop.stop_requested()) throw Interrupted();
    const std::filesystem::path file = directory / (clips[begin].id + ".mp4");
    if (!std::filesystem::exists(file)) encode_clip_file(clips[begin], file);
    const std::scoped_lock lock(progress_mutex);
    progress.advance(1);
  });
  progress.end();

  const std::filesystem::path manifest = directory / "videos.csv";
  bank::ManifestWriter writer(manifest, {"id", "title", "popularity", "split", "video"});
  for (const DemoClip& clip : clips) {
    if (clip.held_out) continue;
    writer.add_row({clip.id, clip.title, std::to_string(clip.popularity),
                    std::string(bank::name_of(clip.split)), clip.id + ".mp4"});
  }
  writer.commit();
  return manifest;
}

}  // namespace mmra::pipeline::demo
