#include "mmra/core/memory.h"

#include <cstdlib>  // defines __GLIBC__ where it is that

#ifdef __GLIBC__
#include <malloc.h>
#endif

namespace mmra {

void return_large_blocks_to_system() noexcept {
#ifdef __GLIBC__
  constexpr int kLargeBytes = 4 << 20;
  ::mallopt(M_MMAP_THRESHOLD, kLargeBytes);
#endif
}

void keep_freed_blocks() noexcept {
#ifdef __GLIBC__
  constexpr int kLargestInHeap = 32 << 20;  // glibc takes no more
  constexpr int kFreeAtTop = 1 << 30;
  ::mallopt(M_MMAP_THRESHOLD, kLargestInHeap);
  ::mallopt(M_TRIM_THRESHOLD, kFreeAtTop);
#endif
}

}  // namespace mmra
