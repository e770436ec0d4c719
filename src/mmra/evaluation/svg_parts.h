#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

/// What the plots of a page are drawn with: colours are the page's custom properties.
namespace mmra::evaluation::svg {

/// Values of an axis; empty (low > high) until something was taken.
struct Range {
  Range();
  double low;
  double high;

  void take(double value);
  void widen();  ///< by a margin on both sides
  [[nodiscard]] bool is_empty() const { return !(low <= high); }
};

/// The first values in `range` that are multiples of a nice step, about `count` of them.
[[nodiscard]] std::vector<double> ticks_of(const Range& range, int count, bool whole = false);
[[nodiscard]] std::string tick_label(double value);

/// The start of an element of that size (px), read aloud as `title`.
[[nodiscard]] std::string begin(double width, double height, std::string_view title);
[[nodiscard]] std::string px(double value);
[[nodiscard]] std::string line(double x1, double y1, double x2, double y2,
                               const std::string& attributes);
/// `content` is cut, with an ellipsis, to what surely fits into `width` px at 12 px.
[[nodiscard]] std::string text(double x, double y, double width, const std::string& attributes,
                               std::string_view content);
/// The colour and the mark of a series: both tell it from the others, so that print needs no
/// colour.
[[nodiscard]] std::string colour_of(std::size_t series);
[[nodiscard]] std::string mark(std::size_t series, double x, double y,
                               const std::string& attributes = "");

}  // namespace mmra::evaluation::svg
