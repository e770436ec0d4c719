// A preprocessor_config.json of any bytes, and a small frame through what it describes.
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "mmra/encoders/pretrained/image_processor.h"
#include "outcome.h"

namespace {

using mmra::encoders::ImageProcessor;
using mmra::fuzz::outcome_of;
using mmra::fuzz::require;

/// Larger ones take too long to resize to, again and again.
constexpr int kMaxSide = 256;

mmra::media::Frame small_frame(std::uint8_t seed) {
  mmra::media::Frame frame;
  frame.width = seed % 13 + 1;
  frame.height = seed / 13 + 1;
  for (int i = 0; i < frame.width * frame.height * 3; ++i) {
    frame.rgb.push_back(static_cast<std::uint8_t>(i * 97 + seed));
  }
  return frame;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  static_cast<void>(outcome_of([&] {
    const ImageProcessor processor = ImageProcessor::parse(text, "p.json");
    require(processor.width() > 0 && processor.height() > 0, "a picture without pixels");
    if (processor.width() > kMaxSide || processor.height() > kMaxSide) return std::string("large");
    std::vector<float> pixels(static_cast<std::size_t>(processor.width()) *
                                  static_cast<std::size_t>(processor.height()) * 3,
                              NAN);
    processor.process(small_frame(data[0]), pixels);
    return std::string("processed");
  }));
  return 0;
}
