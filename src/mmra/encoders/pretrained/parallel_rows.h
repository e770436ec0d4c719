#pragma once

#include <cstdint>
#include <functional>

namespace mmra::encoders {

/// Calls body(index, thread) for every index of [0, count) on the OpenMP threads that oneDNN's
/// products run on too (omp_set_num_threads in the calling thread says how many), in no order, and
/// waits. Each thread takes `grain` neighbours at a time; up to `grain` in all are done by the
/// caller alone. `thread` is in [0, parallel_threads()). `body` must not throw.
void parallel_rows(std::int64_t count, std::int64_t grain,
                   const std::function<void(std::int64_t index, int thread)>& body);

/// A grain for rows of so many floats that each takes little more than to read and write it: large
/// enough that starting threads pays.
[[nodiscard]] constexpr std::int64_t grain_of_rows(std::int64_t cols) noexcept {
  constexpr std::int64_t kFloatsPerGrain = 16384;
  return cols >= kFloatsPerGrain ? 1 : kFloatsPerGrain / (cols > 0 ? cols : 1);
}

/// How many threads parallel_rows() would use when called here.
[[nodiscard]] int parallel_threads() noexcept;

/// How many threads products and parallel_rows() use from here on when called by this thread; one
/// where `num_threads` is smaller.
void use_parallel_threads(int num_threads) noexcept;

}  // namespace mmra::encoders
