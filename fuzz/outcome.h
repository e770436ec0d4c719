#pragma once

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "mmra/core/error.h"

namespace mmra::fuzz {

/// Ends the process so that libFuzzer keeps the input.
[[noreturn]] inline void report_finding(const std::string& what) {
  std::fprintf(stderr, "finding: %s\n", what.c_str());
  std::abort();
}

inline void require(bool holds, const char* what) {
  if (!holds) report_finding(what);
}

/// Runs `action` on outside bytes: it gives a text that stands for what was read, or throws
/// mmra::Error of one line, whose text is then given. Another exception passes and is a finding.
template <typename Action>
std::string outcome_of(Action&& action) {
  try {
    return action();
  } catch (const Error& error) {
    std::string message = error.what();
    require(!message.empty() && message.find_first_of("\r\n") == std::string::npos,
            "the message of an error is not one line");
    require(error.kind() != ErrorKind::kInternal, "outside bytes led to an internal error");
    return message;
  }
}

}  // namespace mmra::fuzz
