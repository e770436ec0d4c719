#include "mmra/encoders/pretrained/pillow_resize.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <string>

#include "mmra/core/error.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace mmra::encoders {
namespace {

constexpr int kMaxSide = 65'535;
constexpr std::size_t kChannels = 3;
/// Pillow's: 32 bits less 8 of a pixel and 2 for filters that overshoot.
constexpr int kPrecisionBits = 32 - 8 - 2;
/// A weight is high · 2^11 + low of one sign, both of which fit 16 bits: two products of 16-bit
/// numbers, which every x86-64 processor multiplies and adds in pairs, in place of one of 32 bits.
constexpr int kHighUnit = 1 << 11;
/// Bytes that are read and written at once.
constexpr std::size_t kBlock = 8;

/// Half is added before it, as in Pillow: std::lround differs from that just below a half.
int truncated(double value) { return static_cast<int>(value); }

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

/// The weights of two neighbouring inputs: of the first in the lower 16 bits.
struct WeightPair {
  std::uint32_t high = 0;
  std::uint32_t low = 0;
};

/// What each output pixel of one axis is made of: inputs from `first` on, two for each pair.
struct AxisWeights {
  std::size_t num_pairs = 0;
  std::vector<std::size_t> first;
  std::vector<WeightPair> pairs;  ///< [outputs × num_pairs], zeros behind a window's end

  [[nodiscard]] std::span<const WeightPair> pairs_of(std::size_t output) const {
    return std::span(pairs).subspan(output * num_pairs, num_pairs);
  }
};

std::uint32_t packed(int first, int second) {
  return static_cast<std::uint32_t>(static_cast<std::uint16_t>(first)) |
         static_cast<std::uint32_t>(static_cast<std::uint16_t>(second)) << 16;
}

WeightPair pair_of(int first, int second) {
  return {packed(first / kHighUnit, second / kHighUnit),
          packed(first % kHighUnit, second % kHighUnit)};
}

/// In fixed point, rounded as Pillow's normalize_coeffs_8bpc does.
int fixed_point(double weight) {
  const double scaled = weight * (1 << kPrecisionBits);
  return truncated(scaled < 0 ? scaled - 0.5 : scaled + 0.5);
}

/// The weights of one output pixel around `center`, in the order of the additions of Pillow's
/// precompute_coeffs: their rounding depends on it.
std::vector<double> window_of(double center, double support, double scale, int in_size,
                              Resampling filter, int& first) {
  first = std::max(0, truncated(center - support + 0.5));
  const int end = std::min(in_size, truncated(center + support + 0.5));
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
  axis.num_pairs = static_cast<std::size_t>(std::ceil(support)) + 1;
  axis.first.resize(outputs);
  axis.pairs.resize(outputs * axis.num_pairs);
  for (std::size_t out = 0; out < outputs; ++out) {
    int first = 0;
    const double center = (static_cast<int>(out) + 0.5) * ratio;
    auto window = window_of(center, support, scale, in_size, filter, first);
    axis.first[out] = static_cast<std::size_t>(first);
    if (window.size() % 2 != 0) window.push_back(0.0);
    for (std::size_t i = 0; i < window.size(); i += 2) {
      axis.pairs[out * axis.num_pairs + i / 2] =
          pair_of(fixed_point(window[i]), fixed_point(window[i + 1]));
    }
  }
  return axis;
}

constexpr std::int32_t kHalf = 1 << (kPrecisionBits - 1);

#if defined(__SSE2__)  // which every x86-64 processor has

/// The sums of two sorts of products as pixels in 32 bits, not yet clamped.
__m128i pixels_of(__m128i high, __m128i low) {
  const __m128i sum = _mm_add_epi32(_mm_slli_epi32(high, 11), low);
  return _mm_srai_epi32(_mm_add_epi32(sum, _mm_set1_epi32(kHalf)), kPrecisionBits);
}

__m128i load_8_bytes(const std::uint8_t* bytes) {
  return _mm_loadl_epi64(reinterpret_cast<const __m128i*>(bytes));
}

/// One pixel of the columns' pass, of the neighbours from `pixels` on: two are read at a time, as
/// r r g g b b. Reads 2 bytes beyond the last pair; writes 4 bytes.
void mix_pixels(const std::uint8_t* pixels, std::span<const WeightPair> pairs, std::uint8_t* out) {
  const __m128i zero = _mm_setzero_si128();
  __m128i high = zero;
  __m128i low = zero;
  for (const WeightPair& pair : pairs) {
    const __m128i two = load_8_bytes(pixels);
    const __m128i mixed = _mm_unpacklo_epi8(_mm_unpacklo_epi8(two, _mm_srli_si128(two, 3)), zero);
    high = _mm_add_epi32(high, _mm_madd_epi16(mixed, _mm_set1_epi32(static_cast<int>(pair.high))));
    low = _mm_add_epi32(low, _mm_madd_epi16(mixed, _mm_set1_epi32(static_cast<int>(pair.low))));
    pixels += 2 * kChannels;
  }
  const __m128i words = _mm_packs_epi32(pixels_of(high, low), zero);
  const std::int32_t bytes = _mm_cvtsi128_si32(_mm_packus_epi16(words, zero));
  std::memcpy(out, &bytes, sizeof bytes);
}

/// kBlock bytes of the rows' pass, of the rows from `bytes` on.
void mix_rows(const std::uint8_t* bytes, std::size_t stride, std::span<const WeightPair> pairs,
              std::uint8_t* out) {
  const __m128i zero = _mm_setzero_si128();
  __m128i high[2] = {zero, zero};
  __m128i low[2] = {zero, zero};
  for (const WeightPair& pair : pairs) {
    const __m128i mixed = _mm_unpacklo_epi8(load_8_bytes(bytes), load_8_bytes(bytes + stride));
    const __m128i halves[2] = {_mm_unpacklo_epi8(mixed, zero), _mm_unpackhi_epi8(mixed, zero)};
    const __m128i high_weights = _mm_set1_epi32(static_cast<int>(pair.high));
    const __m128i low_weights = _mm_set1_epi32(static_cast<int>(pair.low));
    for (int i = 0; i < 2; ++i) {
      high[i] = _mm_add_epi32(high[i], _mm_madd_epi16(halves[i], high_weights));
      low[i] = _mm_add_epi32(low[i], _mm_madd_epi16(halves[i], low_weights));
    }
    bytes += 2 * stride;
  }
  const __m128i words = _mm_packs_epi32(pixels_of(high[0], low[0]), pixels_of(high[1], low[1]));
  _mm_storel_epi64(reinterpret_cast<__m128i*>(out), _mm_packus_epi16(words, zero));
}

#else

/// One byte, of inputs that are `step` bytes apart.
std::uint8_t mix(const std::uint8_t* bytes, std::size_t step, std::span<const WeightPair> pairs) {
  std::int32_t high = 0;
  std::int32_t low = 0;
  for (const WeightPair& pair : pairs) {
    for (const int shift : {0, 16}) {
      high += *bytes * static_cast<std::int16_t>(pair.high >> shift);
      low += *bytes * static_cast<std::int16_t>(pair.low >> shift);
      bytes += step;
    }
  }
  const std::int32_t sum = high * kHighUnit + low + kHalf;
  return static_cast<std::uint8_t>(std::clamp(sum >> kPrecisionBits, 0, 255));
}

void mix_pixels(const std::uint8_t* pixels, std::span<const WeightPair> pairs, std::uint8_t* out) {
  for (std::size_t c = 0; c < kChannels; ++c) out[c] = mix(pixels + c, kChannels, pairs);
}

void mix_rows(const std::uint8_t* bytes, std::size_t stride, std::span<const WeightPair> pairs,
              std::uint8_t* out) {
  for (std::size_t i = 0; i < kBlock; ++i) out[i] = mix(bytes + i, stride, pairs);
}

#endif

/// Columns of every row: [height] rows of `stride` bytes, and rows of zeros that the rows' windows
/// may reach into.
std::vector<std::uint8_t> resample_columns(std::span<const std::uint8_t> rgb, std::size_t width,
                                           std::size_t height, const AxisWeights& columns,
                                           std::size_t stride, std::size_t num_zero_rows) {
  std::vector<std::uint8_t> mixed((height + num_zero_rows) * stride);
  const std::size_t row_bytes = width * kChannels;
  std::vector<std::uint8_t> row(row_bytes + 2 * columns.num_pairs * kChannels + kBlock);
  for (std::size_t y = 0; y < height; ++y) {
    std::memcpy(row.data(), rgb.data() + y * row_bytes, row_bytes);
    for (std::size_t x = 0; x < columns.first.size(); ++x) {
      mix_pixels(row.data() + columns.first[x] * kChannels, columns.pairs_of(x),
                 mixed.data() + y * stride + x * kChannels);
    }
  }
  return mixed;
}

/// Columns, then rows.
std::vector<std::uint8_t> convolve(std::span<const std::uint8_t> rgb, int width, int height,
                                   int new_width, int new_height, Resampling filter) {
  const AxisWeights columns = weights_of_axis(width, new_width, filter);
  const AxisWeights rows = weights_of_axis(height, new_height, filter);
  const std::size_t row_bytes = static_cast<std::size_t>(new_width) * kChannels;
  const std::size_t stride = (row_bytes / kBlock + 1) * kBlock;
  const auto mixed =
      resample_columns(rgb, static_cast<std::size_t>(width), static_cast<std::size_t>(height),
                       columns, stride, 2 * rows.num_pairs);
  std::vector<std::uint8_t> row(stride);
  std::vector<std::uint8_t> resized(row_bytes * static_cast<std::size_t>(new_height));
  for (std::size_t y = 0; y < rows.first.size(); ++y) {
    const std::uint8_t* from = mixed.data() + rows.first[y] * stride;
    for (std::size_t x = 0; x < row_bytes; x += kBlock) {
      mix_rows(from + x, stride, rows.pairs_of(y), row.data() + x);
    }
    std::memcpy(resized.data() + y * row_bytes, row.data(), row_bytes);
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
