#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "mmra/encoders/pretrained/pillow_resize.h"
#include "mmra/media/clip.h"

namespace mmra::encoders {

/// A frame to the pixels that a pretrained vision model takes, equal to the ViTImageProcessor and
/// BlipImageProcessor of transformers 4.41 (the ones on numpy and Pillow, not the "fast" ones).
/// Immutable, thread-safe.
class ImageProcessor {
 public:
  /// Reads preprocessor_config.json in a model's folder. Throws Error{kNotFound} where there is
  /// none, {kUnsupported} for other processors and for steps that these two do not have (cropping,
  /// a size that keeps the aspect), {kCorruptData} naming the key.
  [[nodiscard]] static ImageProcessor open(const std::filesystem::path& model_directory);

  /// The same of the file's text; `origin` is its name.
  [[nodiscard]] static ImageProcessor parse(std::string_view text, const std::string& origin);

  [[nodiscard]] int width() const noexcept { return width_; }
  [[nodiscard]] int height() const noexcept { return height_; }

  /// `out` [3 × height × width], planar: the frame resized, times the rescale factor, less the
  /// mean, divided by the standard deviation. Throws Error{kInvalidInput} where `out` has another
  /// size or the frame's bytes are not those of its size.
  void process(const media::Frame& frame, std::span<float> out) const;

 private:
  /// The value of each byte in each channel after rescaling and normalisation.
  using ByteValues = std::array<std::array<float, 256>, 3>;

  int width_ = 0;
  int height_ = 0;
  Resampling resampling_ = Resampling::kBilinear;
  ByteValues values_{};
};

}  // namespace mmra::encoders
