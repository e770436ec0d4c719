#include "mmra/evaluation/svg_parts.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <limits>

#include "mmra/evaluation/plot.h"

namespace mmra::evaluation::svg {
namespace {

constexpr std::array kColours = {"#2f7fc1", "#d0602b", "#2b9a66", "#a65bc0",
                                 "#a07812", "#cf4a70", "#43828f", "#8a775a"};
// px a character at 12 px. Which fonts there are is not known; these hold for wide ones (DejaVu
// Sans) on names and labels. A text of wide letters throughout is no name.
constexpr double kRegularWidth = 6.7;
constexpr double kBoldWidth = 7.6;

bool continues_character(char c) { return (static_cast<unsigned char>(c) & 0xC0U) == 0x80U; }

/// At most `count` characters of UTF-8, the last one an ellipsis where some had to go.
std::string shortened(std::string_view text, std::size_t count) {
  std::size_t characters = 0;
  std::size_t keep = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (continues_character(text[i])) continue;
    if (++characters == count) keep = i;
    if (characters > count) return std::string(text.substr(0, keep)) + "…";
  }
  return std::string(text);
}

}  // namespace

Range::Range()
    : low(std::numeric_limits<double>::infinity()),
      high(-std::numeric_limits<double>::infinity()) {}

void Range::take(double value) {
  low = std::min(low, value);
  high = std::max(high, value);
}

void Range::widen() {
  const double margin = std::max(0.05 * (high - low), 1e-3 + 1e-3 * std::abs(low));
  low -= margin;
  high += margin;
}

std::vector<double> ticks_of(const Range& range, int count, bool whole) {
  const double step = std::max(nice_step(range.high - range.low, count), whole ? 1.0 : 0.0);
  std::vector<double> ticks;
  for (double tick = std::ceil(range.low / step) * step; tick <= range.high; tick += step) {
    ticks.push_back(std::abs(tick) < step / 2 ? 0.0 : tick);
  }
  return ticks;
}

std::string tick_label(double value) {
  char label[32];
  std::snprintf(label, sizeof label, "%.5g", value);
  return label;
}

std::string begin(double width, double height, std::string_view title) {
  return "<svg viewBox='0 0 " + px(width) + " " + px(height) + "' width='" + px(width) +
         "' role='img' aria-label='" + escape_html(title) +
         "' font-size='12' font-family='system-ui,sans-serif' fill='var(--ink,#222)'>";
}

std::string px(double value) { return decimals(value, 1); }

std::string line(double x1, double y1, double x2, double y2, const std::string& attributes) {
  return "<line x1='" + px(x1) + "' y1='" + px(y1) + "' x2='" + px(x2) + "' y2='" + px(y2) + "' " +
         attributes + "/>";
}

std::string text(double x, double y, double width, const std::string& attributes,
                 std::string_view content) {
  const bool is_bold = attributes.find("bold") != std::string::npos;
  const auto count =
      static_cast<std::size_t>(std::max(1.0, width / (is_bold ? kBoldWidth : kRegularWidth)));
  return "<text x='" + px(x) + "' y='" + px(y) + "' " + attributes + ">" +
         escape_html(shortened(content, count)) + "</text>";
}

std::string colour_of(std::size_t series) {
  const std::size_t i = series % kColours.size();
  return "var(--c" + std::to_string(i) + "," + kColours[i] + ")";
}

std::string mark(std::size_t series, double x, double y, const std::string& attributes) {
  const std::string at = "M" + px(x) + " " + px(y);
  const std::string fill = "fill='" + colour_of(series) + "' " + attributes + "/>";
  switch (series % 4) {
    case 1:
      return "<path class=mark d='" + at + "m-3-3h6v6h-6z' " + fill;
    case 2:
      return "<path class=mark d='" + at + "m0-4l4 7h-8z' " + fill;
    case 3:
      return "<path class=mark d='" + at + "m0-4.2l4.2 4.2l-4.2 4.2l-4.2-4.2z' " + fill;
    default:
      return "<circle class=mark cx='" + px(x) + "' cy='" + px(y) + "' r='3.2' " + fill;
  }
}

}  // namespace mmra::evaluation::svg
