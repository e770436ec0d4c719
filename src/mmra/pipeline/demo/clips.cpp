#include "mmra/pipeline/demo/clips.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <mutex>
#include <numeric>
#include <random>

#include "mmra/bank/manifest.h"
#include "mmra/core/error.h"
#include "mmra/core/files.h"
#include "mmra/core/fingerprint.h"
#include "mmra/core/threads.h"
#include "mmra/media/clip_writer.h"

namespace mmra::pipeline::demo {
namespace {

constexpr int kWidthPx = 160;
constexpr int kHeightPx = 90;
constexpr int kFrameRate = 24;
constexpr int kClipsPerSeries = 4;
constexpr int kSeriesVocabulary = 6;
constexpr int kSeriesWordsInTitle = 3;

struct SceneWords {
  double effect;  ///< on log2 popularity
  std::vector<std::string> phrases;
};

const std::vector<SceneWords>& scene_words() {
  static const std::vector<SceneWords> kScenes = {
      {0.2, {"sailing", "boat trip", "on the lake", "waves"}},
      {0.9, {"campfire", "playing with fire", "flames", "lighting a fire"}},
      {-0.6, {"forest walk", "old trees", "in the woods", "green forest"}},
      {0.0, {"city lights", "downtown", "city windows", "rooftops"}},
      {1.2, {"dance challenge", "new dance", "dancing", "party moves"}},
      {-0.9, {"first snow", "snow day", "winter", "snowing again"}}};
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

/// Draws numbers. Not std::…_distribution: theirs are the library's choice, and the demonstration's
/// shall be the same everywhere.
class Dice {
 public:
  explicit Dice(std::uint64_t seed) : random_(seed) {}
  double uniform() { return static_cast<double>(random_() >> 11) * 0x1.0p-53; }
  int pick(int count) { return std::min(count - 1, static_cast<int>(uniform() * count)); }
  double normal() {
    return std::sqrt(-2.0 * std::log(1.0 - uniform())) * std::cos(6.283185307179586 * uniform());
  }
  std::uint64_t seed() { return random_(); }

 private:
  std::mt19937_64 random_;
};

/// A made-up word of three syllables; different numbers below 13³ get different words.
std::string made_up_word(int number) {
  static const char* const kSyllables[] = {"ba", "do", "ki", "lu",  "me",  "no", "ra",
                                           "si", "ta", "zu", "ven", "mor", "fel"};
  std::string word;
  // 37 is coprime to 13³, so neighbouring numbers get words that look nothing alike.
  for (int i = 0, rest = number * 37 + 11; i < 3; ++i, rest /= 13) word += kSyllables[rest % 13];
  return word;
}

/// Some of the words that only the titles of this series use.
std::string series_words(Dice& dice, int series) {
  std::array<int, kSeriesVocabulary> order{};
  std::iota(order.begin(), order.end(), 0);
  std::string words;
  for (int i = 0; i < kSeriesWordsInTitle; ++i) {
    const auto place = static_cast<std::size_t>(i);
    std::swap(order[place],
              order[place + static_cast<std::size_t>(dice.pick(kSeriesVocabulary - i))]);
    if (i > 0) words += " ";
    words += made_up_word(series * kSeriesVocabulary + order[place]);
  }
  return words;
}

bank::Split split_at(int index) {
  const int place = index % 20;  // 65 % train, 15 % valid, 20 % test
  if (place < 13) return bank::Split::kTrain;
  return place < 16 ? bank::Split::kValid : bank::Split::kTest;
}

Look imagine_look(Dice& dice) {
  Look look;
  look.scene = static_cast<Scene>(dice.pick(kNumScenes));
  look.speed = std::exp2(4.0 * dice.uniform() - 2.3);  // 0.2 … 3.2
  look.brightness = 0.5 + 0.8 * dice.uniform();
  look.seed = dice.seed();
  return look;
}

/// What the pictures add to log2 popularity.
double effect_of(const Look& look) {
  return scene_words()[static_cast<std::size_t>(look.scene)].effect + 0.55 * std::log2(look.speed) +
         1.5 * (look.brightness - 0.9);
}

template <typename T>
const T& pick_one(Dice& dice, const std::vector<T>& choices) {
  return choices[static_cast<std::size_t>(dice.pick(static_cast<int>(choices.size())))];
}

/// Title and popularity of a clip whose look is known.
void imagine_words(Dice& dice, int series, double following, DemoClip& clip) {
  const int shown = static_cast<int>(clip.look.scene);
  const double chance = dice.uniform();
  const bool contradicts = chance < 0.2;
  const bool silent = chance > 0.55;  // the title does not say what is shown
  const int told = contradicts ? (shown + 1 + dice.pick(kNumScenes - 1)) % kNumScenes : shown;
  const TopicWord& topic = pick_one(dice, topic_words());
  clip.title =
      silent ? ""
             : pick_one(dice, scene_words()[static_cast<std::size_t>(told)].phrases) + " with ";
  clip.title += series_words(dice, series);
  if (!topic.text.empty()) clip.title += " " + topic.text;
  const double value = 6.0 + effect_of(clip.look) + topic.effect - (contradicts ? 1.2 : 0.0) +
                       following + 0.5 * dice.normal();
  clip.popularity = std::llround(std::exp2(std::max(0.0, value)));
}

std::string padded(int number) {
  std::string digits = std::to_string(number);
  return std::string(digits.size() < 4 ? 4 - digits.size() : 0, '0') + digits;
}

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
  // Pictures and words come from dice of their own, so that another number of clips, or other
  // words, leave the pictures (which take long to encode) as they are.
  Dice look_dice(seed);
  Dice word_dice(seed + 1);
  const int num_series = std::max(2, count / kClipsPerSeries);
  std::vector<double> following;
  following.reserve(static_cast<std::size_t>(num_series));
  for (int i = 0; i < num_series; ++i) following.push_back(2.0 * word_dice.normal());
  std::vector<DemoClip> clips(static_cast<std::size_t>(count));
  for (int i = 0; i < count; ++i) {
    DemoClip& clip = clips[static_cast<std::size_t>(i)];
    clip.id = "demo-" + padded(i);
    clip.split = split_at(i);
    clip.look = imagine_look(look_dice);
    clip.duration_s = 1.0 + look_dice.uniform();
    const int series = word_dice.pick(num_series);
    imagine_words(word_dice, series, following[static_cast<std::size_t>(series)], clip);
  }
  clips.back().held_out = true;
  return clips;
}

std::string video_name(const DemoClip& clip) {
  char look[120];
  std::snprintf(look, sizeof look, "%d %.17g %.17g %llu %.17g", static_cast<int>(clip.look.scene),
                clip.look.speed, clip.look.brightness,
                static_cast<unsigned long long>(clip.look.seed), clip.duration_s);
  return clip.id + "-" + fingerprint(look).substr(0, 8) + ".mp4";
}

std::filesystem::path make_clips(const std::vector<DemoClip>& clips,
                                 const std::filesystem::path& directory, int num_threads,
                                 const std::stop_token& stop, ProgressSink& progress) {
  make_directories(directory);
  progress.begin("making clips", static_cast<std::int64_t>(clips.size()));
  std::mutex progress_mutex;
  parallel_for(clips.size(), 1, num_threads, [&](std::size_t begin, std::size_t) {
    if (stop.stop_requested()) throw Interrupted();
    const std::filesystem::path file = directory / video_name(clips[begin]);
    if (!std::filesystem::exists(file)) encode_clip_file(clips[begin], file);
    const std::scoped_lock lock(progress_mutex);
    progress.advance(1);
  });
  progress.end();

  std::filesystem::path manifest = directory / "videos.csv";
  bank::ManifestWriter writer(manifest, {"id", "title", "popularity", "split", "video"});
  for (const DemoClip& clip : clips) {
    if (clip.held_out) continue;
    writer.add_row({clip.id, clip.title, std::to_string(clip.popularity),
                    std::string(bank::name_of(clip.split)), video_name(clip)});
  }
  writer.commit();
  return manifest;
}

}  // namespace mmra::pipeline::demo
