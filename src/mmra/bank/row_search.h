#pragma once

#include <cstddef>
#include <string_view>

namespace mmra::bank {

/// Of the rows [low, high) of a table, whose ids ascend: the first one whose id is not less than
/// `id`; `high` where all are.
template <typename Table>
[[nodiscard]] std::size_t first_row_from(const Table& table, std::string_view id, std::size_t low,
                                         std::size_t high) {
  while (low < high) {
    const std::size_t middle = low + (high - low) / 2;
    if (table.id(middle) < id) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

}  // namespace mmra::bank
