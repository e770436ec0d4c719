#pragma once

#include <cstdint>
#include <filesystem>
#include <stop_token>
#include <string>
#include <vector>

namespace mmra::pipeline {

/// How a program ended and what it took, its own children included (the larger one's memory).
struct ChildOutcome {
  int exit_status = 0;  ///< 128 + the signal where one ended it
  double seconds = 0.0;
  double processor_seconds = 0.0;
  std::int64_t peak_bytes = 0;  ///< resident
};

/// Runs `program` with `arguments` and waits. Standard input is empty; both outputs go to `log`,
/// which is written anew. It is in a process group of its own, so that Ctrl-C on the terminal
/// reaches the caller alone; when `stop` asks, it gets SIGTERM once, to stop in its own time. It
/// does not outlive the calling thread. Throws Error{kIo} where it cannot be started.
[[nodiscard]] ChildOutcome run_child(const std::filesystem::path& program,
                                     const std::vector<std::string>& arguments,
                                     const std::filesystem::path& log, const std::stop_token& stop);

}  // namespace mmra::pipeline
