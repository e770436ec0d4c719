#include "mmra/core/threads.h"

#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

namespace mmra {

int available_processors() noexcept {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
  return std::max(1, CPU_COUNT(&set));
}

void lower_priority_of_this_thread() noexcept {
  constexpr int kLower = 10;
  constexpr int kLowest = 19;
  // On Linux the priority of one thread, not of the process.
  const auto thread = static_cast<id_t>(gettid());
  const int priority = getpriority(PRIO_PROCESS, thread);
  static_cast<void>(setpriority(PRIO_PROCESS, thread, std::min(priority + kLower, kLowest)));
}

void parallel_for(std::size_t count, std::size_t grain, int num_threads,
                  const std::function<void(std::size_t begin, std::size_t end)>& body) {
  grain = std::max<std::size_t>(grain, 1);
  std::atomic<std::size_t> next{0};
  std::exception_ptr failure;
  std::mutex failure_mutex;
  const auto work = [&] {
    for (;;) {
      const std::size_t begin = next.fetch_add(grain);
      if (begin >= count) return;
      try {
        body(begin, std::min(begin + grain, count));
      } catch (...) {
        const std::scoped_lock lock(failure_mutex);
        if (!failure) failure = std::current_exception();
        next = count;
      }
    }
  };
  const std::size_t num_pieces = (count + grain - 1) / grain;
  const std::size_t num_workers =
      std::min(num_pieces, static_cast<std::size_t>(std::max(num_threads, 1)));
  {
    std::vector<std::jthread> workers;
    for (std::size_t i = 1; i < num_workers; ++i) workers.emplace_back(work);
    work();
  }
  if (failure) std::rethrow_exception(failure);
}

}  // namespace mmra
