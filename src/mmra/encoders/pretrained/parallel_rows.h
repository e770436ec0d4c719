#pragma once

#include <cstdint>
#include <functional>

namespace mmra::encoders {

/// Calls body(index, thread) for every index of [0, count) on the OpenMP threads that oneDNN's
/// products run on too (omp_set_num_threads in the calling thread says how many), in no order, and
/// waits. `thread` is in [0, parallel_threads()). `body` must not throw.
void parallel_rows(std::int64_t count,
                   const std::function<void(std::int64_t index, int thread)>& body);

/// How many threads parallel_rows() would use when called here.
[[nodiscard]] int parallel_threads() noexcept;

}  // namespace mmra::encoders
