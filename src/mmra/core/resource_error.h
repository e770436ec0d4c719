#pragma once

#include <string>

#include "mmra/core/error.h"

namespace mmra {

/// Something of the machine has run out for now: the same can succeed later. Its kind is kIo.
class ResourceError : public Error {
 public:
  enum class Resource {
    kDisk,     ///< room for bytes: a full disk, a quota, the limit of a file's size
    kProcess,  ///< descriptors, processes or memory
  };
  ResourceError(Resource resource, const std::string& message)
      : Error(ErrorKind::kIo, message), resource_(resource) {}
  [[nodiscard]] Resource resource() const noexcept { return resource_; }

 private:
  Resource resource_;
};

/// Throws system_error()'s Error, as a ResourceError where `error_number` says that something has
/// run out.
[[noreturn]] void throw_system_error(const std::string& action, const std::string& path,
                                     int error_number);

}  // namespace mmra
