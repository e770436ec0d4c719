#include "mmra/media/decoder.h"

#include <algorithm>
#include <cstring>
#include <new>

#include "mmra/core/error.h"

namespace mmra::media {
namespace {

// A decoder that reports errors without end for one packet is left alone.
constexpr int kMaxErrorsPerPacket = 64;

/// Where a picture's data ends early, JPEG's decoder leaves what an earlier picture had in the same
/// memory: the result would differ from run to run.
int get_cleared_buffer(AVCodecContext* context, AVFrame* frame, int flags) {
  const int code = avcodec_default_get_buffer2(context, frame, flags);
  if (code < 0) return code;
  for (const AVBufferRef* buffer : frame->buf) {
    if (buffer != nullptr) std::memset(buffer->data, 0, buffer->size);
  }
  return code;
}

bool is_intra_only(AVCodecID id) {
  const AVCodecDescriptor* descriptor = avcodec_descriptor_get(id);
  return descriptor != nullptr && (descriptor->props & AV_CODEC_PROP_INTRA_ONLY) != 0;
}

}  // namespace

std::int64_t padded_pixels(std::int64_t max_pixels) {
  constexpr std::int64_t kMaxPaddingPerRow = 128;
  constexpr std::int64_t kMaxRows = 1 << 16;
  return max_pixels + kMaxPaddingPerRow * std::min(max_pixels, kMaxRows);
}

Error picture_too_large(const std::string& name, int width, int height, std::int64_t max_pixels) {
  return {ErrorKind::kUnsupported, "cannot decode " + name + ": its picture of " +
                                       std::to_string(width) + "x" + std::to_string(height) +
                                       " is too large, at most " + std::to_string(max_pixels) +
                                       " pixels are decoded"};
}

Decoder::Decoder(const AVStream& stream, const DecoderLimits& limits, const std::string& name)
    : name_(name), max_pixels_(limits.max_pixels) {
  const AVCodecID id = stream.codecpar->codec_id;
  const AVCodec* codec = avcodec_find_decoder(id);
  if (codec == nullptr) {
    throw Error(ErrorKind::kUnsupported, "cannot decode " + name + ": no decoder for its codec \"" +
                                             avcodec_get_name(id) + "\" is built in");
  }
  context_.reset(avcodec_alloc_context3(codec));
  if (!context_ || avcodec_parameters_to_context(context_.get(), stream.codecpar) < 0) {
    throw std::bad_alloc();
  }
  context_->pkt_timebase = stream.time_base;
  context_->max_pixels = padded_pixels(limits.max_pixels);
  if (is_intra_only(id)) context_->get_buffer2 = get_cleared_buffer;
  context_->thread_count = limits.num_threads;
  const int code = avcodec_open2(context_.get(), codec, nullptr);
  if (code < 0) {
    throw Error(ErrorKind::kUnsupported, "cannot decode " + name + ": its " + codec->name +
                                             " stream is not one that can be decoded (" +
                                             describe_averror(code) + ")");
  }
}

void Decoder::send(const AVPacket* packet) {
  const int code = avcodec_send_packet(context_.get(), packet);
  if (code < 0 && code != AVERROR_EOF) ++num_damaged_;
}

bool Decoder::receive(AVFrame& frame) {
  for (int i = 0; i < kMaxErrorsPerPacket; ++i) {
    const int code = avcodec_receive_frame(context_.get(), &frame);
    if (code == AVERROR(EAGAIN) || code == AVERROR_EOF) return false;
    if (code >= 0) {
      if (std::int64_t{frame.width} * frame.height > max_pixels_) {
        throw picture_too_large(name_, frame.width, frame.height, max_pixels_);
      }
      const bool patched =
          frame.decode_error_flags != 0 || (frame.flags & AV_FRAME_FLAG_CORRUPT) != 0;
      if (patched) ++num_damaged_;
      return true;
    }
    ++num_damaged_;
  }
  return false;
}

void Decoder::reset() { avcodec_flush_buffers(context_.get()); }

}  // namespace mmra::media
