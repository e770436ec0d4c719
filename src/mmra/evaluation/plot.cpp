#include "mmra/evaluation/plot.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <limits>

namespace mmra::evaluation {
namespace {

constexpr double kLeft = 62;
constexpr double kRight = 14;
constexpr double kTop = 30;
constexpr double kBottom = 46;
constexpr double kLegendLine = 18;
constexpr std::array kColours = {"#2f7fc1", "#d0602b", "#2b9a66", "#a65bc0",
                                 "#b5891a", "#cf4a70", "#4b8c9c", "#8a775a"};

struct Range {
  double low = std::numeric_limits<double>::infinity();
  double high = -std::numeric_limits<double>::infinity();

  void take(double value) {
    low = std::min(low, value);
    high = std::max(high, value);
  }
  void widen() {
    const double margin = std::max(0.05 * (high - low), 1e-3 + 1e-3 * std::abs(low));
    low -= margin;
    high += margin;
  }
};

bool is_drawn(const PlotPoint& point) { return std::isfinite(point.x) && std::isfinite(point.y); }

bool has_bar(const PlotPoint& point) {
  return std::isfinite(point.low) && std::isfinite(point.high) && point.low < point.high;
}

std::string px(double value) { return decimals(value, 1); }

std::string text(double x, double y, const std::string& attributes, std::string_view content) {
  return "<text x='" + px(x) + "' y='" + px(y) + "' " + attributes + ">" + escape_html(content) +
         "</text>";
}

std::string colour_of(std::size_t series) {
  const std::size_t i = series % kColours.size();
  return "var(--c" + std::to_string(i) + "," + kColours[i] + ")";
}

std::vector<double> ticks_of(const Range& range, int count, bool whole = false) {
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

class Drawing {
 public:
  explicit Drawing(const Plot& plot) : plot_(plot) {
    for (const Series& series : plot.series) {
      for (const PlotPoint& point : series.points) take(point);
    }
    empty_ = !(x_.low <= x_.high);
    if (empty_) return;
    if (plot.diagonal) {
      x_.low = y_.low = std::min(x_.low, y_.low);
      x_.high = y_.high = std::max(x_.high, y_.high);
    }
    x_.widen();
    y_.widen();
  }

  [[nodiscard]] std::string draw() const {
    const double legend =
        plot_.series.size() > 1 ? kLegendLine * static_cast<double>(plot_.series.size()) + 6 : 0;
    std::string svg = "<svg viewBox='0 0 " + px(plot_.width) + " " + px(plot_.height + legend) +
                      "' width='" + px(plot_.width) + "' role='img' aria-label='" +
                      escape_html(plot_.title) +
                      "' font-size='12' font-family='sans-serif' "
                      "fill='var(--ink,#222)'>";
    svg += text(kLeft, 16, "font-weight='bold'", plot_.title);
    if (empty_) {
      svg += text(kLeft, plot_.height / 2, "", "nothing to show");
    } else {
      svg += draw_axes();
      for (std::size_t i = 0; i < plot_.series.size(); ++i) svg += draw_series(i);
      if (plot_.series.size() > 1) svg += draw_legend();
    }
    return svg + "</svg>\n";
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
  [[nodiscard]] static std::string line(double x1, double y1, double x2, double y2,
                                        const std::string& attributes) {
    return "<line x1='" + px(x1) + "' y1='" + px(y1) + "' x2='" + px(x2) + "' y2='" + px(y2) +
           "' " + attributes + "/>";
  }

  [[nodiscard]] std::string draw_axes() const {
    const std::string grid = "stroke='var(--line,#ddd)'";
    const double bottom = plot_.height - kBottom;
    std::string svg;
    for (const double tick : ticks_of(y_, 5)) {
      svg += line(kLeft, y(tick), plot_.width - kRight, y(tick), grid);
      svg += text(kLeft - 6, y(tick) + 4, "text-anchor='end'", tick_label(tick));
    }
    for (const double tick :
         plot_.x_ticks.empty() ? ticks_of(x_, 6, plot_.whole_x) : plot_.x_ticks) {
      svg += line(x(tick), bottom, x(tick), bottom + 4, "stroke='var(--soft,#777)'");
      svg += text(x(tick), bottom + 17, "text-anchor='middle'", tick_label(tick));
    }
    svg += line(kLeft, bottom, plot_.width - kRight, bottom, "stroke='var(--soft,#777)'");
    if (plot_.diagonal) {
      svg += line(x(x_.low), y(x_.low), x(x_.high), y(x_.high),
                  "stroke='var(--soft,#777)' stroke-dasharray='5 4'");
    }
    const double middle = 0.5 * (kTop + bottom);
    svg += text(0.5 * (kLeft + plot_.width - kRight), plot_.height - 10, "text-anchor='middle'",
                plot_.x_label);
    svg += text(14, middle, "text-anchor='middle' transform='rotate(-90 14 " + px(middle) + ")'",
                plot_.y_label);
    return svg;
  }

  [[nodiscard]] std::string draw_series(std::size_t index) const {
    const Series& series = plot_.series[index];
    const std::string colour = colour_of(index);
    // Many points: small and light, so that their density shows.
    const bool many = series.points.size() > 200;
    std::string line_points;
    std::string svg;
    for (const PlotPoint& point : series.points) {
      if (!is_drawn(point)) continue;
      line_points += px(x(point.x)) + "," + px(y(point.y)) + " ";
      if (has_bar(point)) {
        svg += line(x(point.x), y(point.low), x(point.x), y(point.high),
                    "stroke='" + colour + "' stroke-opacity='.6'");
      }
      if (series.connected && series.points.size() > 40) continue;
      svg += "<circle cx='" + px(x(point.x)) + "' cy='" + px(y(point.y)) + "' r='" +
             (many ? "1.6" : "3") + "' fill='" + colour + "'" +
             (many ? " fill-opacity='.45'" : "") + "/>";
    }
    if (!series.connected || line_points.empty()) return svg;
    return "<polyline fill='none' stroke='" + colour + "' stroke-width='1.8'" + dash_of(series) +
           " points='" + line_points + "'/>" + svg;
  }

  [[nodiscard]] static std::string dash_of(const Series& series) {
    return series.dashed ? " stroke-dasharray='6 4'" : "";
  }

  [[nodiscard]] std::string draw_legend() const {
    std::string svg;
    double at = plot_.height + 8;
    for (std::size_t i = 0; i < plot_.series.size(); ++i, at += kLegendLine) {
      svg += line(kLeft, at, kLeft + 22, at,
                  "stroke='" + colour_of(i) + "' stroke-width='3'" + dash_of(plot_.series[i]));
      svg += text(kLeft + 30, at + 4, "", plot_.series[i].name);
    }
    return svg;
  }

  const Plot& plot_;
  Range x_;
  Range y_;
  bool empty_ = true;
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
