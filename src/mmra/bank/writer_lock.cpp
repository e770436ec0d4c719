#include "mmra/bank/writer_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "mmra/core/error.h"

namespace mmra::bank {
namespace {

std::string holder_of(int descriptor) {
  char text[24] = {};
  const ssize_t size = ::pread(descriptor, text, sizeof text - 1, 0);
  const std::string holder(text, size > 0 ? static_cast<std::size_t>(size) : 0);
  return holder.substr(0, holder.find_first_not_of("0123456789"));
}

}  // namespace

WriterLock::WriterLock(const std::filesystem::path& bank_directory) {
  const std::string path = (bank_directory / "writer.lock").string();
  descriptor_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (descriptor_ < 0) throw system_error("write", path, errno);
  if (::flock(descriptor_, LOCK_EX | LOCK_NB) != 0) {
    const int error_number = errno;
    const std::string holder = holder_of(descriptor_);
    ::close(descriptor_);
    if (error_number != EWOULDBLOCK) throw system_error("lock", path, error_number);
    throw Error(ErrorKind::kIo, "the memory bank " + bank_directory.string() +
                                    " is being written by " +
                                    (holder.empty() ? "another process" : "process " + holder) +
                                    "; wait until it is done, or stop it");
  }
  // Only for the message above; the lock itself holds without it (on a full disk).
  const std::string own = std::to_string(::getpid());
  if (::ftruncate(descriptor_, 0) == 0) {
    [[maybe_unused]] const ssize_t ignored = ::pwrite(descriptor_, own.data(), own.size(), 0);
  }
}

WriterLock::~WriterLock() { ::close(descriptor_); }

}  // namespace mmra::bank
