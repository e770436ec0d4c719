#pragma once

#include <c10/util/Exception.h>

#include <string>
#include <utility>

#include "mmra/core/error.h"

namespace mmra::model::neural {

/// Calls `body`; LibTorch's exceptions become mmra::Error, so that nothing else leaves the library.
template <typename Body>
auto translate_errors(Body&& body) -> decltype(body()) {
  try {
    return std::forward<Body>(body)();
  } catch (const c10::Error& error) {
    std::string message = error.what_without_backtrace();
    message = message.substr(0, message.find('\n'));
    const bool no_memory = message.find("allocate memory") != std::string::npos;
    throw Error(no_memory ? ErrorKind::kIo : ErrorKind::kInternal,
                (no_memory ? "not enough memory for the network, try a smaller batch: "
                           : "the network failed: ") +
                    message);
  }
}

}  // namespace mmra::model::neural
