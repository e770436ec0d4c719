#include "mmra/evaluation/plot.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <optional>
#include <string>

namespace mmra::evaluation {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t found = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) {
    ++found;
  }
  return found;
}

Plot made_plot() {
  Plot plot;
  plot.title = "errors";
  plot.x_label = "k";
  plot.y_label = "nMSE";
  plot.series = {{"a", {{1, 0.5, 0.4, 0.6}, {2, 0.7, 0, 0}}, true, false, false},
                 {"b", {{1, 0.2, 0, 0}}, false, true, false}};
  return plot;
}

TEST(Plot, DrawsEveryPointItsBarAndTheLines) {
  const std::string svg = to_svg(made_plot());
  EXPECT_EQ(count(svg, "class=mark"), 5U) << "three points, and the legend's two";
  EXPECT_EQ(count(svg, "<circle"), 3U) << "a's; b's marks have another shape";
  EXPECT_EQ(count(svg, "<polyline"), 1U) << "b has points alone";
  EXPECT_EQ(count(svg, "stroke-opacity='.6'"), 1U) << "one error bar";
  EXPECT_THAT(svg, HasSubstr(">a</text>"));
  EXPECT_THAT(svg, HasSubstr(">b</text>"));
  EXPECT_THAT(svg, HasSubstr("aria-label='errors'"));
}

TEST(Plot, LeavesOutWhatIsNotFinite) {
  Plot plot = made_plot();
  const double nan = std::nan("");
  const double infinite = std::numeric_limits<double>::infinity();
  plot.series[0].points.push_back({3, nan, 0, 0});
  plot.series[0].points.push_back({infinite, 1, 0, 0});
  plot.series[0].points.push_back({4, 1, nan, infinite});
  const std::string svg = to_svg(plot);
  EXPECT_EQ(count(svg, "class=mark"), 6U);
  EXPECT_THAT(svg, Not(HasSubstr("nan")));
  EXPECT_THAT(svg, Not(HasSubstr("inf")));
  EXPECT_THAT(svg, Not(HasSubstr("–"))) << "no coordinate is unknown";
}

TEST(Plot, OfNothingOrOnePointStands) {
  Plot plot;
  plot.title = "empty";
  EXPECT_THAT(to_svg(plot), HasSubstr("nothing to show"));
  plot.series = {{"one", {{5, 5, 0, 0}}, true, false, false}};
  const std::string svg = to_svg(plot);
  EXPECT_EQ(count(svg, "<circle"), 1U);
  EXPECT_THAT(svg, Not(HasSubstr("–")));
  plot.diagonal = true;
  EXPECT_THAT(to_svg(plot), HasSubstr("stroke-dasharray='5 4'"));
}

TEST(Plot, TicksOfEpochsAreWhole) {
  Plot plot = made_plot();
  EXPECT_THAT(to_svg(plot), HasSubstr(">1.2</text>"));
  plot.whole_x = true;
  EXPECT_THAT(to_svg(plot), Not(HasSubstr(">1.2</text>")));
  EXPECT_THAT(to_svg(plot), HasSubstr(">2</text>"));
}

TEST(Plot, DrawsWhatIsEmphasisedOverTheRest) {
  Plot plot = made_plot();
  plot.series[1].connected = true;
  plot.series[0].emphasised = true;
  const std::string svg = to_svg(plot);
  EXPECT_LT(svg.find("stroke='var(--c1"), svg.find("stroke='var(--c0"));
  EXPECT_THAT(svg, HasSubstr("font-weight='bold'>a</text>"));
  EXPECT_THAT(svg, Not(HasSubstr("font-weight='bold'>b</text>")));
}

TEST(Plot, MarksALongLineHereAndThere) {
  Plot plot = made_plot();
  plot.series.pop_back();
  plot.series[0].points.clear();
  for (int i = 0; i < 1000; ++i) plot.series[0].points.push_back({i * 1.0, i * 1.0, 0, 0});
  const std::string svg = to_svg(plot);
  EXPECT_GE(count(svg, "class=mark"), 20U);
  EXPECT_LE(count(svg, "class=mark"), 24U);
  plot.series[0].connected = false;
  EXPECT_EQ(count(to_svg(plot), "class=mark"), 1000U) << "points alone are all there";
}

TEST(Plot, CutsANameThatWouldNotFit) {
  Plot plot = made_plot();
  plot.title = std::string(30, 'x') + "日本語" + std::string(100, 'y');
  plot.series[0].name = "short";
  const std::string svg = to_svg(plot);
  EXPECT_THAT(svg, HasSubstr("x日本語yy"));
  EXPECT_THAT(svg, HasSubstr("yy…</text>"));
  EXPECT_THAT(svg, HasSubstr(">short</text>"));
  for (std::size_t size = 25; size < 60; ++size) {
    plot.title = std::string(size, 'x') + "日本語日本語日本語";
    const std::string cut = to_svg(plot);
    const std::size_t begin = cut.find(">xxx") + 1;
    const std::string shown = cut.substr(begin, cut.find("</text>", begin) - begin);
    // What is left after whole characters is nothing.
    std::string rest = shown;
    for (const char* part : {"日", "本", "語", "…", "x"}) {
      for (std::size_t at = 0; (at = rest.find(part)) != std::string::npos;) {
        rest.erase(at, std::string(part).size());
      }
    }
    EXPECT_EQ(rest, "") << size;
  }
}

TEST(Plot, EscapesEveryName) {
  Plot plot = made_plot();
  plot.title = plot.x_label = plot.y_label = plot.series[0].name = "</svg><b onload='x'>\"&";
  const std::string svg = to_svg(plot);
  EXPECT_EQ(count(svg, "</svg>"), 1U);
  EXPECT_THAT(svg, Not(HasSubstr("<b onload")));
  EXPECT_EQ(escape_html("a\x01\n\x7f"), "a   ");
  EXPECT_EQ(escape_html("é"), "é");
}

IntervalPlot made_interval_plot() {
  IntervalPlot plot;
  plot.title = "nMSE";
  plot.lines = {{"ours", 0.5, 0.4, 0.6, {0.45, 0.55}, 0.8, true},
                {"theirs", 0.75, 0.7, 0.9, {0.75}, std::nullopt, false}};
  return plot;
}

TEST(IntervalPlot, DrawsEveryValueItsIntervalItsRunsAndWhatItIsComparedWith) {
  const std::string svg = to_svg(made_interval_plot());
  EXPECT_EQ(count(svg, "<circle"), 2U);
  EXPECT_EQ(count(svg, "stroke-width='2'"), 2U) << "an interval each";
  EXPECT_EQ(count(svg, "<path"), 1U) << "one figure from elsewhere";
  EXPECT_EQ(count(svg, "stroke-dasharray"), 1U) << "at the emphasised value";
  EXPECT_THAT(svg, HasSubstr("font-weight='bold'>ours</text>"));
  EXPECT_THAT(svg, HasSubstr("text-anchor='end'>theirs</text>"));
  IntervalPlot single = made_interval_plot();
  single.lines[0].single.pop_back();
  EXPECT_EQ(count(svg, "<line") - count(to_svg(single), "<line"), 2U)
      << "a single run is the mean itself";
}

TEST(IntervalPlot, PutsValuesInTheirOrder) {
  const std::string svg = to_svg(made_interval_plot());
  const std::size_t first = svg.find("cx='") + 4;
  const double ours = std::stod(svg.substr(first));
  const double theirs = std::stod(svg.substr(svg.find("cx='", first) + 4));
  EXPECT_LT(ours, theirs);
  const double compared = std::stod(svg.substr(svg.find("d='M") + 4));
  EXPECT_NEAR(compared - ours, (theirs - ours) * (0.8 - 0.5) / (0.75 - 0.5), 0.3);
}

TEST(IntervalPlot, LeavesOutWhatIsNotFinite) {
  const double nan = std::nan("");
  IntervalPlot plot = made_interval_plot();
  plot.lines.push_back({"undefined", nan, nan, nan, {nan, nan}, nan, false});
  const std::string svg = to_svg(plot);
  EXPECT_EQ(count(svg, "<circle"), 2U);
  EXPECT_THAT(svg, HasSubstr(">undefined</text>"));
  EXPECT_THAT(svg, Not(HasSubstr("nan")));
  EXPECT_THAT(svg, Not(HasSubstr("–"))) << "no coordinate is unknown";
  plot.lines = {plot.lines.back()};
  EXPECT_EQ(count(to_svg(plot), "<circle"), 0U);
  plot.lines.clear();
  EXPECT_THAT(to_svg(plot), HasSubstr("</svg>"));
}

TEST(IntervalPlot, EscapesEveryName) {
  IntervalPlot plot = made_interval_plot();
  plot.title = plot.lines[0].name = "</svg><b onload='x'>\"&";
  EXPECT_EQ(count(to_svg(plot), "</svg>"), 1U);
  EXPECT_THAT(to_svg(plot), Not(HasSubstr("<b onload")));
}

TEST(Decimals, AreNumbersOrADash) {
  EXPECT_EQ(decimals(1.23456, 2), "1.23");
  EXPECT_EQ(decimals(std::nan(""), 2), "–");
  EXPECT_EQ(decimals(-std::numeric_limits<double>::infinity(), 2), "–");
}

}  // namespace
}  // namespace mmra::evaluation
