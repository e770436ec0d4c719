#pragma once

#include <stdexcept>
#include <string>

namespace mmra {

/// What went wrong, for the program (exit status) and the server (HTTP status).
enum class ErrorKind {
  kInvalidInput,  ///< the user's file, row or flag is wrong
  kNotFound,      ///< a file, record or model that does not exist
  kCorruptData,   ///< bytes that are not what their format promises
  kIo,            ///< the operating system refused (no permission, disk full)
  kUnsupported,   ///< valid, but not something this build can do
  kInternal,      ///< a fault of ours
};

/// The one exception of the library. The message says what, where and what to do, on one line, with
/// expected and actual values; it needs no prefix. Control characters in it, which a file's name or
/// contents may bring, are escaped (\x0A).
class Error : public std::runtime_error {
 public:
  Error(ErrorKind kind, const std::string& message);
  [[nodiscard]] ErrorKind kind() const noexcept { return kind_; }

 private:
  ErrorKind kind_;
};

/// Thrown where work stops because it was asked to (Ctrl-C); not an error. Everything acknowledged
/// before it is kept.
class Interrupted : public std::runtime_error {
 public:
  Interrupted() : std::runtime_error("interrupted") {}
};

/// Error{kIo or kNotFound} for a failed system call on `path`: the kind follows `error_number`
/// (errno), the message names the action, the path and the reason.
[[nodiscard]] Error system_error(const std::string& action, const std::string& path,
                                 int error_number);

}  // namespace mmra
