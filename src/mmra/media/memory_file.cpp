#include "mmra/media/memory_file.h"

extern "C" {
#include <libavutil/mem.h>
}

#include <algorithm>
#include <cstring>
#include <new>

namespace mmra::media {
namespace {

constexpr int kBufferBytes = 1 << 16;
constexpr std::int64_t kMaxBytes = std::int64_t{1} << 32;

}  // namespace

MemoryFile::MemoryFile() {
  auto* buffer = static_cast<std::uint8_t*>(av_malloc(kBufferBytes));
  if (buffer == nullptr) throw std::bad_alloc();
  io_ = avio_alloc_context(buffer, kBufferBytes, /*write_flag=*/1, this, /*read_packet=*/nullptr,
                           &MemoryFile::write, &MemoryFile::seek);
  if (io_ == nullptr) {
    av_free(buffer);
    throw std::bad_alloc();
  }
}

MemoryFile::~MemoryFile() {
  av_freep(&io_->buffer);
  avio_context_free(&io_);
}

const std::string& MemoryFile::bytes() {
  avio_flush(io_);
  return bytes_;
}

int MemoryFile::write(void* opaque, std::uint8_t* data, int size) {
  auto& file = *static_cast<MemoryFile*>(opaque);
  const std::size_t end = file.position_ + static_cast<std::size_t>(size);
  try {
    // No exception may pass through FFmpeg's C.
    if (end > file.bytes_.size()) file.bytes_.resize(end);
  } catch (const std::exception&) {
    return AVERROR(ENOMEM);
  }
  std::memcpy(file.bytes_.data() + file.position_, data, static_cast<std::size_t>(size));
  file.position_ = end;
  return size;
}

std::int64_t MemoryFile::seek(void* opaque, std::int64_t offset, int whence) {
  auto& file = *static_cast<MemoryFile*>(opaque);
  const auto size = static_cast<std::int64_t>(file.bytes_.size());
  if (whence == AVSEEK_SIZE) return size;
  if (whence == SEEK_CUR) offset += static_cast<std::int64_t>(file.position_);
  if (whence == SEEK_END) offset += size;
  if (offset < 0 || offset > kMaxBytes) return AVERROR(EINVAL);
  file.position_ = static_cast<std::size_t>(offset);
  return offset;
}

}  // namespace mmra::media
