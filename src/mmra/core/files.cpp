#include "mmra/core/files.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <utility>

#include "mmra/core/error.h"

namespace mmra {
namespace {

namespace fs = std::filesystem;

int open_for_reading(const fs::path& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) throw system_error("read", path.string(), errno);
  struct stat status {};
  if (::fstat(descriptor, &status) != 0) {
    const int error_number = errno;
    ::close(descriptor);
    throw system_error("read", path.string(), error_number);
  }
  if (S_ISDIR(status.st_mode)) {
    ::close(descriptor);
    throw Error(ErrorKind::kInvalidInput,
                "cannot read " + path.string() + ": it is a directory, a file is needed");
  }
  return descriptor;
}

void sync_directory(const fs::path& directory) {
  const int descriptor = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) throw system_error("open the directory", directory.string(), errno);
  const int failed = ::fsync(descriptor);
  const int error_number = errno;
  ::close(descriptor);
  // Some file systems cannot sync a directory (EINVAL); the rename itself has then happened all the
  // same.
  if (failed != 0 && error_number != EINVAL) {
    throw system_error("sync the directory", directory.string(), error_number);
  }
}

fs::path parent_of(const fs::path& path) {
  return path.has_parent_path() ? path.parent_path() : fs::path(".");
}

}  // namespace

AtomicFile::AtomicFile(fs::path path) : path_(std::move(path)) {
  std::string pattern = (parent_of(path_) / (path_.filename().string() + ".tmp.XXXXXX")).string();
  descriptor_ = ::mkostemp(pattern.data(), O_CLOEXEC);
  if (descriptor_ < 0) throw system_error("write", path_.string(), errno);
  temporary_ = pattern;
  ::fchmod(descriptor_, 0644);
}

AtomicFile::~AtomicFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

void AtomicFile::write(const void* data, std::size_t size_bytes) {
  const char* next = static_cast<const char*>(data);
  while (size_bytes > 0) {
    const ssize_t written = ::write(descriptor_, next, size_bytes);
    if (written < 0) {
      if (errno == EINTR) continue;
      throw system_error("write", path_.string(), errno);
    }
    next += written;
    size_bytes -= static_cast<std::size_t>(written);
  }
}

void AtomicFile::commit() {
  if (::fsync(descriptor_) != 0) throw system_error("write", path_.string(), errno);
  const int failed = ::close(descriptor_);
  descriptor_ = -1;
  if (failed != 0) throw system_error("write", path_.string(), errno);
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) {
    throw system_error("write", path_.string(), errno);
  }
  temporary_.clear();
  sync_directory(parent_of(path_));
}

void write_file_atomically(const fs::path& path, std::string_view bytes) {
  AtomicFile file(path);
  file.write(bytes);
  file.commit();
}

std::string read_file(const fs::path& path) {
  const int descriptor = open_for_reading(path);
  std::string content;
  char buffer[1 << 16];
  for (;;) {
    const ssize_t count = ::read(descriptor, buffer, sizeof buffer);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) {
      const int error_number = errno;
      ::close(descriptor);
      throw system_error("read", path.string(), error_number);
    }
    if (count == 0) break;
    content.append(buffer, static_cast<std::size_t>(count));
  }
  ::close(descriptor);
  return content;
}

void make_directories(const fs::path& path) {
  std::error_code code;
  fs::create_directories(path, code);
  if (code) throw system_error("create the directory", path.string(), code.value());
}

void copy_directory(const fs::path& from, const fs::path& to) {
  std::error_code code;
  fs::directory_iterator entries(from, code);
  if (code) throw system_error("read the directory", from.string(), code.value());
  make_directories(to);
  for (const fs::directory_entry& entry : entries) {
    const fs::path target = to / entry.path().filename();
    if (entry.is_directory()) {
      copy_directory(entry.path(), target);
    } else if (entry.is_regular_file()) {
      const MappedFile file(entry.path());
      AtomicFile copy(target);
      copy.write(file.bytes().data(), file.bytes().size());
      copy.commit();
    }
  }
}

MappedFile::MappedFile(const fs::path& path) {
  const int descriptor = open_for_reading(path);
  struct stat status {};
  if (::fstat(descriptor, &status) != 0) {
    const int error_number = errno;
    ::close(descriptor);
    throw system_error("read", path.string(), error_number);
  }
  size_ = static_cast<std::size_t>(status.st_size);
  if (size_ > 0) {
    void* mapping = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, descriptor, 0);
    const int error_number = errno;
    ::close(descriptor);
    if (mapping == MAP_FAILED) throw system_error("map", path.string(), error_number);
    data_ = static_cast<const std::byte*>(mapping);
  } else {
    ::close(descriptor);
  }
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

void MappedFile::release(std::span<const std::byte> part) const noexcept {
  if (part.empty()) return;
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  const auto offset = static_cast<std::size_t>(part.data() - data_);  // data_ begins a page
  // Whole pages only: the neighbours may still be in use.
  const std::size_t begin = (offset + page - 1) / page * page;
  const std::size_t end = (offset + part.size()) / page * page;
  // A hint: where it fails, the pages just stay.
  if (end > begin) ::madvise(const_cast<std::byte*>(data_) + begin, end - begin, MADV_DONTNEED);
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
}

}  // namespace mmra
