#pragma once

#include <cstdint>

#include "mmra/media/clip.h"

namespace mmra::pipeline::demo {

/// What a demonstration clip shows.
enum class Scene { kBoat, kFire, kForest, kCity, kDance, kSnow };
inline constexpr int kNumScenes = 6;

/// Everything that decides the pictures of one clip.
struct Look {
  Scene scene = Scene::kBoat;
  double speed = 1.0;       ///< of everything that moves; 0.2 slow … 3 fast
  double brightness = 1.0;  ///< 0.5 dusk … 1.3 glaring
  std::uint64_t seed = 0;   ///< places, sizes and flicker
};

/// Frame `index` of the clip, `time_s` seconds from its start. Deterministic.
[[nodiscard]] media::Frame paint(const Look& look, std::int64_t index, double time_s, int width,
                                 int height);

}  // namespace mmra::pipeline::demo
