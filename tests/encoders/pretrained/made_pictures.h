#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace mmra::encoders {

/// The pictures of tools/golden/images.py: RGB bytes [height × width × 3], evenly random, or
/// ("extremes") of 0 and 255 alone.
inline std::vector<std::uint8_t> made_picture(const std::string& kind, int width, int height) {
  std::vector<std::uint8_t> rgb(static_cast<std::size_t>(width) * static_cast<std::size_t>(height) *
                                3);
  std::uint32_t index = 0;
  for (std::uint8_t& byte : rgb) {
    std::uint32_t z = index++ * 2654435761U + static_cast<std::uint32_t>(width * 31 + height);
    z = (z ^ (z >> 15)) * 2246822519U;
    z ^= z >> 13;
    byte = static_cast<std::uint8_t>(kind == "noise" ? z >> 24 : (z >> 31) * 255U);
  }
  return rgb;
}

}  // namespace mmra::encoders
