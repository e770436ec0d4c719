#include "mmra/evaluation/plot.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "mmra/evaluation/svg_parts.h"

namespace mmra::evaluation {
namespace {

constexpr double kLeft = 62;
constexpr double kRight = 14;
constexpr double kTop = 30;
constexpr double kBottom = 46;
constexpr double kLegendLine = 18;
constexpr std::size_t kMaxMarks = 24;  // on a line

bool is_drawn(const PlotPoint& point) { return std::isfinite(point.x) && std::isfinite(point.y); }

bool has_bar(const PlotPoint& point) {
  return std::isfinite(point.low) && std::isfinite(point.high) && point.low < point.high;
}

class Drawing {
 public:
  explicit Drawing(const Plot& plot) : plot_(plot) {
    for (const Series& series : plot.series) {
      for (const PlotPoint& point : series.points) take(point);
    }
    if (x_.is_empty()) return;
    if (plot.diagonal) {
      x_.low = y_.low = std::min(x_.low, y_.low);
      x_.high = y_.high = std::max(x_.high, y_.high);
    }
    x_.widen();
    y_.widen();
  }

  [[nodiscard]] std::string draw() const {
    const double legend =
        plot_.series.size() > 1 ? kLegendLine * static_cast<double>(plot_.series.size()) + 10 : 0;
    std::string drawn = svg::begin(plot_.width, plot_.height + legend, plot_.title);
    drawn += svg::text(kLeft, 16, plot_.width - kLeft - kRight, "font-weight='bold'", plot_.title);
    if (x_.is_empty()) {
      drawn += svg::text(kLeft, plot_.height / 2, plot_.width, "", "nothing to show");
    } else {
      drawn += draw_axes();
      for (const bool emphasised : {false, true}) {
        for (std::size_t i = 0; i < plot_.series.size(); ++i) {
          if (plot_.series[i].emphasised == emphasised) drawn += draw_series(i);
        }
      }
      if (plot_.series.size() > 1) drawn += draw_legend();
    }
    return drawn + "</svg>\n";
  }

 private:
  void take(const PlotPoint& point) {
    if (!is_drawn(point)) return;
    x_.take(point.x);
    y_.take(point.y);
    if (!has_bar(point)) return;
    y_.take(point.low);
    y_.take(point.high);
  }

  [[nodiscard]] double x(double value) const {
    return kLeft + (plot_.width - kLeft - kRight) * (value - x_.low) / (x_.high - x_.low);
  }
  [[nodiscard]] double y(double value) const {
    return kTop + (plot_.height - kTop - kBottom) * (y_.high - value) / (y_.high - y_.low);
  }
  [[nodiscard]] std::string draw_axes() const {
    const std::string grid = "stroke='var(--line,#ddd)'";
    const std::string axis = "stroke='var(--soft,#777)'";
    const double bottom = plot_.height - kBottom;
    const double right = plot_.width - kRight;
    std::string drawn;
    for (const double tick : svg::ticks_of(y_, 5)) {
      drawn += svg::line(kLeft, y(tick), right, y(tick), grid);
      drawn += svg::text(kLeft - 6, y(tick) + 4, plot_.width, "text-anchor='end'",
                         svg::tick_label(tick));
    }
    for (const double tick :
         plot_.x_ticks.empty() ? svg::ticks_of(x_, 6, plot_.whole_x) : plot_.x_ticks) {
      drawn += svg::line(x(tick), bottom, x(tick), bottom + 4, axis);
      drawn += svg::text(x(tick), bottom + 17, plot_.width, "text-anchor='middle'",
                         svg::tick_label(tick));
    }
    drawn += svg::line(kLeft, bottom, right, bottom, axis);
    if (plot_.diagonal) {
      drawn += svg::line(x(x_.low), y(x_.low), x(x_.high), y(x_.high),
                         "stroke='var(--soft,#777)' stroke-dasharray='5 4'");
    }
    const double middle = 0.5 * (kTop + bottom);
    drawn += svg::text(0.5 * (kLeft + right), plot_.height - 10, right - kLeft,
                       "text-anchor='middle'", plot_.x_label);
    drawn += svg::text(14, middle, plot_.height,
                       "text-anchor='middle' transform='rotate(-90 14 " + svg::px(middle) + ")'",
                       plot_.y_label);
    return drawn;
  }

  [[nodiscard]] std::string draw_series(std::size_t index) const {
    const Series& series = plot_.series[index];
    const std::string colour = svg::colour_of(index);
    // Many points: small and light, so that their density shows.
    const bool many = !series.connected && series.points.size() > 200;
    const std::size_t step = series.connected ? series.points.size() / kMaxMarks + 1 : 1;
    std::string line_points;
    std::string drawn;
    for (std::size_t i = 0; i < series.points.size(); ++i) {
      const PlotPoint& point = series.points[i];
      if (!is_drawn(point)) continue;
      line_points += svg::px(x(point.x)) + "," + svg::px(y(point.y)) + " ";
      if (has_bar(point)) {
        drawn += svg::line(x(point.x), y(point.low), x(point.x), y(point.high),
                           "stroke='" + colour + "' stroke-width='1.6' stroke-opacity='.6'");
      }
      if (i % step != 0) continue;
      drawn += many ? "<circle class=mark cx='" + svg::px(x(point.x)) + "' cy='" +
                          svg::px(y(point.y)) + "' r='1.6' fill='" + colour +
                          "' fill-opacity='.45'/>"
                    : svg::mark(index, x(point.x), y(point.y));
    }
    if (!series.connected || line_points.empty()) return drawn;
    return "<polyline fill='none' stroke='" + colour + "' " + stroke_of(series) + " points='" +
           line_points + "'/>" + drawn;
  }

  [[nodiscard]] static std::string stroke_of(const Series& series) {
    return std::string(series.emphasised ? "stroke-width='2.8'" : "stroke-width='1.5'") +
           (series.dashed ? " stroke-dasharray='6 4'" : "");
  }

  [[nodiscard]] std::string draw_legend() const {
    std::string drawn;
    double at = plot_.height + 12;
    for (std::size_t i = 0; i < plot_.series.size(); ++i, at += kLegendLine) {
      const Series& series = plot_.series[i];
      if (series.connected) {
        drawn += svg::line(kLeft, at, kLeft + 24, at,
                           "stroke='" + svg::colour_of(i) + "' " + stroke_of(series));
      }
      drawn += svg::mark(i, kLeft + 12, at);
      drawn += svg::text(kLeft + 32, at + 4, plot_.width - kLeft - 32,
                         series.emphasised ? "font-weight='bold'" : "", series.name);
    }
    return drawn;
  }

  const Plot& plot_;
  svg::Range x_;
  svg::Range y_;
};

}  // namespace

std::string escape_html(std::string_view text) {
  std::string safe;
  for (const char c : text) {
    switch (c) {
      case '&':
        safe += "&amp;";
        break;
      case '<':
        safe += "&lt;";
        break;
      case '>':
        safe += "&gt;";
        break;
      case '"':
        safe += "&quot;";
        break;
      case '\'':
        safe += "&#39;";
        break;
      default:
        safe += static_cast<unsigned char>(c) < 0x20 || c == 0x7F ? ' ' : c;
    }
  }
  return safe;
}

double nice_step(double span, int count) {
  const double raw = span / count;
  const double power = std::pow(10.0, std::floor(std::log10(raw)));
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (raw <= factor * power) return factor * power;
  }
  return 10.0 * power;
}

std::string decimals(double value, int count) {
  if (!std::isfinite(value)) return "–";
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", count, value);
  return text;
}

std::string to_svg(const Plot& plot) { return Drawing(plot).draw(); }

}  // namespace mmra::evaluation
