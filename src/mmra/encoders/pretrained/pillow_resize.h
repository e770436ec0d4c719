#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace mmra::encoders {

/// Pillow's numbers for them, as preprocessor_config.json has them.
enum class Resampling { kNearest = 0, kBilinear = 2, kBicubic = 3 };

/// Pillow's Image.resize, byte for byte: `rgb` [height × width × 3] to [new_height × new_width ×
/// 3], row-major. Antialiased: a smaller picture's pixels are weighted means of all that they
/// cover, columns first, then rows, each rounded to 8 bits, with weights in 22-bit fixed point
/// (Pillow's src/libImaging/Resample.c, versions 3.3 to 12.3; Pillow 13 takes the rows first where
/// the height is reduced much more than the width, which moves bytes by one). Throws
/// Error{kInvalidInput} for a size that is not positive, above 65,535 a side, or not that of `rgb`.
[[nodiscard]] std::vector<std::uint8_t> pillow_resize(std::span<const std::uint8_t> rgb, int width,
                                                      int height, int new_width, int new_height,
                                                      Resampling filter);

}  // namespace mmra::encoders
