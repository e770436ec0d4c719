// The page of an experiment: tables and plots in one file.
#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <optional>
#include <string>
#include <utility>

#include "mmra/evaluation/experiment.h"
#include "mmra/evaluation/plot.h"

namespace mmra::evaluation {
namespace {

// So many points show a cloud's shape; more only make the page heavy.
constexpr std::size_t kMaxScatterPoints = 2500;
constexpr std::size_t kMaxSeries = 8;

// Nothing may be loaded and no script may run, should a name ever break out of its element.
constexpr const char* kPolicy =
    "<meta http-equiv=Content-Security-Policy content=\"default-src 'none'; style-src "
    "'unsafe-inline'\">";

constexpr const char* kStyle = R"(
:root{color-scheme:light dark;--ink:#1b1f24;--soft:#56606b;--line:#d5dbe1;--paper:#fff;--tint:#eef4fb;--link:#1f66a6;--better:#19713f;--worse:#b23a1c;--c0:#2f7fc1;--c1:#d0602b;--c2:#2b9a66;--c3:#a65bc0;--c4:#a07812;--c5:#cf4a70;--c6:#43828f;--c7:#8a775a}
@media(prefers-color-scheme:dark){:root{--ink:#e8ecf0;--soft:#a3adb8;--line:#39424c;--paper:#14181d;--tint:#1c2733;--link:#7dbcf7;--better:#5fd092;--worse:#f5936b;--c0:#62acf5;--c1:#f08a5a;--c2:#56c792;--c3:#cf95e6;--c4:#e0b64a;--c5:#f07f9f;--c6:#7fc0d0;--c7:#c0ab8a}}
*{box-sizing:border-box}body{font:16px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);margin:0}
main{max-width:79rem;margin:0 auto;padding:1.6rem 1.25rem 3rem}
h1{font-size:1.7rem;line-height:1.25;margin:0 0 .4rem}h2{font-size:1.2rem;margin:2.6rem 0 .6rem;scroll-margin-top:1rem}
p,.notes{max-width:48rem}.soft,small,caption,figcaption{color:var(--soft)}
a{color:var(--link)}:focus-visible{outline:2px solid var(--link);outline-offset:2px}
nav ul{display:flex;flex-wrap:wrap;gap:.2rem 1.2rem;list-style:none;padding:0;margin:1rem 0 0}
.facts{display:grid;grid-template-columns:max-content minmax(0,1fr);gap:.15rem 1.2rem;margin:1.2rem 0 0;font-size:.92rem;max-width:64rem}
.facts dt{color:var(--soft)}.facts dd{margin:0;overflow-wrap:anywhere}
.wide{overflow-x:auto}table{border-collapse:collapse;font-size:.92rem;border-bottom:2px solid var(--ink)}
caption{text-align:left;padding-bottom:.5rem}caption span{display:block;position:sticky;left:0;max-width:min(48rem,100vw - 2.5rem)}
thead tr:first-child{border-top:2px solid var(--ink)}thead tr:last-child{border-bottom:1px solid var(--ink)}
th,td{padding:.32rem .75rem;text-align:left;vertical-align:top}tbody tr+tr{border-top:1px solid var(--line)}
tr>:first-child:not(.n){position:sticky;left:0;background:var(--paper)}
thead th{font-weight:600;vertical-align:bottom}tbody th{font-weight:400;min-width:7rem}
.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}thead .n{white-space:normal}
th.over{text-align:center;border-bottom:1px solid var(--line)}
tr.reference>*,tr.reference>:first-child{background:var(--tint)!important}tr.reference th,.best{font-weight:700}
.better{color:var(--better);font-weight:700}.worse{color:var(--worse);font-weight:700}
.plots{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,24rem),1fr));gap:1.4rem 1.2rem;align-items:start}
figure{margin:1.4rem 0 0}figcaption{font-size:.88rem;max-width:64rem;margin-top:.5rem}svg{display:block;max-width:100%;height:auto}
.commands dt{margin-top:.6rem}.commands dd{margin:0}code{font-size:.85rem;overflow-wrap:anywhere}
@media(max-width:40rem){main{padding:1rem .9rem 2rem}.facts{grid-template-columns:minmax(0,1fr)}.facts dd{margin-bottom:.5rem}th,td{padding:.3rem .5rem}tbody th{max-width:8.5rem}}
@media print{:root{color-scheme:light;--ink:#000;--soft:#444;--line:#bbb;--paper:#fff;--tint:#f0f0f0;--better:#19713f;--worse:#b23a1c;--c0:#2f7fc1;--c1:#d0602b;--c2:#2b9a66;--c3:#a65bc0;--c4:#a07812;--c5:#cf4a70;--c6:#43828f;--c7:#8a775a}
body{font-size:10pt}main{max-width:none;padding:0}nav{display:none}.wide{overflow:visible}table,figcaption{font-size:8pt}th,td{padding:.15rem .35rem}tr>:first-child{position:static!important}svg,tr{break-inside:avoid}h2{break-after:avoid}}
)";

constexpr const char* kMetricNames[] = {"nMSE", "MAE", "SRC"};

template <typename Value>
const Value& metric(const PerMetric<Value>& values, std::size_t index) {
  return index == 0 ? values.nmse : index == 1 ? values.mae : values.src;
}

double metric_of(const Metrics& metrics, std::size_t index) {
  return index == 0 ? metrics.nmse : index == 1 ? metrics.mae : metrics.src;
}

constexpr bool kHigherIsBetter[] = {false, false, true};

std::string number_cell(const std::string& content) { return "<td class=n>" + content + "</td>"; }

std::string in_bold(const std::string& text, bool bold) {
  return bold ? "<b class=best>" + text + "</b>" : text;
}

std::string value_cell(const MeanAndDeviation& value, const Interval& interval,
                       bool is_best = false) {
  std::string text = in_bold(decimals(value.mean, 4), is_best);
  if (std::isfinite(value.deviation)) text += " ± " + decimals(value.deviation, 4);
  if (std::isfinite(interval.low)) {
    text +=
        "<br><small>" + decimals(interval.low, 4) + " … " + decimals(interval.high, 4) + "</small>";
  }
  return number_cell(text);
}

/// Marked where chance alone does not explain it.
std::string difference_text(const Difference& difference, bool higher_is_better) {
  if (!std::isfinite(difference.mean)) return "–";
  std::string text = (difference.mean > 0.0 ? "+" : "") + decimals(difference.mean, 4);
  const Interval& interval = difference.interval;
  if (interval.low > 0.0 || interval.high < 0.0) {
    const bool better = (difference.mean > 0.0) == higher_is_better;
    text = std::string(better ? "<b class=better>" : "<b class=worse>") + text +
           (better ? " better</b>" : " worse</b>");
  }
  return text + "<br><small>" + decimals(interval.low, 4) + " … " + decimals(interval.high, 4) +
         ", p = " + decimals(difference.p_value, 3) + "</small>";
}

std::string heads(std::initializer_list<const char*> names) {
  std::string html;
  for (const char* name : names) html += std::string("<th scope=col class=n>") + name + "</th>";
  return html;
}

/// A table that scrolls in a box of its own, by keyboard too. `name` and `caption` are HTML.
std::string table_of(const std::string& name, const std::string& caption, const std::string& header,
                     const std::string& rows) {
  return "<div class=wide tabindex=0 role=region aria-label='" + name + "'><table><caption><span>" +
         caption + "</span></caption><thead>" + header + "</thead><tbody>" + rows +
         "</tbody></table></div>";
}

std::string link_to(const std::string& id, const std::string& title) {
  return "<li><a href='#" + id + "'>" + title + "</a></li>";
}

std::string section_of(const std::string& id, const std::string& title,
                       const std::string& content) {
  return "<section><h2 id=" + id + ">" + title + "</h2>" + content + "</section>";
}

class Page {
 public:
  Page(const ExperimentResult& result, const std::vector<RowSummary>& summaries)
      : result_(result), summaries_(summaries) {}

  [[nodiscard]] std::string draw() const {
    const std::string reference = escape_html(result_.reference);
    const std::pair<std::string, std::string> sections[] = {
        {"Test split", test_table() + figure_of_results()},
        {"Against " + reference, difference_table()},
        {"Validation, intervals, cost", cost_table()},
        {"Errors and training", plots()},
        {"Calibration by decile of the prediction", groups()},
        {"Commands", commands()},
        {"Notes", notes()}};
    std::string links;
    std::string body;
    int number = 0;
    for (const auto& [title, content] : sections) {
      if (content.empty()) continue;
      const std::string id = "section-" + std::to_string(++number);
      links += link_to(id, title);
      body += section_of(id, title, content);
    }
    return "<!doctype html><html lang=en><head><meta charset=utf-8>" + std::string(kPolicy) +
           "<meta name=viewport content='width=device-width,initial-scale=1'><title>" +
           escape_html(result_.title) + "</title><style>" + kStyle +
           "</style></head><body><main><header><h1>" + escape_html(result_.title) + "</h1><p>" +
           escape_html(result_.what) + "</p>" + facts() + "<nav aria-label=Contents><ul>" + links +
           "</ul></nav></header>" + body + "</main></body></html>\n";
  }

 private:
  [[nodiscard]] bool is_reference(const ExperimentRow& row) const {
    return row.name == result_.reference;
  }
  [[nodiscard]] const ExperimentRun* reference_run() const {
    for (const ExperimentRow& row : result_.rows) {
      if (is_reference(row) && !row.runs.empty()) return &row.runs.front();
    }
    return nullptr;
  }
  [[nodiscard]] std::string row_start(const ExperimentRow& row) const {
    return std::string(is_reference(row) ? "<tr class=reference>" : "<tr>") + "<th scope=row>" +
           escape_html(row.name) + "</th>";
  }

  [[nodiscard]] std::string facts() const {
    if (result_.facts.empty()) return {};
    std::string html = "<dl class=facts>";
    for (const auto& [name, value] : result_.facts) {
      html += "<dt>" + escape_html(name) + "</dt><dd>" + escape_html(value) + "</dd>";
    }
    return html + "</dl>";
  }

  /// The row with the best mean of each metric; rows that are as good are best too.
  [[nodiscard]] bool is_best(std::size_t index, std::size_t m) const {
    const double mean = metric(summaries_[index].test, m).mean;
    if (!std::isfinite(mean)) return false;
    return std::none_of(summaries_.begin(), summaries_.end(), [&](const RowSummary& other) {
      const double its = metric(other.test, m).mean;
      return kHigherIsBetter[m] ? its > mean : its < mean;
    });
  }

  [[nodiscard]] std::string test_table() const {
    std::string rows;
    for (std::size_t i = 0; i < result_.rows.size(); ++i) {
      const ExperimentRow& row = result_.rows[i];
      rows += row_start(row);
      if (row.runs.empty()) {
        rows += "<td colspan=3 class=soft>" + escape_html(row.reason) + "</td>";
      } else {
        for (std::size_t m = 0; m < 3; ++m) {
          rows += value_cell(metric(summaries_[i].test, m), metric(summaries_[i].interval, m),
                             is_best(i, m));
        }
      }
      rows += number_cell(std::to_string(row.runs.size()));
      if (has_paper()) {
        rows += number_cell(row.paper ? decimals(row.paper->nmse, 4) : "–");
        rows += number_cell(row.paper ? decimals(row.paper->mae, 4) : "–");
        rows += number_cell(row.paper ? decimals(row.paper->src, 4) : "–");
      }
      rows += "</tr>";
    }
    std::string header =
        "<tr><th scope=col>model</th>" + heads({"nMSE ↓", "MAE ↓", "SRC ↑", "runs"});
    if (has_paper()) {
      header =
          "<tr><td></td><th scope=colgroup colspan=4 class=over>this bank</th><th "
          "scope=colgroup colspan=3 class=over>the paper</th></tr>" +
          header + heads({"nMSE", "MAE", "SRC"});
    }
    return table_of("Metrics of the test split",
                    std::to_string(result_.targets.size()) + " rows, " +
                        escape_html(result_.label) +
                        ": mean ± standard deviation over the runs, below it the " + confidence() +
                        " bootstrap interval; the best of each column is bold",
                    header + "</tr>", rows);
  }

  [[nodiscard]] std::string confidence() const {
    return decimals(100.0 * result_.confidence, 0) + " %";
  }
  [[nodiscard]] bool has_paper() const {
    return std::any_of(result_.rows.begin(), result_.rows.end(),
                       [](const ExperimentRow& row) { return row.paper.has_value(); });
  }

  /// The test table as a picture: over k where there is one, else row by row.
  [[nodiscard]] std::string figure_of_results() const {
    if (const std::string over_k = k_plots(); !over_k.empty()) {
      return "<figure><div class=plots>" + over_k +
             "</div><figcaption>Mean over the runs with its " + confidence() +
             " bootstrap interval.</figcaption></figure>";
    }
    std::string html;
    bool any_single = false;
    for (std::size_t m = 0; m < 3; ++m) {
      IntervalPlot plot;
      plot.title = std::string(kMetricNames[m]) + (kHigherIsBetter[m] ? " ↑" : " ↓");
      for (std::size_t i = 0; i < result_.rows.size(); ++i) {
        const ExperimentRow& row = result_.rows[i];
        if (row.runs.empty()) continue;
        const Interval& interval = metric(summaries_[i].interval, m);
        PlottedInterval line{row.name,
                             metric(summaries_[i].test, m).mean,
                             interval.low,
                             interval.high,
                             {},
                             std::nullopt,
                             is_reference(row)};
        for (const ExperimentRun& run : row.runs) {
          line.single.push_back(metric_of(measure_run(run, result_), m));
        }
        any_single = any_single || line.single.size() > 1;
        if (row.paper) {
          line.compared = m == 0 ? row.paper->nmse : m == 1 ? row.paper->mae : row.paper->src;
        }
        plot.lines.push_back(std::move(line));
      }
      if (plot.lines.empty()) return {};
      html += to_svg(plot);
    }
    return "<figure><div class=plots>" + html +
           "</div><figcaption>Dot: the mean over the runs; bar: "
           "its " +
           confidence() + " bootstrap interval" + (any_single ? "; strokes: the single runs" : "") +
           (has_paper() ? "; hollow diamond: the paper’s figure, of its own data" : "") +
           (reference_run() != nullptr ? "; dashed line: " + escape_html(result_.reference) : "") +
           ".</figcaption></figure>";
  }

  [[nodiscard]] std::string difference_table() const {
    std::string rows;
    for (std::size_t i = 0; i < result_.rows.size(); ++i) {
      if (!summaries_[i].difference) continue;
      rows += row_start(result_.rows[i]);
      for (std::size_t m = 0; m < 3; ++m) {
        const Difference& difference = metric(*summaries_[i].difference, m);
        rows += number_cell(difference_text(difference, kHigherIsBetter[m]));
      }
      rows += "</tr>";
    }
    if (rows.empty()) return {};
    return table_of(
        "Differences from " + escape_html(result_.reference),
        "The row minus " + escape_html(result_.reference) +
            " on the same test rows, paired bootstrap; “better” and “worse” where the " +
            confidence() + " interval leaves out 0",
        "<tr><th scope=col>model</th>" + heads({"nMSE ↓", "MAE ↓", "SRC ↑"}) + "</tr>", rows);
  }

  [[nodiscard]] std::string cost_table() const {
    std::string rows;
    for (std::size_t i = 0; i < result_.rows.size(); ++i) {
      const RowSummary& summary = summaries_[i];
      if (result_.rows[i].runs.empty()) continue;
      rows += row_start(result_.rows[i]);
      for (std::size_t m = 0; m < 3; ++m) {
        rows += value_cell(metric(summary.valid, m), {std::nan(""), std::nan("")});
      }
      rows += number_cell(
          std::isfinite(summary.coverage) ? decimals(100.0 * summary.coverage, 1) + " %" : "–");
      rows += number_cell(decimals(summary.mean_width, 2));
      rows += number_cell(decimals(summary.seconds, 1));
      rows += number_cell(decimals(summary.processor_seconds, 1));
      rows += number_cell(summary.peak_bytes > 0
                              ? decimals(static_cast<double>(summary.peak_bytes) / 1048576.0, 0)
                              : "–");
      rows += "</tr>";
    }
    if (rows.empty()) return {};
    return table_of("Validation, intervals and cost",
                    "Validation split; how many test rows lie in their " +
                        decimals(100.0 * result_.interval_level, 0) +
                        " % interval, and how wide it is; one training, each in a process of its "
                        "own",
                    "<tr><td></td><th scope=colgroup colspan=3 class=over>validation</th><th "
                    "scope=colgroup colspan=2 class=over>intervals</th><th scope=colgroup "
                    "colspan=3 class=over>a training</th></tr><tr><th scope=col>model</th>" +
                        heads({"nMSE ↓", "MAE ↓", "SRC ↑", "held", "width (log2)", "seconds",
                               "processor s", "peak MiB"}) +
                        "</tr>",
                    rows);
  }

  [[nodiscard]] std::string plots() const {
    const std::string drawn = scatter() + label_plot() + curves();
    if (drawn.empty()) return {};
    return "<figure><div class=plots>" + drawn +
           "</div><figcaption>Of each row’s first run. Training loss: mean squared error of the "
           "train rows; nMSE: of the validation rows that decide when to "
           "stop.</figcaption></figure>";
  }

  [[nodiscard]] std::string k_plots() const {
    std::string html;
    for (std::size_t m = 0; m < 3; ++m) {
      Plot plot;
      plot.title = std::string(kMetricNames[m]) + (kHigherIsBetter[m] ? " ↑" : " ↓") + " by k";
      plot.x_label = "k, retrieved instances";
      plot.y_label = kMetricNames[m];
      plot.series.push_back({"test", {}, true, false, false});
      for (std::size_t i = 0; i < result_.rows.size(); ++i) {
        if (!result_.rows[i].k || result_.rows[i].runs.empty()) continue;
        const Interval& interval = metric(summaries_[i].interval, m);
        plot.x_ticks.push_back(*result_.rows[i].k);
        plot.series.front().points.push_back({static_cast<double>(*result_.rows[i].k),
                                              metric(summaries_[i].test, m).mean, interval.low,
                                              interval.high});
      }
      if (plot.x_ticks.empty()) return {};
      html += to_svg(plot);
    }
    return html;
  }

  [[nodiscard]] std::string scatter() const {
    const ExperimentRun* run = reference_run();
    if (run == nullptr) return {};
    Plot plot;
    plot.title =
        "Predicted against true, " + result_.reference + ", seed " + std::to_string(run->seed);
    plot.x_label = "true " + result_.label;
    plot.y_label = "predicted";
    plot.diagonal = true;
    plot.height = plot.width;
    plot.series.push_back({"test rows", {}, false, false, false});
    const std::size_t step = 1 + (result_.targets.size() - 1) / kMaxScatterPoints;
    for (std::size_t i = 0; i < result_.targets.size(); i += step) {
      plot.series.front().points.push_back({result_.targets[i], run->predictions[i], 0, 0});
    }
    return to_svg(plot);
  }

  /// The rows that plots of all of them show: the reference, then in the table's order.
  [[nodiscard]] std::vector<const ExperimentRow*> shown_rows(bool with_curve) const {
    std::vector<const ExperimentRow*> rows;
    for (const ExperimentRow& row : result_.rows) {
      if (row.runs.empty()) continue;
      if (with_curve && row.runs.front().curve.stop_nmse.empty()) continue;
      rows.push_back(&row);
    }
    std::stable_partition(rows.begin(), rows.end(),
                          [&](const ExperimentRow* row) { return is_reference(*row); });
    return rows;
  }

  /// As many plots as it takes for a line to keep its colour; the reference is in each.
  template <typename Draw>
  [[nodiscard]] std::string in_plots(const std::vector<const ExperimentRow*>& rows,
                                     const Draw& draw) const {
    const std::size_t num_shared = !rows.empty() && is_reference(*rows.front()) ? 1 : 0;
    const std::size_t num_own = kMaxSeries - num_shared;
    std::string html;
    for (std::size_t begin = num_shared; begin < std::max(rows.size(), 2 * num_shared);
         begin += num_own) {
      Plot plot = draw(nullptr, Plot{});
      if (num_shared > 0) plot = draw(rows.front(), std::move(plot));
      for (std::size_t i = begin; i < std::min(rows.size(), begin + num_own); ++i) {
        plot = draw(rows[i], std::move(plot));
      }
      html += to_svg(plot);
    }
    return html;
  }

  [[nodiscard]] std::string label_plot() const {
    return in_plots(shown_rows(false), [&](const ExperimentRow* row, Plot plot) {
      if (row == nullptr) {
        plot.title = "Error by decile of the label";
        plot.x_label = "mean true " + result_.label;
        plot.y_label = "MAE";
        return plot;
      }
      plot.series.push_back({row->name, {}, true, false, is_reference(*row)});
      for (const Group& group : by_target_decile(row->runs.front().predictions, result_.targets)) {
        plot.series.back().points.push_back({group.mean_target, group.mae, 0, 0});
      }
      return plot;
    });
  }

  [[nodiscard]] std::string curves() const {
    const auto draw = [&](const char* title, const char* label,
                          std::vector<double> Curve::*values) {
      return in_plots(shown_rows(true), [&](const ExperimentRow* row, Plot plot) {
        if (row == nullptr) {
          plot.title = title;
          plot.x_label = "epoch";
          plot.whole_x = true;
          plot.y_label = label;
          return plot;
        }
        plot.series.push_back({row->name, {}, true, false, is_reference(*row)});
        const std::vector<double>& curve = row->runs.front().curve.*values;
        for (std::size_t epoch = 0; epoch < curve.size(); ++epoch) {
          plot.series.back().points.push_back({static_cast<double>(epoch + 1), curve[epoch], 0, 0});
        }
        return plot;
      });
    };
    return draw("Training loss", "mean squared error", &Curve::train_loss) +
           draw("nMSE of the stopping rows", "nMSE", &Curve::stop_nmse);
  }

  [[nodiscard]] std::string groups() const {
    const ExperimentRun* run = reference_run();
    if (run == nullptr) return {};
    std::string rows;
    for (const Group& group :
         by_prediction_decile(run->predictions, result_.targets, run->half_widths)) {
      rows +=
          "<tr>" + number_cell(std::to_string(group.n)) +
          number_cell(decimals(group.low, 2) + " … " + decimals(group.high, 2)) +
          number_cell(decimals(group.mean_prediction, 2)) +
          number_cell(decimals(group.mean_target, 2)) + number_cell(decimals(group.mae, 2)) +
          number_cell(run->half_widths.empty() ? "–" : decimals(100.0 * group.coverage, 1) + " %") +
          number_cell(run->half_widths.empty() ? "–" : decimals(group.mean_width, 2)) + "</tr>";
    }
    return table_of("Deciles of the prediction",
                    escape_html(result_.reference) + ", seed " + std::to_string(run->seed) +
                        ", test rows: intervals of " + decimals(100.0 * result_.interval_level, 0) +
                        " %",
                    "<tr>" +
                        heads({"rows", "predicted (log2)", "mean prediction", "mean truth", "MAE",
                               "held", "width (log2)"}) +
                        "</tr>",
                    rows);
  }

  [[nodiscard]] std::string commands() const {
    std::string html;
    for (const ExperimentRow& row : result_.rows) {
      html += "<dt>" + escape_html(row.name) + "</dt>";
      if (!row.command.empty()) html += "<dd><code>" + escape_html(row.command) + "</code></dd>";
      if (!row.reason.empty()) html += "<dd class=soft>" + escape_html(row.reason) + "</dd>";
    }
    return html.empty() ? html : "<dl class=commands>" + html + "</dl>";
  }

  [[nodiscard]] std::string notes() const {
    if (result_.notes.empty()) return {};
    std::string html = "<ul class=notes>";
    for (const std::string& note : result_.notes) html += "<li>" + escape_html(note) + "</li>";
    return html + "</ul>";
  }

  const ExperimentResult& result_;
  const std::vector<RowSummary>& summaries_;
};

}  // namespace

std::string to_html(const ExperimentResult& result, const std::vector<RowSummary>& summaries) {
  return Page(result, summaries).draw();
}

}  // namespace mmra::evaluation
