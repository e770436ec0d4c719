#pragma once

#include <cstddef>
#include <functional>

namespace mmra {

/// Processors this process may run on (its affinity mask), at least 1.
[[nodiscard]] int available_processors() noexcept;

/// Calls body(begin, end) on disjoint pieces of [0, count), of `grain` items or fewer each, on at
/// most `num_threads` threads (the caller's among them), and waits. The first exception is rethrown
/// when all have stopped. Pieces are taken in order, so results that are written by index do not
/// depend on the number of threads.
void parallel_for(std::size_t count, std::size_t grain, int num_threads,
                  const std::function<void(std::size_t begin, std::size_t end)>& body);

}  // namespace mmra
