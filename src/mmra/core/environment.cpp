#include "mmra/core/environment.h"

#include <unistd.h>

#include <array>
#include <climits>
#include <cstdlib>

#include "mmra/core/error.h"

namespace mmra {

std::string environment_variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

std::string host_name() {
  std::array<char, HOST_NAME_MAX + 1> name{};
  return ::gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "";
}

std::filesystem::path cache_directory(const char* variable, const std::string& folder,
                                      const std::string& what) {
  if (const std::string own = environment_variable(variable); !own.empty()) return own;
  if (const std::string cache = environment_variable("XDG_CACHE_HOME"); !cache.empty()) {
    return std::filesystem::path(cache) / "mmra" / folder;
  }
  const std::string home = environment_variable("HOME");
  if (home.empty()) {
    throw Error(ErrorKind::kInvalidInput, "no place for " + what + ": none of " + variable +
                                              ", XDG_CACHE_HOME and HOME is set; set " + variable +
                                              " to a directory");
  }
  return std::filesystem::path(home) / ".cache" / "mmra" / folder;
}

}  // namespace mmra
