#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>

#include "mmra/core/binary_text.h"
#include "mmra/core/files.h"
#include "mmra/evaluation/plot.h"
#include "mmra/pipeline/demo/demo.h"

namespace mmra::pipeline::demo {
namespace {

using evaluation::decimals;
using evaluation::escape_html;

constexpr const char* kStyle = R"(
:root{color-scheme:light dark;--ink:#1b1f24;--soft:#5b6570;--line:#d5dbe1;--paper:#fff;--accent:#0b66c3}
@media(prefers-color-scheme:dark){:root{--ink:#e8ecf0;--soft:#9aa5b1;--line:#39424c;--paper:#14181d;--accent:#62acf5}}
body{font:16px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);margin:2rem auto;max-width:60rem;padding:0 1rem}
h1{font-size:1.6rem}h2{font-size:1.2rem;margin-top:2.2rem}table{border-collapse:collapse}
th,td{padding:.3rem .8rem;border-bottom:1px solid var(--line);text-align:left}td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}
.number{font-size:2.4rem;font-weight:700;color:var(--accent)}.soft{color:var(--soft)}
.frames img{height:4.5rem;margin:.15rem;border-radius:3px}.wide{overflow-x:auto}svg{max-width:100%;height:auto}
)";

std::string score_table(const DemoResult& result) {
  std::string html =
      "<table><tr><th>network</th><th class=n>nMSE ↓</th><th class=n>MAE ↓</th>"
      "<th class=n>SRC ↑</th></tr>";
  for (const DemoScore& score : result.scores) {
    html += "<tr><td>" + escape_html(score.name) + "</td><td class=n>" + decimals(score.nmse, 3) +
            "</td><td class=n>" + decimals(score.mae, 3) + "</td><td class=n>" +
            decimals(score.src, 3) + "</td></tr>";
  }
  return html + "</table>";
}

/// Predicted against true log2 popularity of the test rows, with the diagonal.
std::string scatter_plot(const EvaluationReport& report) {
  if (report.targets.empty()) return {};
  const auto [low_target, high_target] =
      std::minmax_element(report.targets.begin(), report.targets.end());
  const double low = std::floor(*low_target);
  const double high = std::max(low + 1.0, std::ceil(static_cast<double>(*high_target)));
  const auto place = [&](double value) {
    return 40.0 + 320.0 * std::clamp((value - low) / (high - low), 0.0, 1.0);
  };
  std::string svg =
      "<svg viewBox='0 0 400 400' width='400' role='img' aria-label='predicted against true'>"
      "<rect x='40' y='40' width='320' height='320' fill='none' stroke='currentColor' "
      "stroke-opacity='.4'/><line x1='40' y1='360' x2='360' y2='40' stroke='currentColor' "
      "stroke-opacity='.4' stroke-dasharray='4'/>";
  for (std::size_t i = 0; i < report.targets.size(); ++i) {
    svg += "<circle cx='" + decimals(place(report.targets[i]), 1) + "' cy='" +
           decimals(400.0 - place(report.predictions[i]), 1) +
           "' r='3' fill='#0b66c3' fill-opacity='.55'/>";
  }
  const std::string text = "<text font-size='12' fill='currentColor' ";
  svg += text + "x='200' y='392' text-anchor='middle'>true log2 of likes</text>";
  svg +=
      text + "x='16' y='200' text-anchor='middle' transform='rotate(-90 16 200)'>predicted</text>";
  svg += text + "x='40' y='376' text-anchor='middle'>" + decimals(low, 0) + "</text>";
  svg += text + "x='360' y='376' text-anchor='middle'>" + decimals(high, 0) + "</text>";
  return svg + "</svg>";
}

std::string frames_of(const Prediction& prediction) {
  std::string html = "<div class=frames>";
  for (std::size_t i = 0; i < prediction.thumbnails.size(); ++i) {
    const std::string caption = i < prediction.captions.size() ? prediction.captions[i] : "";
    html += "<img alt='" + escape_html(caption) + "' title='" + escape_html(caption) +
            "' src='data:image/jpeg;base64," + to_base64(prediction.thumbnails[i]) + "'>";
  }
  return html + "</div>";
}

std::string instance_table(const Prediction& prediction) {
  std::string html =
      "<div class=wide><table><tr><th class=n>weight</th><th class=n>similarity</th><th class=n>" +
      escape_html(prediction.unit) + "</th><th>title</th></tr>";
  for (const Instance& instance : prediction.instances) {
    html += "<tr><td class=n>" + decimals(instance.weight, 3) + "</td><td class=n>" +
            decimals(instance.similarity, 3) + "</td><td class=n>" +
            decimals(instance.popularity, 0) + "</td><td>" + escape_html(instance.title) +
            "</td></tr>";
  }
  return html + "</table></div>";
}

std::string prediction_section(const DemoResult& result) {
  const Prediction& prediction = result.prediction;
  std::string html = "<h2>A clip that neither bank nor model has seen</h2><p>“" +
                     escape_html(result.held_out.title) + "”</p>" + frames_of(prediction);
  if (!prediction.captions.empty()) {
    html += "<p class=soft>First frame: " + escape_html(prediction.captions.front()) + "</p>";
  }
  html += "<p><span class=number>" + decimals(prediction.popularity, 0) + "</span> " +
          escape_html(prediction.unit) + " predicted; with " +
          decimals(100.0 * prediction.interval_level, 0) + " % confidence between " +
          decimals(prediction.interval_low, 0) + " and " + decimals(prediction.interval_high, 0) +
          ". It got <b>" + std::to_string(result.held_out.popularity) + "</b>.</p>" +
          "<p>The most similar past clips, and how much each counted:</p>" +
          instance_table(prediction);
  return html;
}

}  // namespace

std::string render_report(const DemoResult& result) {
  const EvaluationReport& evaluation = result.evaluation;
  std::string html =
      "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport "
      "content='width=device-width'><title>mmra demo</title><style>" +
      std::string(kStyle) + "</style><h1>mmra: the demonstration</h1>";
  html +=
      "<p>The clips, their titles and their likes are <b>made by the program, not real</b>: " +
      std::to_string(result.ingest.num_rows) +
      " micro-videos of six scenes. A clip's popularity depends on what it shows (scene, speed, "
      "brightness), on what its title says, on whether the two contradict each other, on the "
      "series, whose following only likeness to earlier clips gives away, and on chance.</p>";
  html += prediction_section(result);
  html += "<h2>What each part is worth (test split, " + std::to_string(evaluation.metrics.n) +
          " clips, means over seeds)</h2>" + score_table(result);
  html +=
      "<p class=soft>Each row is a network trained without that part. nMSE: mean squared error / "
      "variance; SRC: Spearman's rank correlation; on log2 of the likes.</p>";
  html += "<h2>Predicted against true</h2>" + scatter_plot(evaluation);
  html += "<p class=soft>Intervals of " + decimals(100.0 * evaluation.interval_level, 0) +
          " % held " + decimals(100.0 * evaluation.interval_coverage, 1) +
          " % of the test clips.</p><h2>Training</h2>" +
          read_file(result.model_directory / "history.svg");
  return html + "</html>\n";
}

}  // namespace mmra::pipeline::demo
