#include "mmra/hub/part_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "mmra/core/error.h"
#include "mmra/core/files.h"

namespace mmra::hub {

namespace fs = std::filesystem;

PartFile::PartFile(const fs::path& path)
    : whole_(path), part_(path.string() + ".part"), etag_path_(path.string() + ".part.etag") {
  descriptor_ = ::open(part_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (descriptor_ < 0) throw system_error("write", part_.string(), errno);
  const off_t end = ::lseek(descriptor_, 0, SEEK_END);
  bytes_ = end > 0 ? static_cast<std::int64_t>(end) : 0;
  std::error_code ignored;
  if (fs::is_regular_file(etag_path_, ignored)) etag_ = read_file(etag_path_);
}

PartFile::~PartFile() {
  if (descriptor_ >= 0 && bytes_ == 0) {
    remove();  // nothing came: leave nothing
  } else {
    close();
  }
}

void PartFile::close() {
  if (descriptor_ >= 0) ::close(descriptor_);
  descriptor_ = -1;
}

void PartFile::append(std::string_view piece) {
  while (!piece.empty()) {
    const ssize_t written = ::write(descriptor_, piece.data(), piece.size());
    if (written < 0) {
      if (errno == EINTR) continue;
      throw system_error("write", part_.string(), errno);
    }
    piece.remove_prefix(static_cast<std::size_t>(written));
    bytes_ += written;
  }
}

void PartFile::restart(const std::string& etag) {
  if (::ftruncate(descriptor_, 0) != 0) throw system_error("write", part_.string(), errno);
  bytes_ = 0;
  // Before the first byte: no moment shows bytes of one version under the name of another.
  if (etag != etag_) write_file_atomically(etag_path_, etag);
  etag_ = etag;
}

void PartFile::commit() {
  if (::fsync(descriptor_) != 0) throw system_error("write", part_.string(), errno);
  close();
  std::error_code code;
  fs::rename(part_, whole_, code);
  if (code) throw system_error("write", whole_.string(), code.value());
  fs::remove(etag_path_, code);
}

void PartFile::remove() {
  close();
  std::error_code ignored;
  fs::remove(part_, ignored);
  fs::remove(etag_path_, ignored);
}

}  // namespace mmra::hub
