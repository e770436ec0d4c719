#include "openmp_threads.h"

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <system_error>

namespace mmra::app {
namespace {

/// Turns of the waiting loop before a thread sleeps, about ten microseconds; what libgomp itself
/// takes when it has more threads than processors.
constexpr char kSpinCount[] = "1000";

}  // namespace

void wait_asleep_for_openmp_threads(char** argv) {
  if (std::getenv("GOMP_SPINCOUNT") != nullptr || std::getenv("OMP_WAIT_POLICY") != nullptr) return;
  std::error_code failed;
  // By its own name, so that it is listed as mmra and not as "exe".
  const std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe", failed);
  if (failed || setenv("GOMP_SPINCOUNT", kSpinCount, 1) != 0) return;
  execv(program.c_str(), argv);  // returns only when it fails
}

}  // namespace mmra::app
