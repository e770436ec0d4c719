#include "mmra/core/scratch_directory.h"

#include <stdlib.h>

#include <cerrno>
#include <system_error>

#include "mmra/core/error.h"

namespace mmra {

ScratchDirectory::ScratchDirectory(const std::string& purpose) {
  std::string pattern =
      (std::filesystem::temp_directory_path() / ("mmra-" + purpose + "-XXXXXX")).string();
  if (::mkdtemp(pattern.data()) == nullptr) {
    throw system_error("make a temporary directory", pattern, errno);
  }
  path_ = pattern;
}

ScratchDirectory::~ScratchDirectory() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace mmra
