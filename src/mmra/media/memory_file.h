#pragma once

#include <cstdint>
#include <string>

#include "mmra/media/ffmpeg_handles.h"

namespace mmra::media {

/// A seekable file in memory for muxers to write. (FFmpeg 5.1's avio_open_dyn_buf loses bytes when
/// a muxer goes back to patch its header, as AVI does.)
class MemoryFile {
 public:
  MemoryFile();
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;
  ~MemoryFile();

  [[nodiscard]] AVIOContext* io() const { return io_; }
  /// Everything written so far.
  [[nodiscard]] const std::string& bytes();

 private:
  static int write(void* opaque, std::uint8_t* data, int size);
  static std::int64_t seek(void* opaque, std::int64_t offset, int whence);

  AVIOContext* io_ = nullptr;
  std::string bytes_;
  std::size_t position_ = 0;
};

}  // namespace mmra::media
