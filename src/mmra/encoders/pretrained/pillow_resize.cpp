#include "mmra/encoders/pretrained/pillow_resize.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <string>

#include "mmra/core/error.h"

namespace mmra::encoders {
namespace {

constexpr int kMaxSide = 65'535;
constexpr std::size_t kChannels = 3;
/// Pillow's: 32 bits less 8 of a pixel and 2 for filters that overshoot.
constexpr int kPrecisionBits = 32 - 8 - 2;
/// A weight is high · 2^11 + low of one sign, both of which fit 16 bits: two products of 16-bit
/// numbers, which every x86-64 processor multiplies and adds by eight, in place of one of 32-bit
/// numbers.
constexpr int kHighUnit = 1 << 11;
/// Windows are padded to a multiple of it by weights of zero.
constexpr std::size_t kTapsStep = 8;

double bilinear(double x) {
  x = std::abs(x);
  return x < 1.0 ? 1.0 - x : 0.0;
}

double bicubic(double x) {
  constexpr double kA = -0.5;
  x = std::abs(x);
  if (x < 1.0) return ((kA + 2.0) * x - (kA + 3.0)) * x * x + 1;
  if (x < 2.0) return (((x - 5) * x + 8) * x - 4) * kA;
  return 0.0;
}

/// What each output pixel of one axis is made of: `taps` inputs from `first` on.
struct AxisWeights {
  std::size_t taps = 0;
  std::vector<std::size_t> first;
  std::vector<std::int16_t> high;  ///< [outputs × taps]
  std::vector<std::int16_t> low;   ///< [outputs × taps]
};

/// The weights of one output pixel around `center`, in the order of the additions of Pillow's
/// precompute_coeffs: their rounding depends on it.
std::vector<double> window_of(double center, double support, double scale, int in_size,
                              Resampling filter, int& first) {
  first = std::max(0, static_cast<int>(center - support + 0.5));
  const int end = std::min(in_size, static_cast<int>(center + support + 0.5));
  std::vector<double> weights(static_cast<std::size_t>(std::max(0, end - first)));
  double sum = 0.0;
  const double step = 1.0 / scale;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    const double x = (static_cast<int>(i) + first - center + 0.5) * step;
    weights[i] = filter == Resampling::kBilinear ? bilinear(x) : bicubic(x);
    sum += weights[i];
  }
  if (sum != 0.0) {
    for (double& weight : weights) weight /= sum;
  }
  return weights;
}

AxisWeights weights_of_axis(int in_size, int out_size, Resampling filter) {
  const double ratio = static_cast<double>(in_size) / out_size;
  const double scale = std::max(ratio, 1.0);
  const double support = (filter == Resampling::kBilinear ? 1.0 : 2.0) * scale;
  const auto outputs = static_cast<std::size_t>(out_size);
  AxisWeights axis;
  axis.taps = static_cast<std::size_t>(std::ceil(support)) * 2 + 1;
  axis.taps = (axis.taps + kTapsStep - 1) / kTapsStep * kTapsStep;
  axis.first.resize(outputs);
  axis.high.resize(outputs * axis.taps);
  axis.low.resize(outputs * axis.taps);
  for (std::size_t out = 0; out < outputs; ++out) {
    int first = 0;
    const double center = (static_cast<int>(out) + 0.5) * ratio;
    const auto window = window_of(center, support, scale, in_size, filter, first);
    axis.first[out] = static_cast<std::size_t>(first);
    for (std::size_t i = 0; i < window.size(); ++i) {
      const double scaled = window[i] * (1 << kPrecisionBits);
      const int weight = static_cast<int>(scaled < 0 ? scaled - 0.5 : scaled + 0.5);
      axis.high[out * axis.taps + i] = static_cast<std::int16_t>(weight / kHighUnit);
      axis.low[out * axis.taps + i] = static_cast<std::int16_t>(weight % kHighUnit);
    }
  }
  return axis;
}

std::uint8_t to_pixel(std::int32_t sum) {
  return static_cast<std::uint8_t>(std::clamp(sum >> kPrecisionBits, 0, 255));
}

/// One line of one channel, `line` [inputs + taps] to `out` at steps of `stride`. The loop over
/// taps is one that compilers turn into pmaddwd.
template <typename Pixel>
void resample_line(const std::int16_t* line, const AxisWeights& axis, Pixel* out,
                   std::size_t stride) {
  const std::size_t taps = axis.taps;
  for (std::size_t x = 0; x < axis.first.size(); ++x) {
    const std::int16_t* pixels = line + axis.first[x];
    const std::int16_t* high = axis.high.data() + x * taps;
    const std::int16_t* low = axis.low.data() + x * taps;
    std::int32_t high_sum = 0;
    std::int32_t low_sum = 0;
    for (std::size_t i = 0; i < taps; ++i) {
      high_sum += pixels[i] * high[i];
      low_sum += pixels[i] * low[i];
    }
    const std::int32_t sum = high_sum * kHighUnit + low_sum + (1 << (kPrecisionBits - 1));
    out[x * stride] = static_cast<Pixel>(to_pixel(sum));
  }
}

/// Columns, then rows. Between them the picture is transposed, [channels × new_width × rows], so
/// that both passes run along lines; each line has room for the last window's padding.
std::vector<std::uint8_t> convolve(std::span<const std::uint8_t> rgb, int width, int height,
                                   int new_width, int new_height, Resampling filter) {
  const AxisWeights columns = weights_of_axis(width, new_width, filter);
  const AxisWeights rows = weights_of_axis(height, new_height, filter);
  const auto in_width = static_cast<std::size_t>(width);
  const auto in_height = static_cast<std::size_t>(height);
  const auto out_width = static_cast<std::size_t>(new_width);
  const auto out_height = static_cast<std::size_t>(new_height);

  const std::size_t padded_height = in_height + rows.taps;
  std::vector<std::int16_t> transposed(kChannels * out_width * padded_height);
  std::vector<std::int16_t> line(in_width + columns.taps);
  for (std::size_t y = 0; y < in_height; ++y) {
    const std::uint8_t* row = rgb.data() + y * in_width * kChannels;
    for (std::size_t c = 0; c < kChannels; ++c) {
      for (std::size_t x = 0; x < in_width; ++x) line[x] = row[x * kChannels + c];
      resample_line(line.data(), columns, transposed.data() + c * out_width * padded_height + y,
                    padded_height);
    }
  }

  std::vector<std::uint8_t> resized(out_width * out_height * kChannels);
  for (std::size_t x = 0; x < out_width; ++x) {
    for (std::size_t c = 0; c < kChannels; ++c) {
      resample_line(transposed.data() + (c * out_width + x) * padded_height, rows,
                    resized.data() + x * kChannels + c, out_width * kChannels);
    }
  }
  return resized;
}

/// The input of each output position, by repeated addition as in Pillow's ImagingScaleAffine.
std::vector<std::size_t> nearest_inputs(int in_size, int out_size) {
  const double step = static_cast<double>(in_size) / out_size;
  double position = step * 0.5;
  std::vector<std::size_t> inputs(static_cast<std::size_t>(out_size));
  for (std::size_t& input : inputs) {
    input = static_cast<std::size_t>(std::min(static_cast<int>(position), in_size - 1));
    position += step;
  }
  return inputs;
}

std::vector<std::uint8_t> pick_nearest(std::span<const std::uint8_t> rgb, int width, int height,
                                       int new_width, int new_height) {
  const auto columns = nearest_inputs(width, new_width);
  const auto rows = nearest_inputs(height, new_height);
  std::vector<std::uint8_t> resized;
  resized.reserve(rows.size() * columns.size() * kChannels);
  for (const std::size_t y : rows) {
    for (const std::size_t x : columns) {
      const std::uint8_t* pixel =
          rgb.data() + (y * static_cast<std::size_t>(width) + x) * kChannels;
      resized.insert(resized.end(), pixel, pixel + kChannels);
    }
  }
  return resized;
}

void check_side(const char* name, int size) {
  if (size < 1 || size > kMaxSide) {
    throw Error(ErrorKind::kInvalidInput, std::string("a picture is to be resized, its ") + name +
                                              " is " + std::to_string(size) +
                                              ", expected from 1 to " + std::to_string(kMaxSide));
  }
}

}  // namespace

std::vector<std::uint8_t> pillow_resize(std::span<const std::uint8_t> rgb, int width, int height,
                                        int new_width, int new_height, Resampling filter) {
  check_side("width", width);
  check_side("height", height);
  check_side("new width", new_width);
  check_side("new height", new_height);
  const std::size_t expected =
      static_cast<std::size_t>(width) * static_cast<std::size_t>(height) * kChannels;
  if (rgb.size() != expected) {
    throw Error(ErrorKind::kInvalidInput, "a picture of " + std::to_string(width) + " x " +
                                              std::to_string(height) + " pixels has " +
                                              std::to_string(rgb.size()) + " bytes, expected " +
                                              std::to_string(expected));
  }
  if (width == new_width && height == new_height) return {rgb.begin(), rgb.end()};
  if (filter == Resampling::kNearest) {
    return pick_nearest(rgb, width, height, new_width, new_height);
  }
  return convolve(rgb, width, height, new_width, new_height, filter);
}

}  // namespace mmra::encoders
