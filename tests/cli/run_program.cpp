#include "run_program.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <fstream>
#include <thread>

#include "mmra/core/files.h"
#include "test_files.h"

extern char** environ;

namespace mmra::testing {
namespace {

/// The child's standard streams are files: no pipe can fill up and stop it.
pid_t start(const std::vector<std::string>& arguments, const TemporaryDirectory& streams,
            const std::string& input, char** environment = environ) {
  write_file_atomically(streams / "in", input);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, (streams / "in").c_str(), O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, 1, (streams / "out").c_str(),
                                   O_WRONLY | O_CREAT | O_TRUNC, 0600);
  posix_spawn_file_actions_addopen(&actions, 2, (streams / "err").c_str(),
                                   O_WRONLY | O_CREAT | O_TRUNC, 0600);
  std::string program = MMRA_PROGRAM;
  std::vector<std::string> copies = arguments;
  std::vector<char*> argv{program.data()};
  for (std::string& argument : copies) argv.push_back(argument.data());
  argv.push_back(nullptr);
  pid_t child = -1;
  const int failed =
      posix_spawn(&child, program.c_str(), &actions, nullptr, argv.data(), environment);
  posix_spawn_file_actions_destroy(&actions);
  EXPECT_EQ(failed, 0) << "cannot start " << program;
  return child;
}

ProgramResult finish(pid_t child, const TemporaryDirectory& streams) {
  int status = 0;
  ::waitpid(child, &status, 0);
  ProgramResult result;
  result.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  result.out = read_file(streams / "out");
  result.err = read_file(streams / "err");
  return result;
}

}  // namespace

ProgramResult run_mmra(const std::vector<std::string>& arguments, const std::string& input) {
  const TemporaryDirectory streams;
  return finish(start(arguments, streams, input), streams);
}

ProgramResult run_mmra_with(
    const std::vector<std::pair<std::string, std::optional<std::string>>>& variables,
    const std::vector<std::string>& arguments) {
  std::vector<std::string> all;
  for (char** each = environ; *each != nullptr; ++each) {
    const std::string entry = *each;
    const auto is_ours = [&](const auto& variable) {
      return entry.starts_with(variable.first + "=");
    };
    if (std::none_of(variables.begin(), variables.end(), is_ours)) all.push_back(entry);
  }
  for (const auto& [name, value] : variables) {
    if (value) all.push_back(name + "=" + *value);
  }
  std::vector<char*> environment;
  for (std::string& entry : all) environment.push_back(entry.data());
  environment.push_back(nullptr);
  const TemporaryDirectory streams;
  return finish(start(arguments, streams, {}, environment.data()), streams);
}

ProgramResult run_mmra_and_signal(const std::vector<std::string>& arguments,
                                  std::chrono::milliseconds delay, int signal) {
  const TemporaryDirectory streams;
  const pid_t child = start(arguments, streams, {});
  std::this_thread::sleep_for(delay);
  ::kill(child, signal);  // a child that has ended is a zombie until finish(): the signal is lost
  return finish(child, streams);
}

}  // namespace mmra::testing
