#include "mmra/pipeline/child_process.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <thread>

#include "mmra/core/error.h"

namespace mmra::pipeline {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kPoll{10};
constexpr int kCannotStart = 127;  // as shells have it

class Descriptor {
 public:
  Descriptor(const std::filesystem::path& path, int flags)
      : value_(::open(path.c_str(), flags | O_CLOEXEC, 0644)) {
    if (value_ < 0) throw system_error("open", path.string(), errno);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() { ::close(value_); }
  [[nodiscard]] int get() const { return value_; }

 private:
  int value_;
};

/// In the child: only what is allowed between fork and exec of a process with threads.
[[noreturn]] void become(char* const* argv, int input, int log, pid_t parent) {
  ::setpgid(0, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (::getppid() != parent) ::_exit(kCannotStart);  // it died before the line above
  ::dup2(input, STDIN_FILENO);
  ::dup2(log, STDOUT_FILENO);
  ::dup2(log, STDERR_FILENO);
  ::execv(argv[0], argv);
  ::_exit(kCannotStart);
}

double seconds_of(const timeval& time) {
  return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
}

/// Until the child has ended; passes a request to stop on.
ChildOutcome wait_for(pid_t child, const std::stop_token& stop) {
  ChildOutcome outcome;
  int status = 0;
  rusage usage{};
  bool told = false;
  for (;;) {
    const pid_t ended = ::wait4(child, &status, WNOHANG, &usage);
    if (ended == child) break;
    if (ended < 0 && errno != EINTR) throw system_error("wait for", "a training", errno);
    if (stop.stop_requested() && !told) {
      ::kill(child, SIGTERM);
      told = true;
    }
    std::this_thread::sleep_for(kPoll);
  }
  outcome.exit_status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  outcome.processor_seconds = seconds_of(usage.ru_utime) + seconds_of(usage.ru_stime);
  outcome.peak_bytes = static_cast<std::int64_t>(usage.ru_maxrss) * 1024;
  return outcome;
}

}  // namespace

ChildOutcome run_child(const std::filesystem::path& program,
                       const std::vector<std::string>& arguments, const std::filesystem::path& log,
                       const std::stop_token& stop) {
  const Descriptor input("/dev/null", O_RDONLY);
  const Descriptor output(log, O_WRONLY | O_CREAT | O_TRUNC);
  std::vector<std::string> words{program.string()};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  argv.reserve(words.size() + 1);
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);

  const auto started = Clock::now();
  const pid_t parent = ::getpid();
  const pid_t child = ::fork();
  if (child < 0) throw system_error("start", program.string(), errno);
  if (child == 0) become(argv.data(), input.get(), output.get(), parent);
  ChildOutcome outcome = wait_for(child, stop);
  outcome.seconds = std::chrono::duration<double>(Clock::now() - started).count();
  if (outcome.exit_status == kCannotStart) {
    throw Error(ErrorKind::kIo, "cannot start " + program.string());
  }
  return outcome;
}

}  // namespace mmra::pipeline
