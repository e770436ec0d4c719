#include <cmath>
#include <string>

#include "mmra/evaluation/plot.h"
#include "mmra/evaluation/svg_parts.h"

namespace mmra::evaluation {
namespace {

constexpr double kNames = 192;  // px, of the column of names
constexpr double kRight = 14;
constexpr double kTop = 30;
constexpr double kLineHeight = 24;
constexpr double kBottom = 30;
constexpr int kTicks = 4;

class Drawing {
 public:
  explicit Drawing(const IntervalPlot& plot)
      : plot_(plot), bottom_(kTop + kLineHeight * static_cast<double>(plot.lines.size())) {
    for (const PlottedInterval& line : plot.lines) {
      for (const double value : line.single) take(value);
      for (const double value : {line.value, line.low, line.high}) take(value);
      if (line.compared) take(*line.compared);
    }
    if (!x_.is_empty()) x_.widen();
  }

  [[nodiscard]] std::string draw() const {
    std::string drawn = svg::begin(plot_.width, bottom_ + kBottom, plot_.title);
    drawn +=
        svg::text(kNames, 16, plot_.width - kNames - kRight, "font-weight='bold'", plot_.title);
    if (!x_.is_empty()) drawn += draw_axis();
    double at = kTop + 0.5 * kLineHeight;
    for (const PlottedInterval& line : plot_.lines) {
      drawn += draw_line(line, at);
      at += kLineHeight;
    }
    return drawn + "</svg>\n";
  }

 private:
  void take(double value) {
    if (std::isfinite(value)) x_.take(value);
  }
  [[nodiscard]] double x(double value) const {
    return kNames + (plot_.width - kNames - kRight) * (value - x_.low) / (x_.high - x_.low);
  }

  [[nodiscard]] std::string draw_axis() const {
    std::string drawn;
    for (const double tick : svg::ticks_of(x_, kTicks)) {
      drawn += svg::line(x(tick), kTop, x(tick), bottom_ + 4, "stroke='var(--line,#ddd)'");
      drawn += svg::text(x(tick), bottom_ + 18, plot_.width, "text-anchor='middle'",
                         svg::tick_label(tick));
    }
    for (const PlottedInterval& line : plot_.lines) {
      if (!line.emphasised || !std::isfinite(line.value)) continue;
      drawn += svg::line(x(line.value), kTop, x(line.value), bottom_,
                         "stroke='var(--soft,#777)' stroke-dasharray='5 4'");
    }
    return drawn;
  }

  [[nodiscard]] std::string draw_line(const PlottedInterval& line, double at) const {
    std::string drawn = svg::text(
        kNames - 10, at + 4, kNames - 10,
        line.emphasised ? "text-anchor='end' font-weight='bold'" : "text-anchor='end'", line.name);
    const std::string colour = line.emphasised ? svg::colour_of(0) : "var(--soft,#666)";
    const std::string stroke = "stroke='" + colour + "'";
    if (std::isfinite(line.low) && std::isfinite(line.high)) {
      drawn += svg::line(x(line.low), at, x(line.high), at, stroke + " stroke-width='2'");
    }
    if (line.compared && std::isfinite(*line.compared)) {
      drawn += "<path class=mark d='M" + svg::px(x(*line.compared)) + " " + svg::px(at) +
               "m0-5l5 5l-5 5l-5-5z' fill='none' stroke='" + svg::colour_of(1) +
               "' stroke-width='1.6'/>";
    }
    if (line.single.size() > 1) {
      for (const double value : line.single) {
        if (!std::isfinite(value)) continue;
        drawn += svg::line(x(value), at - 5, x(value), at + 5, stroke);
      }
    }
    if (std::isfinite(line.value)) {
      drawn += "<circle class=mark cx='" + svg::px(x(line.value)) + "' cy='" + svg::px(at) +
               "' r='4.2' fill='" + colour + "'/>";
    }
    return drawn;
  }

  const IntervalPlot& plot_;
  double bottom_;
  svg::Range x_;
};

}  // namespace

std::string to_svg(const IntervalPlot& plot) { return Drawing(plot).draw(); }

}  // namespace mmra::evaluation
