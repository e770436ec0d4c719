#include "mmra/bank/input_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "mmra/core/error.h"

namespace mmra::bank {

InputFile::InputFile(const std::filesystem::path& path) : name_(path.string()) {
  if (path == "-") {
    name_ = "standard input";
    descriptor_ = STDIN_FILENO;
    return;
  }
  struct stat status {};
  if (::stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode)) {
    throw Error(ErrorKind::kInvalidInput,
                "cannot read " + name_ + ": it is a directory, a file is needed");
  }
  descriptor_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor_ < 0) throw system_error("read", name_, errno);
  owned_ = true;
  regular_ = S_ISREG(status.st_mode);
}

InputFile::~InputFile() {
  if (owned_) ::close(descriptor_);
}

}  // namespace mmra::bank
