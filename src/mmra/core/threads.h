#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <utility>
#include <vector>

namespace mmra {

/// Processors this process may run on (its affinity mask), at least 1.
[[nodiscard]] int available_processors() noexcept;

/// The calling thread lets others go first, for as long as it runs: whoever asks does not wait for
/// work that has time. Where the system refuses, it stays as it is.
void lower_priority_of_this_thread() noexcept;

/// Calls body(begin, end) on disjoint pieces of [0, count), of `grain` items or fewer each, on at
/// most `num_threads` threads (the caller's among them), and waits. The first exception is rethrown
/// when all have stopped. Pieces are taken in order, so results that are written by index do not
/// depend on the number of threads.
void parallel_for(std::size_t count, std::size_t grain, int num_threads,
                  const std::function<void(std::size_t begin, std::size_t end)>& body);

/// function(input) of every input, in the inputs' order, on at most `num_threads` threads.
template <typename Input, typename Function>
[[nodiscard]] auto parallel_map(std::span<const Input> inputs, int num_threads,
                                const Function& function) {
  std::vector<decltype(function(inputs[0]))> outputs(inputs.size());
  parallel_for(inputs.size(), 1, num_threads, [&](std::size_t begin, std::size_t end) {
    for (std::size_t i = begin; i < end; ++i) outputs[i] = function(inputs[i]);
  });
  return outputs;
}

}  // namespace mmra
