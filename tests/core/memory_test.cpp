#include "mmra/core/memory.h"

#include <gtest/gtest.h>
#include <malloc.h>

#include <cstdlib>

#include "mmra/core/sanitizer.h"

namespace mmra {
namespace {

/// Bytes of the blocks that are the system's own pages.
std::size_t mapped_bytes() { return ::mallinfo2().hblkhd; }

TEST(LargeBlocks, GoBackToTheSystemWhereGlibcWouldKeepThem) {
#if MMRA_ADDRESS_SANITIZER
  GTEST_SKIP() << "a sanitizer has an allocator of its own";
#endif
  constexpr std::size_t kBlock = std::size_t{8} << 20;
  // A freed block raises the size from which glibc maps.
  void* volatile larger = std::malloc(2 * kBlock);
  std::free(larger);
  return_large_blocks_to_system();
  const std::size_t before = mapped_bytes();
  void* volatile block = std::malloc(kBlock);
  EXPECT_GE(mapped_bytes(), before + kBlock);
  std::free(block);
  EXPECT_EQ(mapped_bytes(), before);
}

TEST(FreedBlocks, StayWithTheProcess) {
#if MMRA_ADDRESS_SANITIZER
  GTEST_SKIP() << "a sanitizer has an allocator of its own";
#endif
  keep_freed_blocks();
  const std::size_t before = mapped_bytes();
  void* volatile block = std::malloc(std::size_t{8} << 20);
  EXPECT_EQ(mapped_bytes(), before);
  std::free(block);
}

}  // namespace
}  // namespace mmra
