#pragma once

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <functional>

namespace mmra::testing {

/// Forks a child that runs `action` and ends with its result, without this process's destructors.
/// No bank may be open here: what LMDB keeps of it must not be used in a child.
inline pid_t start_child(const std::function<int()>& action) {
  const pid_t child = ::fork();
  if (child < 0) ADD_FAILURE() << "no child process";
  if (child == 0) {
    int status = 99;
    try {
      status = action();
    } catch (...) {
    }
    ::_exit(status);
  }
  return child;
}

/// What it ended with; 128 and the signal's number where one ended it.
inline int wait_for_child(pid_t child) {
  int status = 0;
  if (::waitpid(child, &status, 0) != child) ADD_FAILURE() << "the child process is lost";
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/// Both in one. Exit status 99: an exception that the action let pass.
inline int run_in_child(const std::function<int()>& action) {
  return wait_for_child(start_child(action));
}

/// How often a test that kills at random moments does so: MMRA_KILLS, else `otherwise`.
inline int num_kills(int otherwise) {
  const char* value = std::getenv("MMRA_KILLS");
  return value == nullptr ? otherwise : std::atoi(value);
}

}  // namespace mmra::testing
