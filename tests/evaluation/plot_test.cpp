#include "mmra/evaluation/plot.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
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
  plot.series = {{"a", {{1, 0.5, 0.4, 0.6}, {2, 0.7, 0, 0}}, true, false},
                 {"b", {{1, 0.2, 0, 0}}, false, true}};
  return plot;
}

TEST(Plot, DrawsEveryPointItsBarAndTheLines) {
  const std::string svg = to_svg(made_plot());
  EXPECT_EQ(count(svg, "<circle"), 3U);
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
  EXPECT_EQ(count(svg, "<circle"), 4U);
  EXPECT_THAT(svg, Not(HasSubstr("nan")));
  EXPECT_THAT(svg, Not(HasSubstr("inf")));
  EXPECT_THAT(svg, Not(HasSubstr("–"))) << "no coordinate is unknown";
}

TEST(Plot, OfNothingOrOnePointStands) {
  Plot plot;
  plot.title = "empty";
  EXPECT_THAT(to_svg(plot), HasSubstr("nothing to show"));
  plot.series = {{"one", {{5, 5, 0, 0}}, true, false}};
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

TEST(Plot, EscapesEveryName) {
  Plot plot = made_plot();
  plot.title = plot.x_label = plot.y_label = plot.series[0].name = "</svg><b onload='x'>\"&";
  const std::string svg = to_svg(plot);
  EXPECT_EQ(count(svg, "</svg>"), 1U);
  EXPECT_THAT(svg, Not(HasSubstr("<b onload")));
  EXPECT_EQ(escape_html("a\x01\n\x7f"), "a   ");
  EXPECT_EQ(escape_html("é"), "é");
}

TEST(Decimals, AreNumbersOrADash) {
  EXPECT_EQ(decimals(1.23456, 2), "1.23");
  EXPECT_EQ(decimals(std::nan(""), 2), "–");
  EXPECT_EQ(decimals(-std::numeric_limits<double>::infinity(), 2), "–");
}

}  // namespace
}  // namespace mmra::evaluation
