#include "mmra/pipeline/child_process.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <string>
#include <thread>

#include "expect_error.h"
#include "mmra/core/error.h"
#include "mmra/core/files.h"
#include "test_files.h"

namespace mmra::pipeline::testing {
namespace {

using mmra::testing::expect_error;
using mmra::testing::TemporaryDirectory;

class ChildProcess : public ::testing::Test {
 protected:
  ChildOutcome run(const std::string& script, const std::stop_token& stop = {}) {
    return run_child("/bin/sh", {"-c", script}, log(), stop);
  }
  [[nodiscard]] std::filesystem::path log() const { return directory_ / "log"; }

  TemporaryDirectory directory_;
};

TEST_F(ChildProcess, SaysHowItEndedAndWhatItSaid) {
  EXPECT_EQ(run("echo out; echo err >&2; cat").exit_status, 0) << "standard input is empty";
  EXPECT_EQ(read_file(log()), "out\nerr\n");
  EXPECT_EQ(run("exit 7").exit_status, 7);
  EXPECT_EQ(read_file(log()), "") << "the log is written anew";
  EXPECT_EQ(run("kill -9 $$").exit_status, 128 + SIGKILL);
}

TEST_F(ChildProcess, MeasuresTimeAndMemory) {
  const ChildOutcome idle = run("sleep 0.2");
  EXPECT_GE(idle.seconds, 0.2);
  EXPECT_LT(idle.processor_seconds, 0.15);
  EXPECT_GT(idle.peak_bytes, 100'000);
  // A string of 32 MiB.
  const ChildOutcome large =
      run("x=xxxxxxxxxxxxxxxx; i=0; while [ $i -lt 21 ]; do x=$x$x; i=$((i+1)); done");
  EXPECT_GT(large.peak_bytes, 32 << 20);
  EXPECT_LT(large.peak_bytes, 2'000'000'000);
}

TEST_F(ChildProcess, IsAskedOnceToStopAndWaitedFor) {
  std::stop_source stop;
  std::jthread later([&] {
    while (!std::filesystem::exists(directory_ / "ready")) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    stop.request_stop();
  });
  const ChildOutcome outcome =
      run("trap 'n=$((n+1)); echo told; sleep 0.2; exit 130' TERM; touch '" +
              (directory_ / "ready").string() + "'; while :; do sleep 0.02; done",
          stop.get_token());
  EXPECT_EQ(outcome.exit_status, 130);
  EXPECT_EQ(read_file(log()), "told\n");
}

TEST_F(ChildProcess, IsInAGroupOfItsOwnAndEndsWithItsCaller) {
  const std::string file = directory_ / "pid";
  const pid_t caller = ::fork();
  ASSERT_GE(caller, 0);
  if (caller == 0) {
    (void)run("echo $$ > '" + file + ".part'; mv '" + file + ".part' '" + file +
              "'; exec sleep 60");
    ::_exit(0);
  }
  while (!std::filesystem::exists(file)) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  const pid_t child = std::stoi(read_file(file));
  EXPECT_EQ(::getpgid(child), child);
  ::kill(caller, SIGKILL);
  ::waitpid(caller, nullptr, 0);
  bool alive = true;
  for (int i = 0; i < 500 && alive; ++i) {
    // A zombie that nobody waits for counts as ended.
    const std::string stat = "/proc/" + std::to_string(child) + "/stat";
    alive = ::kill(child, 0) == 0;
    if (alive && std::filesystem::exists(stat)) {
      try {
        const std::string text = read_file(stat);
        alive = text.at(text.rfind(')') + 2) != 'Z';
      } catch (const Error&) {
        alive = false;
      }
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  EXPECT_FALSE(alive);
}

TEST_F(ChildProcess, NamesAProgramThatCannotBeStarted) {
  expect_error(ErrorKind::kIo, "/nowhere/mmra",
               [&] { (void)run_child("/nowhere/mmra", {}, log(), {}); });
  expect_error(ErrorKind::kNotFound, "log",
               [&] { (void)run_child("/bin/sh", {}, directory_ / "none/log", {}); });
}

}  // namespace
}  // namespace mmra::pipeline::testing
