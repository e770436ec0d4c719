#pragma once

#include <array>
#include <cstddef>
#include <string_view>

namespace mmra::plus {

inline constexpr std::size_t kShapeWidth = 14;

/// What a title looks like, whatever it says: its code points, words and "#"; code points and words
/// before the first "#"; digits, symbols, "!", "?", ","; the share of capitals; the longest word
/// and the mean of their lengths; code points beyond ASCII. Any bytes. NaN where there is no title.
[[nodiscard]] std::array<float, kShapeWidth> title_shape(std::string_view title);

}  // namespace mmra::plus
