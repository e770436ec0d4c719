#include "mmra/media/byte_source.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "mmra/core/error.h"

namespace mmra::media {
namespace {

void check_file(const struct stat& status, const std::string& name) {
  if (S_ISDIR(status.st_mode)) {
    throw Error(ErrorKind::kInvalidInput,
                "cannot read video " + name + ": it is a directory, a file is needed");
  }
  if (!S_ISREG(status.st_mode)) {
    throw Error(ErrorKind::kInvalidInput, "cannot read video " + name +
                                              ": it is a pipe, socket or device, a regular file "
                                              "is needed");
  }
  if (status.st_size == 0) {
    throw Error(ErrorKind::kCorruptData, "cannot read video " + name + ": it is empty (0 bytes)");
  }
}

}  // namespace

FileSource::FileSource(const std::filesystem::path& path) : name_(path.string()) {
  // A socket cannot be opened at all; asking first names it for what it is.
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) throw system_error("read video", name_, errno);
  check_file(status, name_);
  // O_NONBLOCK: opening a FIFO that nobody writes to must not wait (it may have come just now).
  descriptor_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (descriptor_ < 0) throw system_error("read video", name_, errno);
  try {
    if (::fstat(descriptor_, &status) != 0) throw system_error("read video", name_, errno);
    check_file(status, name_);
  } catch (...) {
    ::close(descriptor_);
    throw;
  }
  size_bytes_ = status.st_size;
}

FileSource::~FileSource() { ::close(descriptor_); }

std::int64_t FileSource::read_at(std::int64_t offset, std::span<std::uint8_t> buffer) const {
  for (;;) {
    const ssize_t count = ::pread(descriptor_, buffer.data(), buffer.size(), offset);
    if (count >= 0) return count;
    if (errno != EINTR) return -errno;
  }
}

MemorySource::MemorySource(std::span<const std::byte> bytes) : bytes_(bytes) {
  if (bytes_.empty()) {
    throw Error(ErrorKind::kCorruptData, "cannot read video " + name_ + ": it is empty (0 bytes)");
  }
}

std::int64_t MemorySource::read_at(std::int64_t offset, std::span<std::uint8_t> buffer) const {
  if (offset >= size_bytes()) return 0;
  const std::size_t count =
      std::min(buffer.size(), bytes_.size() - static_cast<std::size_t>(offset));
  std::memcpy(buffer.data(), bytes_.data() + offset, count);
  return static_cast<std::int64_t>(count);
}

}  // namespace mmra::media
