#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "mmra/media/byte_source.h"
#include "mmra/media/ffmpeg_handles.h"
#include "mmra/media/watch.h"

namespace mmra::media {

/// Takes a container apart: the packets of its best video stream, in decoding order. Reads only
/// `source`. Opening the same source again gives the same packets. Not thread-safe.
class Demuxer {
 public:
  /// `source` and `watch` must outlive it. Throws Error{kCorruptData} for what is no video or no
  /// known format, {kInvalidInput} for audio only and playlists, {kUnsupported} for a picture of
  /// more than `max_pixels` or a format that is not read; Interrupted; and Error{kUnsupported}
  /// where the watch runs out.
  Demuxer(const ByteSource& source, const Watch& watch, std::int64_t max_pixels);
  Demuxer(const Demuxer&) = delete;
  Demuxer& operator=(const Demuxer&) = delete;
  ~Demuxer();

  /// The next packet of the video stream; false at the end, whatever ended it. Throws Interrupted.
  bool read(AVPacket& packet);

  /// Why reading ended: 0 for the end of the file, else FFmpeg's code (AVERROR_EXIT: the watch).
  [[nodiscard]] int end_code() const { return end_code_; }
  [[nodiscard]] const AVStream& stream() const { return *stream_; }
  [[nodiscard]] bool has_audio() const { return has_audio_; }
  /// The container is a single picture's (PNG, JPEG …), which has no duration.
  [[nodiscard]] bool is_still_image() const;
  /// What the header says the whole file lasts, 0 where it says nothing of its own.
  [[nodiscard]] double promised_duration_s() const;
  /// From the first packet to the end of the last one read so far, over all streams.
  [[nodiscard]] double read_duration_s() const;

 private:
  struct Reader;
  void open(const ByteSource& source);
  void find_streams(const std::string& name, std::int64_t max_pixels);
  void choose_stream(const std::string& name);
  void note_times(const AVPacket& packet);
  [[noreturn]] void fail(const std::string& name, int code, const std::string& what) const;

  const Watch& watch_;
  std::unique_ptr<Reader> reader_;  ///< outlives input_, which reads through it
  InputPtr input_;
  AVStream* stream_ = nullptr;
  bool has_audio_ = false;
  int end_code_ = 0;
  double first_s_ = 0.0;
  double last_s_ = 0.0;
  bool has_times_ = false;
};

}  // namespace mmra::media
