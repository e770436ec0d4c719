#include "mmra/core/error.h"

#include <cerrno>
#include <system_error>

namespace mmra {

Error system_error(const std::string& action, const std::string& path, int error_number) {
  const ErrorKind kind =
      error_number == ENOENT || error_number == ENOTDIR ? ErrorKind::kNotFound : ErrorKind::kIo;
  std::string advice;
  if (error_number == ENOSPC) advice = "; free some space and run the same command again";
  if (error_number == EACCES) advice = "; check the permissions";
  return {kind, "cannot " + action + " " + path + ": " +
                    std::generic_category().message(error_number) + advice};
}

}  // namespace mmra
