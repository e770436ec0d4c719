#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>

#include "mmra/media/clip.h"

namespace mmra::media {

enum class ClipCodec { kH264, kHevc, kVp9, kAv1, kMjpeg, kFfv1, kPng, kGif };
enum class AudioTrack { kNone, kSilence, kTone };

struct ClipWriterOptions {
  ClipCodec codec = ClipCodec::kH264;
  int frame_rate_num = 24;  ///< frames per second, a fraction
  int frame_rate_den = 1;
  /// Each frame is shown at its own Frame::pts_s (rounded to 1/90000 s, ascending); else one after
  /// the other at the frame rate.
  bool variable_frame_rate = false;
  int gop_size = 48;     ///< frames from one keyframe to the next
  int num_b_frames = 2;  ///< H.264, HEVC; VP9 and AV1 look ahead (hidden frames) where above 0
  bool open_gop = false;
  int quality =
      24;  ///< constant rate factor, lower is better; ignored by kMjpeg, kFfv1, kPng, kGif
  int bit_depth = 8;  ///< 8 or 10
  bool bt709 = false;
  bool full_range = false;
  // How players are asked to turn the picture: mirrored left to right first, then clockwise.
  int rotation_degrees = 0;  ///< 0, 90, 180, 270
  bool mirror = false;
  AudioTrack audio = AudioTrack::kNone;
  std::string container = {};  ///< FFmpeg's short name; empty: by the file's extension
  /// FFmpeg's private options, over what is chosen here.
  std::map<std::string, std::string> encoder_options = {};
  std::map<std::string, std::string> muxer_options = {};
};

/// Writes short clips: RGB frames in, a video file out, for the demo and for tests. The file is
/// built in memory and appears whole under its name with finish(), or not at all. The same frames
/// and options give the same bytes with the same libraries. Not thread-safe; several writers at
/// once are fine.
class ClipWriter {
 public:
  /// Throws Error{kInvalidInput} for an extension that no container has or options that make no
  /// sense, {kUnsupported} where the libavcodec at hand lacks the encoder.
  ClipWriter(std::filesystem::path file, ClipWriterOptions options);
  ClipWriter(const ClipWriter&) = delete;
  ClipWriter& operator=(const ClipWriter&) = delete;
  ~ClipWriter();

  /// The first frame decides the size; even sides but for kFfv1, kPng and kGif. Throws
  /// Error{kInvalidInput} for another size, a time that does not ascend.
  void add(const Frame& frame);
  /// Throws Error{kInvalidInput} where no frame was added, {kIo}. Nothing may follow it.
  void finish();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

/// Whether ClipWriter can encode it here.
[[nodiscard]] bool has_encoder(ClipCodec codec);

}  // namespace mmra::media
