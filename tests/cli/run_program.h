#pragma once

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace mmra::testing {

struct ProgramResult {
  int status = -1;  ///< exit status, or 128 + signal
  std::string out;
  std::string err;
};

/// Runs build/…/bin/mmra with `arguments` and `input` on standard input, and waits for it.
[[nodiscard]] ProgramResult run_mmra(const std::vector<std::string>& arguments,
                                     const std::string& input = {});

/// The same in the environment of the test with these variables set, or taken out where there is no
/// value.
[[nodiscard]] ProgramResult run_mmra_with(
    const std::vector<std::pair<std::string, std::optional<std::string>>>& variables,
    const std::vector<std::string>& arguments);

/// Starts it, sends `signal` after `delay` (unless it has ended before), and waits.
[[nodiscard]] ProgramResult run_mmra_and_signal(const std::vector<std::string>& arguments,
                                                std::chrono::milliseconds delay, int signal);

}  // namespace mmra::testing
