#include "mmra/media/frame_converter.h"

extern "C" {
#include <libavutil/display.h>
#include <libavutil/pixdesc.h>
}

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>

#include "mmra/core/error.h"
#include "mmra/media/picture.h"

namespace mmra::media {
namespace {

constexpr int kFirstHdHeight = 720;
constexpr int kUnity = 1 << 16;  // swscale's fixed point for contrast and saturation

/// FFmpeg's deprecated full-range formats are the plain ones with the range said elsewhere.
AVPixelFormat without_range(AVPixelFormat format, bool& full_range) {
  switch (format) {
    case AV_PIX_FMT_YUVJ420P:
      full_range = true;
      return AV_PIX_FMT_YUV420P;
    case AV_PIX_FMT_YUVJ422P:
      full_range = true;
      return AV_PIX_FMT_YUV422P;
    case AV_PIX_FMT_YUVJ444P:
      full_range = true;
      return AV_PIX_FMT_YUV444P;
    case AV_PIX_FMT_YUVJ440P:
      full_range = true;
      return AV_PIX_FMT_YUV440P;
    case AV_PIX_FMT_YUVJ411P:
      full_range = true;
      return AV_PIX_FMT_YUV411P;
    default:
      return format;
  }
}

int swscale_matrix(const AVFrame& picture) {
  switch (picture.colorspace) {
    case AVCOL_SPC_BT709:
      return SWS_CS_ITU709;
    case AVCOL_SPC_BT470BG:
    case AVCOL_SPC_SMPTE170M:
      return SWS_CS_ITU601;
    case AVCOL_SPC_FCC:
      return SWS_CS_FCC;
    case AVCOL_SPC_SMPTE240M:
      return SWS_CS_SMPTE240M;
    case AVCOL_SPC_BT2020_NCL:
    case AVCOL_SPC_BT2020_CL:
      return SWS_CS_BT2020;
    default:
      return picture.height >= kFirstHdHeight ? SWS_CS_ITU709 : SWS_CS_ITU601;
  }
}

/// Copies [height × width × 3] turned; result pixel (x, y) is a source pixel found by stepping.
void copy_oriented(const AVFrame& rgb, const Orientation& orientation, Frame& frame) {
  frame.width = orientation.transpose ? rgb.height : rgb.width;
  frame.height = orientation.transpose ? rgb.width : rgb.height;
  frame.rgb.resize(std::size_t{3} * static_cast<std::size_t>(frame.width) *
                   static_cast<std::size_t>(frame.height));
  const std::ptrdiff_t row = rgb.linesize[0];
  std::ptrdiff_t step_x = orientation.transpose ? row : 3;
  std::ptrdiff_t step_y = orientation.transpose ? 3 : row;
  const std::uint8_t* origin = rgb.data[0];
  if (orientation.mirror_x) {
    origin += step_x * (frame.width - 1);
    step_x = -step_x;
  }
  if (orientation.mirror_y) {
    origin += step_y * (frame.height - 1);
    step_y = -step_y;
  }
  std::uint8_t* out = frame.rgb.data();
  for (int y = 0; y < frame.height; ++y) {
    const std::uint8_t* in = origin + step_y * y;
    if (step_x == 3) {
      std::memcpy(out, in, std::size_t{3} * static_cast<std::size_t>(frame.width));
      out += 3 * static_cast<std::ptrdiff_t>(frame.width);
      continue;
    }
    for (int x = 0; x < frame.width; ++x, in += step_x, out += 3) std::memcpy(out, in, 3);
  }
}

std::optional<Orientation> read_matrix(const std::uint8_t* data, std::size_t size_bytes) {
  std::int32_t matrix[9];
  if (data == nullptr || size_bytes < sizeof matrix) return std::nullopt;
  std::memcpy(matrix, data, sizeof matrix);
  return orientation_of(matrix);
}

}  // namespace

Orientation orientation_of(std::span<const std::int32_t, 9> display_matrix) {
  // Shown x = a·x + c·y, shown y = b·x + d·y.
  const std::int64_t a = display_matrix[0];
  const std::int64_t b = display_matrix[1];
  const std::int64_t c = display_matrix[3];
  const std::int64_t d = display_matrix[4];
  if (std::abs(b) + std::abs(c) > std::abs(a) + std::abs(d)) {
    return {.transpose = true, .mirror_x = c < 0, .mirror_y = b < 0};
  }
  return {.transpose = false, .mirror_x = a < 0, .mirror_y = d < 0};
}

FrameConverter::FrameConverter(const AVStream& stream, int max_side_px)
    : max_side_px_(max_side_px) {
  std::size_t size = 0;
  const std::uint8_t* data = av_stream_get_side_data(&stream, AV_PKT_DATA_DISPLAYMATRIX, &size);
  stream_orientation_ = read_matrix(data, size);
}

Orientation FrameConverter::orientation(const AVFrame& picture) const {
  // A picture's own (EXIF in a JPEG, SEI in H.264) counts where the container says nothing.
  if (stream_orientation_) return *stream_orientation_;
  const AVFrameSideData* side = av_frame_get_side_data(&picture, AV_FRAME_DATA_DISPLAYMATRIX);
  if (side == nullptr) return {};
  return read_matrix(side->data, side->size).value_or(Orientation{});
}

FramePtr FrameConverter::to_rgb(const AVFrame& picture) {
  const PictureSize size = shrink_to({picture.width, picture.height}, max_side_px_);
  const bool shrinks = size.width != picture.width || size.height != picture.height;
  bool full_range = picture.color_range == AVCOL_RANGE_JPEG;
  const AVPixelFormat format =
      without_range(static_cast<AVPixelFormat>(picture.format), full_range);
  const int flags = (shrinks ? SWS_AREA : SWS_BICUBIC) | SWS_ACCURATE_RND | SWS_BITEXACT |
                    SWS_FULL_CHR_H_INT | SWS_FULL_CHR_H_INP;
  scaler_.reset(sws_getCachedContext(scaler_.release(), picture.width, picture.height, format,
                                     size.width, size.height, AV_PIX_FMT_RGB24, flags, nullptr,
                                     nullptr, nullptr));
  FramePtr rgb;
  if (scaler_) {
    const int* matrix = sws_getCoefficients(swscale_matrix(picture));
    sws_setColorspaceDetails(scaler_.get(), matrix, full_range ? 1 : 0, matrix, /*dstRange=*/1,
                             /*brightness=*/0, kUnity, kUnity);
    rgb = make_picture(AV_PIX_FMT_RGB24, size.width, size.height);
  }
  if (!rgb || sws_scale(scaler_.get(), picture.data, picture.linesize, 0, picture.height, rgb->data,
                        rgb->linesize) < 0) {
    const char* name = av_get_pix_fmt_name(format);
    throw Error(ErrorKind::kUnsupported, std::string("cannot convert a picture of ") +
                                             std::to_string(picture.width) + "x" +
                                             std::to_string(picture.height) + " and pixel format " +
                                             (name != nullptr ? name : "unknown") + " to RGB");
  }
  return rgb;
}

Frame FrameConverter::convert(const AVFrame& picture) {
  const FramePtr rgb = to_rgb(picture);
  const Orientation turn = orientation(picture);
  native_width_ = turn.transpose ? picture.height : picture.width;
  native_height_ = turn.transpose ? picture.width : picture.height;
  Frame frame;
  copy_oriented(*rgb, turn, frame);
  return frame;
}

}  // namespace mmra::media
