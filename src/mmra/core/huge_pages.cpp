#include "mmra/core/huge_pages.h"

#include <sys/mman.h>

#include <memory>

namespace mmra {
namespace {

constexpr std::size_t kHugePage = std::size_t{2} << 20;
// MADV_COLLAPSE of Linux 6.1, which is younger than the C library; an older kernel refuses it.
constexpr int kCollapse = 25;

}  // namespace

void move_to_huge_pages(std::span<const std::byte> memory) noexcept {
  void* first = const_cast<std::byte*>(memory.data());
  std::size_t room = memory.size();
  if (std::align(kHugePage, kHugePage, first, room) == nullptr) return;
  static_cast<void>(::madvise(first, room / kHugePage * kHugePage, kCollapse));
}

}  // namespace mmra
