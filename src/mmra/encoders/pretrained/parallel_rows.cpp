#include "mmra/encoders/pretrained/parallel_rows.h"

#ifdef _OPENMP
#include <omp.h>
#endif

namespace mmra::encoders {

#ifdef _OPENMP
// A second team of threads beside oneDNN's would fight it for the processors: OpenMP's waits spin.
void parallel_rows(std::int64_t count, std::int64_t grain,
                   const std::function<void(std::int64_t index, int thread)>& body) {
  if (count <= grain || parallel_threads() == 1) {
    for (std::int64_t i = 0; i < count; ++i) body(i, 0);
    return;
  }
#pragma omp parallel for schedule(dynamic, grain)
  for (std::int64_t i = 0; i < count; ++i) body(i, omp_get_thread_num());
}

int parallel_threads() noexcept { return omp_in_parallel() != 0 ? 1 : omp_get_max_threads(); }

void use_parallel_threads(int num_threads) noexcept {
  omp_set_num_threads(num_threads > 1 ? num_threads : 1);
}
#else
// The fuzz targets' compiler has no OpenMP runtime.
void parallel_rows(std::int64_t count, std::int64_t /*grain*/,
                   const std::function<void(std::int64_t index, int thread)>& body) {
  for (std::int64_t i = 0; i < count; ++i) body(i, 0);
}

int parallel_threads() noexcept { return 1; }

void use_parallel_threads(int /*num_threads*/) noexcept {}
#endif

}  // namespace mmra::encoders
