#pragma once

#include <filesystem>

namespace mmra::bank {

/// Held by the one writer of a bank; the kernel lets go of it when the process ends, however it
/// ends. The file stays, with the number of the last writer's process in it.
class WriterLock {
 public:
  /// Throws Error{kIo} that names the process which holds it.
  explicit WriterLock(const std::filesystem::path& bank_directory);
  WriterLock(const WriterLock&) = delete;
  WriterLock& operator=(const WriterLock&) = delete;
  ~WriterLock();

 private:
  int descriptor_ = -1;
};

}  // namespace mmra::bank
