#include "mmra/pipeline/demo/clip_painter.h"

#include <algorithm>
#include <cmath>

namespace mmra::pipeline::demo {
namespace {

struct Colour {
  double r = 0.0;
  double g = 0.0;
  double b = 0.0;
};

Colour mix(const Colour& a, const Colour& b, double share) {
  return {a.r + (b.r - a.r) * share, a.g + (b.g - a.g) * share, a.b + (b.b - a.b) * share};
}

/// A number in [0, 1) for a place, the same for ever (SplitMix64's finaliser).
double noise(std::uint64_t seed, std::int64_t x, std::int64_t y) {
  std::uint64_t z = seed + 0x9e3779b97f4a7c15ULL * static_cast<std::uint64_t>(x * 7919 + y + 1);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
  return static_cast<double>((z ^ (z >> 31)) >> 11) * 0x1.0p-53;
}

double wrap(double value) { return value - std::floor(value); }

// Each scene gives the colour at (x, y) in [0, 1]² at time t (seconds times speed).

Colour boat(double x, double y, double t, std::uint64_t seed) {
  const double horizon = 0.45 + 0.1 * noise(seed, 1, 0);
  const double wave = 0.02 * std::sin(24.0 * x + 6.0 * t) + 0.01 * std::sin(51.0 * x - 9.0 * t);
  const double boat_x = wrap(noise(seed, 2, 0) + 0.3 * t);
  const double above = horizon + 0.12 - y;
  if (above > 0.0 && above < 0.3 && std::abs(x - boat_x) < 0.3 * (0.3 - above))
    return {0.95, 0.95, 0.9};
  if (y < horizon + wave) return mix({0.55, 0.78, 0.95}, {0.8, 0.9, 1.0}, y / horizon);
  return mix({0.05, 0.35, 0.65}, {0.02, 0.15, 0.35}, (y - horizon) / (1.0 - horizon));
}

Colour fire(double x, double y, double t, std::uint64_t seed) {
  const double tongue = 0.5 + 0.2 * std::sin(9.0 * x + 5.0 * t + 6.0 * noise(seed, 3, 0)) +
                        0.12 * std::sin(23.0 * x - 11.0 * t);
  const double height = 1.0 - y;
  if (height < tongue * 0.5) return {1.0, 0.85, 0.3};
  if (height < tongue) return mix({1.0, 0.55, 0.1}, {0.7, 0.08, 0.02}, height / tongue);
  return {0.12, 0.03, 0.02};
}

Colour forest(double x, double y, double t, std::uint64_t seed) {
  const double sway = 0.01 * std::sin(3.0 * t + 4.0 * y);
  const double column = (x + sway) * 14.0;
  const double trunk = wrap(column);
  const double width = 0.25 + 0.3 * noise(seed, static_cast<std::int64_t>(column), 4);
  if (trunk < width && y > 0.25) return {0.25, 0.16, 0.08};
  const double leaf = noise(seed, static_cast<std::int64_t>(x * 40.0 + 2.0 * std::sin(2.0 * t)),
                            static_cast<std::int64_t>(y * 24.0));
  return mix({0.1, 0.35, 0.08}, {0.35, 0.65, 0.2}, leaf);
}

Colour city(double x, double y, double t, std::uint64_t seed) {
  const double shifted = x + 0.05 * t;
  const auto house = static_cast<std::int64_t>(std::floor(shifted * 7.0));
  const double roof = 0.2 + 0.5 * noise(seed, house, 5);
  if (y < roof) return {0.1, 0.1, 0.22};
  const auto column = static_cast<std::int64_t>(std::floor(shifted * 42.0));
  const auto storey = static_cast<std::int64_t>(std::floor(y * 26.0));
  const bool frame = wrap(shifted * 42.0) < 0.35 || wrap(y * 26.0) < 0.4;
  const double lit = noise(seed + static_cast<std::uint64_t>(2.0 * t), column, storey);
  if (!frame && lit > 0.55) return {0.95, 0.85, 0.4};
  return {0.3, 0.3, 0.33};
}

Colour dance(double x, double y, double t, std::uint64_t seed) {
  const double angle = 2.0 * t + 6.0 * noise(seed, 6, 0);
  const double stripe =
      std::sin(18.0 * ((x - 0.5) * std::cos(angle) + (y - 0.5) * std::sin(angle)));
  const double figure_x = 0.5 + 0.25 * std::sin(5.0 * t);
  const double figure_y = 0.55 + 0.12 * std::sin(9.0 * t);
  if (std::hypot((x - figure_x) * 1.6, y - figure_y) < 0.16) return {1.0, 0.95, 0.2};
  return stripe > 0.0 ? Colour{0.85, 0.1, 0.6} : Colour{0.35, 0.05, 0.55};
}

Colour snow(double x, double y, double t, std::uint64_t seed) {
  const double fallen = y - 0.25 * t;
  const auto column = static_cast<std::int64_t>(std::floor(x * 48.0));
  const auto row = static_cast<std::int64_t>(std::floor(fallen * 27.0));
  if (noise(seed, column, row) > 0.9) return {0.97, 0.97, 1.0};
  if (y > 0.85) return {0.88, 0.9, 0.95};
  return mix({0.18, 0.2, 0.28}, {0.4, 0.43, 0.5}, y);
}

Colour colour_at(const Look& look, double x, double y, double t) {
  switch (look.scene) {
    case Scene::kBoat:
      return boat(x, y, t, look.seed);
    case Scene::kFire:
      return fire(x, y, t, look.seed);
    case Scene::kForest:
      return forest(x, y, t, look.seed);
    case Scene::kCity:
      return city(x, y, t, look.seed);
    case Scene::kDance:
      return dance(x, y, t, look.seed);
    case Scene::kSnow:
      return snow(x, y, t, look.seed);
  }
  return {};
}

std::uint8_t to_byte(double value) {
  return static_cast<std::uint8_t>(std::lround(255.0 * std::clamp(value, 0.0, 1.0)));
}

}  // namespace

media::Frame paint(const Look& look, std::int64_t index, double time_s, int width, int height) {
  media::Frame frame;
  frame.width = width;
  frame.height = height;
  frame.index = index;
  frame.pts_s = time_s;
  frame.rgb.reserve(static_cast<std::size_t>(width) * static_cast<std::size_t>(height) * 3);
  for (int row = 0; row < height; ++row) {
    for (int column = 0; column < width; ++column) {
      const Colour colour =
          colour_at(look, (column + 0.5) / width, (row + 0.5) / height, time_s * look.speed);
      frame.rgb.push_back(to_byte(colour.r * look.brightness));
      frame.rgb.push_back(to_byte(colour.g * look.brightness));
      frame.rgb.push_back(to_byte(colour.b * look.brightness));
    }
  }
  return frame;
}

}  // namespace mmra::pipeline::demo
