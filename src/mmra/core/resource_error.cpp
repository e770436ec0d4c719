#include "mmra/core/resource_error.h"

#include <cerrno>

namespace mmra {

void throw_system_error(const std::string& action, const std::string& path, int error_number) {
  const Error error = system_error(action, path, error_number);
  switch (error_number) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
      throw ResourceError(ResourceError::Resource::kDisk, error.what());
    case EMFILE:
    case ENFILE:
    case EAGAIN:
    case ENOMEM:
      throw ResourceError(ResourceError::Resource::kProcess, error.what());
    default:
      throw Error(error);
  }
}

}  // namespace mmra
