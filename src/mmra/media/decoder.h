#pragma once

#include <cstdint>
#include <string>

#include "mmra/core/error.h"
#include "mmra/media/ffmpeg_handles.h"

namespace mmra::media {

struct DecoderLimits {
  std::int64_t max_pixels = 0;  ///< of one picture; larger ones fail before they are allocated
  int num_threads = 1;
};

/// What FFmpeg's decoders are told: they count rows padded for SIMD too, so that the limit itself
/// needs some room. Decoder::receive and Demuxer hold pictures to the limit exactly.
[[nodiscard]] std::int64_t padded_pixels(std::int64_t max_pixels);

/// Error{kUnsupported} for a picture of more than the limit in the file `name`.
[[nodiscard]] Error picture_too_large(const std::string& name, int width, int height,
                                      std::int64_t max_pixels);

/// Packets in, frames out. Damaged packets are counted, never thrown. Not thread-safe.
class Decoder {
 public:
  /// Throws Error{kUnsupported} where no decoder of the codec is built in; `name` is the file's.
  Decoder(const AVStream& stream, const DecoderLimits& limits, const std::string& name);

  /// Takes a packet, or with nullptr says that no more follow. Receive all frames after each.
  void send(const AVPacket* packet);
  /// The next frame in presentation order; false where it needs another packet (or, after
  /// send(nullptr), there is none left). Throws Error{kUnsupported} for one that is too large.
  bool receive(AVFrame& frame);
  /// Forgets everything but the stream's parameters, ready for a clean point.
  void reset();

  /// Packets or pictures that could not be decoded, or not without patching.
  [[nodiscard]] std::int64_t num_damaged() const { return num_damaged_; }

 private:
  std::string name_;
  std::int64_t max_pixels_;
  CodecPtr context_;
  std::int64_t num_damaged_ = 0;
};

}  // namespace mmra::media
