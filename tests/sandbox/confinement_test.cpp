#include "mmra/sandbox/confinement.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <functional>
#include <vector>

namespace mmra::sandbox {
namespace {

constexpr int kConfined = 42;

/// The wait status of a process that confines itself and then does this.
int status_after(const std::function<int()>& action, const ConfinementLimits& limits = {}) {
  const pid_t child = ::fork();
  if (child == 0) {
    try {
      confine_this_process(limits);
    } catch (...) {
      ::_exit(1);
    }
    ::_exit(action());
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return status;
}

void expect_exit(int status, int expected) {
  ASSERT_TRUE(WIFEXITED(status)) << "killed by signal " << WTERMSIG(status);
  EXPECT_EQ(WEXITSTATUS(status), expected);
}
void expect_kill(int status, int signal) {
  ASSERT_TRUE(WIFSIGNALED(status)) << "exited with " << WEXITSTATUS(status);
  EXPECT_EQ(WTERMSIG(status), signal);
}

TEST(Confinement, LeavesMemoryAndOutput) {
  expect_exit(status_after([] {
                const std::vector<char> memory(1 << 20, 'x');
                int ends[2] = {1, 1};
                return memory[77] == 'x' && ::write(ends[0], "", 0) == 0 ? kConfined : 2;
              }),
              kConfined);
}

TEST(Confinement, NoFileCanBeOpened) {
  expect_exit(status_after([] {
                return ::open("/etc/passwd", O_RDONLY) < 0 && errno == EACCES ? kConfined : 2;
              }),
              kConfined);
}

TEST(Confinement, NoSocketProcessOrProgramCanBeMade) {
  expect_kill(status_after([] { return ::socket(AF_INET, SOCK_STREAM, 0); }), SIGSYS);
  expect_kill(status_after([] { return ::execl("/bin/true", "true", nullptr); }), SIGSYS);
  expect_kill(status_after([] { return static_cast<int>(::ptrace(PTRACE_TRACEME, 0, 0, 0)); }),
              SIGSYS);
  expect_kill(status_after([] { return ::kill(::getppid(), 0); }), SIGSYS);
  expect_exit(status_after([] { return ::fork() < 0 ? kConfined : 2; }), kConfined);
}

TEST(Confinement, NoMemoryCanBeExecuted) {
  expect_kill(status_after([] {
                ::mmap(nullptr, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
                return 2;
              }),
              SIGSYS);
  expect_kill(status_after([] {
                void* page = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE,
                                    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
                ::mprotect(page, 4096, PROT_READ | PROT_EXEC);
                return 2;
              }),
              SIGSYS);
}

TEST(Confinement, TimeAndFilesHaveLimits) {
  ConfinementLimits limits;
  limits.max_processor_s = 1;
  expect_kill(status_after(
                  []() -> int {
                    volatile unsigned spinning = 0;
                    for (;;) spinning = spinning + 1;
                  },
                  limits),
              SIGXCPU);
}

}  // namespace
}  // namespace mmra::sandbox
