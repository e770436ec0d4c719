#include "mmra/core/huge_pages.h"

#include <gtest/gtest.h>

#include <cstddef>
#include <vector>

namespace mmra {
namespace {

TEST(HugePages, HoldWhatWasThere) {
  for (const std::size_t size : {std::size_t{0}, std::size_t{100}, std::size_t{9} << 20}) {
    std::vector<std::byte> memory(size);
    for (std::size_t i = 0; i < size; i += 4093) memory[i] = static_cast<std::byte>(i % 251);
    const std::vector<std::byte> before = memory;
    move_to_huge_pages(memory);
    EXPECT_EQ(memory == before, true) << size;
    if (size > 0) memory.back() = std::byte{7};  // and it can still be written
  }
}

}  // namespace
}  // namespace mmra
