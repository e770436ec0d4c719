#include "interrupt.h"

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <cstring>
#include <mutex>
#include <thread>
#include <utility>

namespace mmra::app {
namespace {

constexpr int kInterruptedStatus = 130;

void say(const char* text) {
  const auto ignored = ::write(STDERR_FILENO, text, std::strlen(text));
  static_cast<void>(ignored);
}

struct Notice {
  std::mutex mutex;
  std::function<std::string()> make;
};

/// Never destroyed: the thread that waits for signals outlives main().
Notice& notice() {
  static auto* const kInstance = new Notice;
  return *kInstance;
}

void say_notice() {
  const std::scoped_lock lock(notice().mutex);
  if (notice().make) {
    say(notice().make().c_str());
  } else {
    say("\nstopping; what is done is kept (once more to stop at once)\n");
  }
}

}  // namespace

void set_interrupt_notice(std::function<std::string()> make) {
  const std::scoped_lock lock(notice().mutex);
  notice().make = std::move(make);
}

std::stop_token stop_on_interrupt() {
  static std::stop_source source;
  static bool installed = false;
  if (installed) return source.get_token();
  installed = true;
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  // A thread that waits may do what a signal handler may not: lock, allocate, run stop callbacks.
  std::thread([signals] {
    int signal = 0;
    sigwait(&signals, &signal);
    say_notice();
    source.request_stop();
    sigwait(&signals, &signal);
    ::_exit(kInterruptedStatus);
  }).detach();
  return source.get_token();
}

}  // namespace mmra::app
