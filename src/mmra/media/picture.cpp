#include "mmra/media/picture.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>

#include "mmra/core/error.h"

namespace mmra::media {
namespace {

constexpr int kUnity = 1 << 16;  // swscale's fixed point for contrast and saturation

/// swscale may read past the end of a row, so that it gets rows with padding.
FramePtr with_padded_rows(const Frame& frame) {
  FramePtr padded = make_picture(AV_PIX_FMT_RGB24, frame.width, frame.height);
  const std::size_t row = std::size_t{3} * static_cast<std::size_t>(frame.width);
  for (int y = 0; y < frame.height; ++y) {
    std::memcpy(padded->data[0] + std::ptrdiff_t{padded->linesize[0]} * y,
                frame.rgb.data() + row * static_cast<std::size_t>(y), row);
  }
  return padded;
}

}  // namespace

PictureSize shrink_to(PictureSize size, int max_side_px) {
  const int longer = std::max(size.width, size.height);
  if (max_side_px <= 0 || longer <= max_side_px) return size;
  const double scale = static_cast<double>(max_side_px) / longer;
  const auto scaled = [&](int side) {
    return std::clamp(static_cast<int>(std::lround(side * scale)), 1, max_side_px);
  };
  return {scaled(size.width), scaled(size.height)};
}

FramePtr make_encodable(const Frame& frame, AVPixelFormat format, int width, int height,
                        const ColourCoding& coding) {
  const bool has_size = frame.width > 0 && frame.height > 0;
  if (!has_size || frame.rgb.size() != std::size_t{3} * static_cast<std::size_t>(frame.width) *
                                           static_cast<std::size_t>(frame.height)) {
    throw Error(ErrorKind::kInvalidInput,
                "cannot encode a frame of " + std::to_string(frame.width) + "x" +
                    std::to_string(frame.height) + " with " + std::to_string(frame.rgb.size()) +
                    " bytes: width x height x 3 are needed");
  }
  const bool scales = width != frame.width || height != frame.height;
  const int flags = (scales ? SWS_AREA : SWS_BICUBIC) | SWS_ACCURATE_RND | SWS_BITEXACT |
                    SWS_FULL_CHR_H_INT | SWS_FULL_CHR_H_INP;
  const SwsPtr scaler(sws_getContext(frame.width, frame.height, AV_PIX_FMT_RGB24, width, height,
                                     format, flags, nullptr, nullptr, nullptr));
  FramePtr picture = make_picture(format, width, height);
  bool done = false;
  if (scaler) {
    const int* matrix = sws_getCoefficients(coding.bt709 ? SWS_CS_ITU709 : SWS_CS_ITU601);
    sws_setColorspaceDetails(scaler.get(), matrix, /*srcRange=*/1, matrix,
                             coding.full_range ? 1 : 0, /*brightness=*/0, kUnity, kUnity);
    const FramePtr padded = with_padded_rows(frame);
    done = sws_scale(scaler.get(), padded->data, padded->linesize, 0, frame.height, picture->data,
                     picture->linesize) >= 0;
  }
  if (!done) {
    throw Error(ErrorKind::kUnsupported, "cannot scale a frame of " + std::to_string(frame.width) +
                                             "x" + std::to_string(frame.height) + " to " +
                                             std::to_string(width) + "x" + std::to_string(height));
  }
  picture->color_range = coding.full_range ? AVCOL_RANGE_JPEG : AVCOL_RANGE_MPEG;
  picture->colorspace = coding.bt709 ? AVCOL_SPC_BT709 : AVCOL_SPC_SMPTE170M;
  return picture;
}

}  // namespace mmra::media
