#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace mmra::evaluation {

/// Text as it may stand in HTML and SVG, in elements and in attributes of either quote. Bytes that
/// HTML does not allow (controls) become spaces.
[[nodiscard]] std::string escape_html(std::string_view text);

/// printf's %.*f; "–" for what is not finite.
[[nodiscard]] std::string decimals(double value, int count);

/// 1, 2 or 5 times a power of ten, such that `span` takes about `count` of it: between ticks.
[[nodiscard]] double nice_step(double span, int count);

struct PlotPoint {
  double x = 0.0;
  double y = 0.0;
  double low = 0.0;  ///< of an error bar, drawn where low < high
  double high = 0.0;
};

struct Series {
  std::string name;
  std::vector<PlotPoint> points;  ///< those that are not finite are left out
  bool connected = true;          ///< a line through the points; else points alone
  bool dashed = false;
  bool emphasised = false;  ///< drawn stronger, and over the others
};

struct Plot {
  std::string title;
  std::string x_label;
  std::string y_label;
  std::vector<Series> series;
  bool diagonal = false;        ///< the line y = x, and both axes alike
  bool whole_x = false;         ///< ticks at whole numbers alone
  std::vector<double> x_ticks;  ///< empty: chosen
  double width = 400.0;         ///< px
  double height = 300.0;
};

/// An SVG element for a page that sets the custom properties --ink, --soft, --line and --c0 … --c7;
/// without them the same colours stand as fall-backs. Series differ by their marks too. Every name
/// is escaped, and cut where it would not fit. Empty plots say so.
[[nodiscard]] std::string to_svg(const Plot& plot);

/// A line of an IntervalPlot.
struct PlottedInterval {
  std::string name;
  double value = 0.0;
  double low = 0.0;  ///< NaN: no interval
  double high = 0.0;
  std::vector<double> single;      ///< values that `value` is the mean of, where there are several
  std::optional<double> compared;  ///< a figure from elsewhere, drawn hollow
  bool emphasised = false;         ///< the others are seen against its value
};

/// Values with their intervals, one below the other ("forest plot").
struct IntervalPlot {
  std::string title;
  std::vector<PlottedInterval> lines;  ///< what is not finite is left out
  double width = 400.0;                ///< px
};

/// As that of a Plot.
[[nodiscard]] std::string to_svg(const IntervalPlot& plot);

}  // namespace mmra::evaluation
