#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>

#include "mmra/media/clip.h"

namespace mmra::encoders::testing {

struct Colour {
  std::uint8_t red = 0;
  std::uint8_t green = 0;
  std::uint8_t blue = 0;
};

/// A picture painted pixel by pixel.
inline media::Frame paint(int width, int height, const std::function<Colour(int x, int y)>& at) {
  media::Frame frame;
  frame.width = width;
  frame.height = height;
  frame.rgb.resize(static_cast<std::size_t>(width) * height * 3);
  std::uint8_t* byte = frame.rgb.data();
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      const Colour colour = at(x, y);
      *byte++ = colour.red;
      *byte++ = colour.green;
      *byte++ = colour.blue;
    }
  }
  return frame;
}

inline media::Frame plain(Colour colour, int width = 96, int height = 64) {
  return paint(width, height, [=](int, int) { return colour; });
}

/// A square of `side` pixels with its corner at (left, top) on a dark ground.
inline media::Frame square(int left, int top, int side, Colour colour, int width = 96,
                           int height = 64) {
  return paint(width, height, [=](int x, int y) {
    const bool inside = x >= left && x < left + side && y >= top && y < top + side;
    return inside ? colour : Colour{20, 20, 20};
  });
}

}  // namespace mmra::encoders::testing
