#pragma once

#include <cstddef>
#include <span>

namespace mmra {

/// For memory that is there already and is read at random places for long: asks the kernel to lay
/// it in huge pages, so that the processor need not look up where each place lies. Takes as long as
/// copying it. Where that cannot be, nothing changes.
void move_to_huge_pages(std::span<const std::byte> memory) noexcept;

}  // namespace mmra
