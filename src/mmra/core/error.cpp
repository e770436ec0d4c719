#include "mmra/core/error.h"

#include <cerrno>
#include <system_error>

namespace mmra {
namespace {

std::string on_one_line(const std::string& message) {
  static constexpr char kDigits[] = "0123456789ABCDEF";
  std::string line;
  line.reserve(message.size());
  for (const char c : message) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte != 0x7F) {
      line += c;
    } else {
      line += {'\\', 'x', kDigits[byte >> 4], kDigits[byte & 15]};
    }
  }
  return line;
}

}  // namespace

Error::Error(ErrorKind kind, const std::string& message)
    : std::runtime_error(on_one_line(message)), kind_(kind) {}

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
