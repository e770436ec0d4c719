#include "mmra/encoders/pretrained/image_processor.h"

#include <cstddef>
#include <optional>

#include "mmra/core/error.h"
#include "mmra/core/files.h"
#include "mmra/core/json_view.h"

namespace mmra::encoders {
namespace {

constexpr std::size_t kChannels = 3;
/// Far above what any model takes; bounds memory.
constexpr int kMaxSide = 8192;

/// What transformers takes where a key is not there.
struct Defaults {
  int size = 0;
  Resampling resampling = Resampling::kBilinear;
  std::array<double, kChannels> mean{};
  std::array<double, kChannels> std{};
};

constexpr Defaults kVit = {224, Resampling::kBilinear, {0.5, 0.5, 0.5}, {0.5, 0.5, 0.5}};
constexpr Defaults kBlip = {384,
                            Resampling::kBicubic,
                            {0.48145466, 0.4578275, 0.40821073},
                            {0.26862954, 0.26130258, 0.27577711}};

[[noreturn]] void unsupported(const std::string& place, const std::string& what) {
  throw Error(ErrorKind::kUnsupported, place + ": " + what);
}

/// Older files name a "feature extractor" of the same steps.
Defaults defaults_of(const JsonView& config) {
  auto type = config.find("image_processor_type");
  if (!type) type = config.find("feature_extractor_type");
  if (!type) {
    config.fail(
        "lacks the key \"image_processor_type\", expected \"ViTImageProcessor\" or "
        "\"BlipImageProcessor\"");
  }
  const std::string name = type->string();
  if (name == "ViTImageProcessor" || name == "ViTFeatureExtractor") return kVit;
  if (name == "BlipImageProcessor" || name == "BlipFeatureExtractor") return kBlip;
  unsupported(type->place(), "is \"" + name +
                                 "\", this program has \"ViTImageProcessor\" and "
                                 "\"BlipImageProcessor\"");
}

int side_in(const JsonView& value) {
  const int side = value.integer();
  if (side < 1 || side > kMaxSide) {
    value.fail("is " + std::to_string(side) + ", expected from 1 to " + std::to_string(kMaxSide));
  }
  return side;
}

struct Size {
  int width = 0;
  int height = 0;
};

/// A number is both sides.
Size size_in(const JsonView& config, int otherwise) {
  const auto size = config.find("size");
  if (!size) return {otherwise, otherwise};
  if (size->is_number()) {
    const int side = side_in(*size);
    return {side, side};
  }
  for (const char* key : {"shortest_edge", "longest_edge", "max_height", "max_width"}) {
    if (size->find(key)) {
      unsupported(size->place(), std::string("has \"") + key +
                                     "\", this program resizes to \"height\" and \"width\"");
    }
  }
  return {side_in(size->at("width")), side_in(size->at("height"))};
}

Resampling resampling_in(const JsonView& config, Resampling otherwise) {
  const auto value = config.find("resample");
  if (!value) return otherwise;
  switch (const int number = value->integer()) {
    case 0:
      return Resampling::kNearest;
    case 2:
      return Resampling::kBilinear;
    case 3:
      return Resampling::kBicubic;
    default:
      unsupported(value->place(), "is " + std::to_string(number) +
                                      ", this program has 0 (nearest), 2 (bilinear), 3 (bicubic)");
  }
}

std::array<double, kChannels> channels_in(const JsonView& config, const std::string& key,
                                          const std::array<double, kChannels>& otherwise) {
  const auto value = config.find(key);
  if (!value) return otherwise;
  std::array<double, kChannels> channels{};
  if (value->is_number()) {
    channels.fill(value->number());
    return channels;
  }
  const auto elements = value->elements();
  if (elements.size() != kChannels) {
    value->fail("has " + std::to_string(elements.size()) + " numbers, expected 3");
  }
  for (std::size_t i = 0; i < kChannels; ++i) channels[i] = elements[i].number();
  return channels;
}

void refuse_other_steps(const JsonView& config) {
  for (const char* key : {"do_center_crop", "do_pad", "do_thumbnail", "do_align_long_axis"}) {
    if (config.boolean_or(key, false)) {
      unsupported(config.at(key).place(), "is true, this program only resizes and normalises");
    }
  }
  if (!config.boolean_or("do_resize", true)) {
    unsupported(config.at("do_resize").place(), "is false, frames of any size are resized here");
  }
}

}  // namespace

ImageProcessor ImageProcessor::parse(std::string_view text, const std::string& origin) {
  const JsonView config = JsonView::parse(text, origin);
  const Defaults defaults = defaults_of(config);
  refuse_other_steps(config);
  ImageProcessor processor;
  const Size size = size_in(config, defaults.size);
  processor.width_ = size.width;
  processor.height_ = size.height;
  processor.resampling_ = resampling_in(config, defaults.resampling);

  const double factor =
      config.boolean_or("do_rescale", true) ? config.number_or("rescale_factor", 1.0 / 255) : 1.0;
  const bool normalizes = config.boolean_or("do_normalize", true);
  const auto mean = channels_in(config, "image_mean", defaults.mean);
  const auto std = channels_in(config, "image_std", defaults.std);
  for (std::size_t c = 0; c < kChannels; ++c) {
    const auto channel_mean = static_cast<float>(mean[c]);
    const auto channel_std = static_cast<float>(std[c]);
    if (channel_std == 0.0F) config.at("image_std").fail("has a zero, by which nothing divides");
    for (std::size_t byte = 0; byte < 256; ++byte) {
      // Rounded to float32 where numpy rounds: after each step.
      const auto rescaled = static_cast<float>(static_cast<double>(byte) * factor);
      processor.values_[c][byte] = normalizes ? (rescaled - channel_mean) / channel_std : rescaled;
    }
  }
  return processor;
}

ImageProcessor ImageProcessor::open(const std::filesystem::path& model_directory) {
  const auto file = model_directory / "preprocessor_config.json";
  return parse(read_file(file), file.string());
}

void ImageProcessor::process(const media::Frame& frame, std::span<float> out) const {
  const std::size_t plane = static_cast<std::size_t>(width_) * static_cast<std::size_t>(height_);
  if (out.size() != kChannels * plane) {
    throw Error(ErrorKind::kInvalidInput, "there is room for " + std::to_string(out.size()) +
                                              " values of a frame, expected " +
                                              std::to_string(kChannels * plane));
  }
  const std::vector<std::uint8_t> resized =
      pillow_resize(frame.rgb, frame.width, frame.height, width_, height_, resampling_);
  for (std::size_t c = 0; c < kChannels; ++c) {
    for (std::size_t i = 0; i < plane; ++i) {
      out[c * plane + i] = values_[c][resized[i * kChannels + c]];
    }
  }
}

}  // namespace mmra::encoders
