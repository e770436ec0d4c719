#pragma once

#include <algorithm>

#if __has_include( \
    <omp.h>)  // the fuzz targets' compiler has no OpenMP; nothing is multiplied there
#include <omp.h>
#define MMRA_HAS_OPENMP
#endif

namespace mmra::retrieval {

/// The calling thread's next parallel regions of OpenMP (oneDNN's, FAISS's, OpenBLAS's) have so
/// many threads, at least 1, and when this ends as many as before: the number is the thread's, not
/// ours.
class OpenMpThreads {
 public:
#ifdef MMRA_HAS_OPENMP
  explicit OpenMpThreads(int num_threads) : num_before_(omp_get_max_threads()) {
    omp_set_num_threads(std::max(1, num_threads));
  }
  ~OpenMpThreads() { omp_set_num_threads(num_before_); }
#else
  explicit OpenMpThreads(int /*num_threads*/) {}
  ~OpenMpThreads() = default;
#endif
  OpenMpThreads(const OpenMpThreads&) = delete;
  OpenMpThreads& operator=(const OpenMpThreads&) = delete;

#ifdef MMRA_HAS_OPENMP
 private:
  int num_before_;
#endif
};

}  // namespace mmra::retrieval
