#include "mmra/media/jpeg.h"

#include <algorithm>
#include <cmath>
#include <new>
#include <string>

#include "mmra/core/error.h"
#include "mmra/media/ffmpeg_handles.h"
#include "mmra/media/picture.h"

namespace mmra::media {
namespace {

constexpr int kMaxJpegSide = 65'500;

// libavcodec's quantiser scale: 1 is finest, 31 coarsest.
int quantiser(int quality_percent) {
  return static_cast<int>(std::lround(1.0 + (100 - quality_percent) * 30.0 / 99.0));
}

CodecPtr open_encoder(int width, int height, int scale) {
  const AVCodec* codec = avcodec_find_encoder(AV_CODEC_ID_MJPEG);
  if (codec == nullptr) {
    throw Error(ErrorKind::kUnsupported, "cannot write a JPEG: libavcodec has no JPEG encoder");
  }
  CodecPtr encoder(avcodec_alloc_context3(codec));
  if (!encoder) throw std::bad_alloc();
  encoder->width = width;
  encoder->height = height;
  encoder->pix_fmt = AV_PIX_FMT_YUVJ420P;
  encoder->color_range = AVCOL_RANGE_JPEG;
  encoder->time_base = {1, 25};
  encoder->thread_count = 1;
  encoder->flags |= AV_CODEC_FLAG_QSCALE | AV_CODEC_FLAG_BITEXACT;
  encoder->qmin = 1;
  encoder->global_quality = scale * FF_QP2LAMBDA;
  const int code = avcodec_open2(encoder.get(), codec, nullptr);
  if (code < 0) {
    throw Error(ErrorKind::kInvalidInput, "cannot write a JPEG of " + std::to_string(width) + "x" +
                                              std::to_string(height) + ": " +
                                              describe_averror(code));
  }
  return encoder;
}

}  // namespace

std::vector<std::uint8_t> encode_jpeg(const Frame& frame, int max_side_px, int quality_percent) {
  if (quality_percent < 1 || quality_percent > 100 || max_side_px < 0) {
    throw Error(ErrorKind::kInvalidInput,
                "cannot write a JPEG: quality must be 1 to 100 and the side not negative, not " +
                    std::to_string(quality_percent) + " and " + std::to_string(max_side_px));
  }
  silence_ffmpeg();
  const int limit = max_side_px > 0 ? std::min(max_side_px, kMaxJpegSide) : kMaxJpegSide;
  const PictureSize size = shrink_to({frame.width, frame.height}, limit);
  const int scale = quantiser(quality_percent);
  const FramePtr picture = make_encodable(frame, AV_PIX_FMT_YUVJ420P, size.width, size.height,
                                          {.bt709 = false, .full_range = true});
  picture->quality = scale * FF_QP2LAMBDA;
  picture->pts = 0;
  const CodecPtr encoder = open_encoder(size.width, size.height, scale);
  const PacketPtr packet = make_packet();
  int code = avcodec_send_frame(encoder.get(), picture.get());
  if (code >= 0) code = avcodec_send_frame(encoder.get(), nullptr);
  if (code >= 0) code = avcodec_receive_packet(encoder.get(), packet.get());
  if (code < 0) {
    throw Error(ErrorKind::kInternal, "cannot write a JPEG: " + describe_averror(code));
  }
  return {packet->data, packet->data + packet->size};
}

}  // namespace mmra::media
