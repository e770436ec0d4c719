#include "mmra/sandbox/clip_decoder.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <string>
#include <utility>
#include <vector>

#include "mmra/core/error.h"
#include "mmra/core/resource_error.h"
#include "mmra/sandbox/clip_stream.h"

namespace mmra::sandbox {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kLookForStop{50};
// The program's own clock runs out first and says what it has by then.
constexpr std::chrono::milliseconds kGrace{2000};

class Descriptor {
 public:
  explicit Descriptor(int value) : value_(value) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() { close(); }
  [[nodiscard]] int get() const { return value_; }
  void close() {
    if (value_ >= 0) ::close(std::exchange(value_, -1));
  }

 private:
  int value_;
};

/// Knows how to start a program with three descriptors and nothing else of ours.
class Spawn {
 public:
  Spawn() {
    ::posix_spawn_file_actions_init(&actions_);
    ::posix_spawnattr_init(&attributes_);
  }
  Spawn(const Spawn&) = delete;
  Spawn& operator=(const Spawn&) = delete;
  ~Spawn() {
    ::posix_spawn_file_actions_destroy(&actions_);
    ::posix_spawnattr_destroy(&attributes_);
  }

  pid_t start(const fs::path& program, std::vector<std::string> arguments, int input, int output) {
    ::posix_spawn_file_actions_adddup2(&actions_, input, STDIN_FILENO);
    ::posix_spawn_file_actions_adddup2(&actions_, output, STDOUT_FILENO);
    ::posix_spawn_file_actions_addopen(&actions_, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    ::posix_spawn_file_actions_addclosefrom_np(&actions_, 3);
    sigset_t none;
    sigset_t all;
    sigemptyset(&none);
    sigfillset(&all);
    ::posix_spawnattr_setsigmask(&attributes_, &none);
    ::posix_spawnattr_setsigdefault(&attributes_, &all);
    ::posix_spawnattr_setpgroup(&attributes_, 0);
    ::posix_spawnattr_setflags(
        &attributes_, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
    std::string name = program.string();
    std::vector<char*> argv{name.data()};
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    std::string locale = "LC_ALL=C";
    char* environment[] = {locale.data(), nullptr};
    pid_t child = -1;
    const int error =
        ::posix_spawn(&child, name.c_str(), &actions_, &attributes_, argv.data(), environment);
    if (error != 0) throw_system_error("start", "the decoder of videos", error);
    return child;
  }

 private:
  posix_spawn_file_actions_t actions_{};
  posix_spawnattr_t attributes_{};
};

/// A decoder at work; killed and buried with the object.
class Child {
 public:
  explicit Child(pid_t id) : id_(id) {}
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child() {
    if (id_ <= 0) return;
    ::kill(id_, SIGKILL);
    static_cast<void>(wait());
  }
  /// Its status as waitpid has it.
  int wait() {
    int status = 0;
    while (::waitpid(id_, &status, 0) < 0 && errno == EINTR) {
    }
    id_ = -1;
    return status;
  }

 private:
  pid_t id_;
};

/// Its answer was cut off: how it ended says why.
class AnswerEnded : public std::exception {};

void read_exactly(int descriptor, std::span<std::byte> to, Clock::time_point deadline,
                  const std::stop_token& stop) {
  while (!to.empty()) {
    if (stop.stop_requested()) throw Interrupted();
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now());
    if (left.count() <= 0) {
      throw Error(ErrorKind::kCorruptData,
                  "the video cannot be decoded: it takes too long; send a shorter one");
    }
    pollfd waiting{descriptor, POLLIN, 0};
    if (::poll(&waiting, 1, static_cast<int>(std::min(left, kLookForStop).count())) <= 0) continue;
    const ssize_t count = ::read(descriptor, to.data(), to.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) throw AnswerEnded();
    to = to.subspan(static_cast<std::size_t>(count));
  }
}

[[noreturn]] void fail_by_status(int status) {
  std::string why = "its decoder ended early";
  if (WIFEXITED(status) && WEXITSTATUS(status) == kOutOfMemoryStatus) {
    why = "it needs more memory than it may have";
  }
  if (WIFSIGNALED(status)) {
    const int signal = WTERMSIG(status);
    why = signal == SIGXCPU  ? "it takes too long"
          : signal == SIGSYS ? "its decoder did what it must not"
                             : "its decoder crashed on it, or needed more memory than it may have";
  }
  throw Error(ErrorKind::kCorruptData, "the video cannot be decoded: " + why);
}

}  // namespace

ClipDecoder::ClipDecoder(fs::path program, const DecoderLimits& limits)
    : program_(std::move(program)), limits_(limits) {
  std::error_code ignored;
  if (!fs::is_regular_file(program_, ignored)) {
    throw Error(ErrorKind::kNotFound, "the decoder of uploaded videos, " + program_.string() +
                                          ", is not there; install it beside mmra");
  }
}

fs::path ClipDecoder::program_beside_this() {
  std::error_code code;
  const fs::path program = fs::read_symlink("/proc/self/exe", code);
  return program.parent_path() / "mmra-decoder";
}

media::SampledClip ClipDecoder::decode(const fs::path& file, int num_frames, int max_side_px,
                                       const std::stop_token& stop) const {
  const Descriptor input(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
  if (input.get() < 0) throw_system_error("open", file.string(), errno);
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) throw_system_error("make a pipe to", "a decoder", errno);
  const Descriptor output(ends[0]);
  Descriptor child_output(ends[1]);
  const double seconds = std::chrono::duration<double>(limits_.max_time).count();
  Child child(Spawn().start(
      program_,
      {std::to_string(num_frames), std::to_string(max_side_px), std::to_string(seconds),
       std::to_string(limits_.max_pixels), std::to_string(limits_.max_memory_bytes)},
      input.get(), child_output.get()));
  child_output.close();
  const Clock::time_point deadline = Clock::now() + limits_.max_time + kGrace;
  const ReadExactly read = [&](std::span<std::byte> to) {
    read_exactly(output.get(), to, deadline, stop);
  };
  ClipLimits answer_limits;
  answer_limits.max_frames = num_frames;
  answer_limits.max_pixels = limits_.max_pixels;
  try {
    return read_clip(read, answer_limits);
  } catch (const AnswerEnded&) {
    fail_by_status(child.wait());
  }
}

}  // namespace mmra::sandbox
