#include "mmra/encoders/builtin/captioner.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <numeric>
#include <utility>

#include "mmra/core/threads.h"

namespace mmra::encoders {
namespace {

// A phrase must begin with or hold one of these words to count in retrieval; order is frozen:
// append only, and only with a new version of the artefact.
constexpr std::string_view kVocabulary[] = {
    "red",        "orange", "yellow",   "green",     "cyan",       "blue",       "purple",
    "pink",       "brown",  "black",    "grey",      "white",      "dark",       "dim",
    "mid-bright", "bright", "glaring",  "vivid",     "muted",      "colourless", "high-contrast",
    "flat",       "smooth", "detailed", "busy",      "vertical",   "horizontal", "diagonal",
    "centre",     "left",   "right",    "top",       "bottom",     "symmetric",  "still",
    "slight",     "moving", "strong",   "leftwards", "rightwards", "upwards",    "downwards",
    "cut"};

class Phrases {
 public:
  void add(std::string_view phrase) {
    if (!text_.empty()) text_ += ", ";
    text_ += phrase;
  }
  [[nodiscard]] std::string take() { return std::move(text_); }

 private:
  std::string text_;
};

std::string_view brightness_of(float mean_luma) {
  if (mean_luma < 0.12F) return "dark scene";
  if (mean_luma < 0.30F) return "dim scene";
  if (mean_luma < 0.55F) return "mid-bright scene";
  if (mean_luma < 0.80F) return "bright scene";
  return "glaring scene";
}

/// The one or two colours that cover most; "mostly" where they cover 60 % together.
std::string colours_of(const std::array<float, kNumColourNames>& shares) {
  std::array<int, kNumColourNames> order{};
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return shares[a] > shares[b]; });
  const float first = shares[order[0]];
  const float second = shares[order[1]];
  const bool names_second = second >= 0.15F;
  const float covered = first + (names_second ? second : 0.0F);
  std::string words = covered >= 0.6F ? "mostly " : "";
  words += kColourNames[order[0]];
  if (names_second) {
    words += " and ";
    words += kColourNames[order[1]];
  }
  return words;
}

std::string_view saturation_of(float colourfulness) {
  if (colourfulness < 0.06F) return "colourless";
  return colourfulness < 0.23F ? "muted colours" : "vivid colours";
}

std::string_view texture_of(float edge_share) {
  if (edge_share < 0.05F) return "smooth";
  return edge_share < 0.35F ? "detailed texture" : "busy texture";
}

/// Lines run across their gradient: a gradient along x (orientation 0) is a vertical line. Empty
/// where no direction has 45 % of the gradients.
std::string_view lines_of(const FrameDescription& frame) {
  std::array<float, kNumOrientations> sums{};
  for (std::size_t i = 0; i < frame.gradients.size(); ++i) {
    sums[i % kNumOrientations] += frame.gradients[i];
  }
  const float total = std::accumulate(sums.begin(), sums.end(), 0.0F);
  // Below this the frame is as good as flat, and its "lines" are noise.
  if (total < 0.05F) return {};
  const float half = 0.45F * total;
  if (sums[0] > half) return "vertical lines";
  if (sums[kNumOrientations / 2] > half) return "horizontal lines";
  if (sums[1] + sums[2] + sums[3] > half * 4.0F / 3.0F ||
      sums[5] + sums[6] + sums[7] > half * 4.0F / 3.0F) {
    return "diagonal lines";
  }
  return {};
}

std::string_view layout_of(const SceneMeasures& scene) {
  if (scene.edge_share < 0.005F) return {};
  if (scene.centre_energy > 0.45F) return "subject in the centre";
  if (std::abs(scene.energy_x) >= std::abs(scene.energy_y)) {
    if (scene.energy_x < -0.2F) return "subject on the left";
    if (scene.energy_x > 0.2F) return "subject on the right";
  }
  if (scene.energy_y < -0.2F) return "subject at the top";
  if (scene.energy_y > 0.2F) return "subject at the bottom";
  return {};
}

std::string_view motion_of(const MotionMeasures& motion) {
  if (motion.histogram_distance > 0.45F) return "cut to another picture";
  if (motion.change < 0.005F) return "still";
  if (motion.change < 0.03F) return "slight motion";
  return motion.change < 0.10F ? "moving" : "strong motion";
}

std::string_view direction_of(const MotionMeasures& motion) {
  if (motion.shift_explains < 0.3F) return {};
  if (std::abs(motion.shift_x) >= std::abs(motion.shift_y)) {
    return motion.shift_x < 0.0F ? "drifting leftwards" : "drifting rightwards";
  }
  return motion.shift_y < 0.0F ? "drifting upwards" : "drifting downwards";
}

}  // namespace

std::string describe_in_words(const FrameDescription& description) {
  const SceneMeasures& scene = description.scene;
  Phrases phrases;
  const auto add_if_any = [&](std::string_view phrase) {
    if (!phrase.empty()) phrases.add(phrase);
  };
  phrases.add(brightness_of(scene.mean_luma));
  phrases.add(colours_of(description.colour_names));
  phrases.add(saturation_of(scene.colourfulness));
  if (scene.luma_deviation > 0.28F) phrases.add("high-contrast");
  if (scene.luma_deviation < 0.08F) phrases.add("flat light");
  phrases.add(texture_of(scene.edge_share));
  add_if_any(lines_of(description));
  add_if_any(layout_of(scene));
  if (scene.mirror_symmetry > 0.8F && scene.luma_deviation > 0.05F) phrases.add("symmetric");
  if (description.motion.has_previous) {
    phrases.add(motion_of(description.motion));
    add_if_any(direction_of(description.motion));
  }
  return phrases.take();
}

std::vector<std::vector<std::string>> BuiltinCaptioner::caption_clips(
    std::span<const Clip> clips, const EncodeOptions& options) const {
  return parallel_map(clips, options.num_threads, caption);
}

std::vector<std::string> BuiltinCaptioner::caption(Clip frames) {
  std::vector<std::string> captions;
  for (const FrameDescription& description : describe_frames(frames)) {
    captions.push_back(describe_in_words(description));
  }
  return captions;
}

std::span<const std::string_view> caption_vocabulary() { return kVocabulary; }

}  // namespace mmra::encoders
