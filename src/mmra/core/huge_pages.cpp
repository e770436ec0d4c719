#include "mmra/core/huge_pages.h"

#include <sys/mman.h>

#include <cstdint>

namespace mmra {
namespace {

constexpr std::uintptr_t kHugePage = std::uintptr_t{2} << 20;
// MADV_COLLAPSE of Linux 6.1, which is younger than the C library; an older kernel refuses it.
constexpr int kCollapse = 25;

}  // namespace

void move_to_huge_pages(std::span<const std::byte> memory) noexcept {
  const auto begin = reinterpret_cast<std::uintptr_t>(memory.data());
  const std::uintptr_t first = (begin + kHugePage - 1) / kHugePage * kHugePage;
  const std::uintptr_t end = (begin + memory.size()) / kHugePage * kHugePage;
  if (first >= end) return;
  static_cast<void>(::madvise(reinterpret_cast<void*>(first), end - first, kCollapse));
}

}  // namespace mmra
