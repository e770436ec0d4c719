// The page of an experiment: tables and plots in one file.
#include <algorithm>
#include <cmath>
#include <string>

#include "mmra/evaluation/experiment.h"
#include "mmra/evaluation/plot.h"

namespace mmra::evaluation {
namespace {

// So many points show a cloud's shape; more only make the page heavy.
constexpr std::size_t kMaxScatterPoints = 2500;
constexpr std::size_t kMaxSeries = 8;

constexpr const char* kStyle = R"(
:root{color-scheme:light dark;--ink:#1b1f24;--soft:#5b6570;--line:#d5dbe1;--paper:#fff;--c0:#2f7fc1;--c1:#d0602b;--c2:#2b9a66;--c3:#a65bc0;--c4:#b5891a;--c5:#cf4a70;--c6:#4b8c9c;--c7:#8a775a}
@media(prefers-color-scheme:dark){:root{--ink:#e8ecf0;--soft:#9aa5b1;--line:#39424c;--paper:#14181d;--c0:#62acf5;--c1:#f08a5a;--c2:#56c792;--c3:#cf95e6;--c4:#e0b64a;--c5:#f07f9f;--c6:#7fc0d0;--c7:#c0ab8a}}
body{font:16px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);margin:2rem auto;max-width:72rem;padding:0 1rem}
h1{font-size:1.6rem}h2{font-size:1.2rem;margin-top:2.2rem}.wide{overflow-x:auto}
table{border-collapse:collapse;font-size:.92rem}th,td{padding:.3rem .7rem;border-bottom:1px solid var(--line);text-align:left;vertical-align:top}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}tr.reference td{font-weight:600}
caption{text-align:left;color:var(--soft);padding-bottom:.4rem}.soft,small{color:var(--soft)}
.plots{display:flex;flex-wrap:wrap;gap:1rem}svg{max-width:100%;height:auto}code{font-size:.85rem;overflow-wrap:anywhere}
)";

constexpr const char* kMetricNames[] = {"nMSE", "MAE", "SRC"};

template <typename Value>
const Value& metric(const PerMetric<Value>& values, std::size_t index) {
  return index == 0 ? values.nmse : index == 1 ? values.mae : values.src;
}

std::string number_cell(const std::string& content) { return "<td class=n>" + content + "</td>"; }

std::string value_cell(const MeanAndDeviation& value, const Interval& interval) {
  std::string text = decimals(value.mean, 4);
  if (std::isfinite(value.deviation)) text += " ± " + decimals(value.deviation, 4);
  if (std::isfinite(interval.low)) {
    text +=
        "<br><small>" + decimals(interval.low, 4) + " … " + decimals(interval.high, 4) + "</small>";
  }
  return number_cell(text);
}

std::string difference_text(const Difference& difference) {
  if (!std::isfinite(difference.mean)) return "–";
  return (difference.mean > 0.0 ? "+" : "") + decimals(difference.mean, 4) + "<br><small>" +
         decimals(difference.interval.low, 4) + " … " + decimals(difference.interval.high, 4) +
         ", p = " + decimals(difference.p_value, 3) + "</small>";
}

std::string table_of(const std::string& caption, const std::string& header,
                     const std::string& rows) {
  return "<div class=wide><table><caption>" + caption + "</caption><thead><tr>" + header +
         "</tr></thead><tbody>" + rows + "</tbody></table></div>";
}

class Page {
 public:
  Page(const ExperimentResult& result, const std::vector<RowSummary>& summaries)
      : result_(result), summaries_(summaries) {}

  [[nodiscard]] std::string draw() const {
    std::string html =
        "<!doctype html><html lang=en><head><meta charset=utf-8><meta name=viewport "
        "content='width=device-width'><title>" +
        escape_html(result_.title) + "</title><style>" + kStyle + "</style></head><body><h1>" +
        escape_html(result_.title) + "</h1><p>" + escape_html(result_.what) + "</p>" + facts();
    html += "<h2>Test split</h2>" + test_table() + "<h2>Against " + escape_html(result_.reference) +
            "</h2>" + difference_table() + "<h2>Validation, intervals, cost</h2>" + cost_table() +
            plots() + groups() + "<h2>Commands</h2>" + commands() + notes();
    return html + "</body></html>\n";
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
    return std::string(is_reference(row) ? "<tr class=reference>" : "<tr>") + "<td>" +
           escape_html(row.name) + "</td>";
  }

  [[nodiscard]] std::string facts() const {
    std::string html = "<ul class=soft>";
    for (const auto& [name, value] : result_.facts) {
      html += "<li>" + escape_html(name) + ": " + escape_html(value) + "</li>";
    }
    return html + "</ul>";
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
          rows += value_cell(metric(summaries_[i].test, m), metric(summaries_[i].interval, m));
        }
      }
      rows += number_cell(row.paper ? decimals(row.paper->nmse, 4) : "–");
      rows += number_cell(row.paper ? decimals(row.paper->mae, 4) : "–");
      rows += number_cell(row.paper ? decimals(row.paper->src, 4) : "–");
      rows += number_cell(std::to_string(row.runs.size())) + "</tr>";
    }
    return table_of(std::to_string(result_.targets.size()) + " rows, " +
                        escape_html(result_.label) +
                        ": mean ± standard deviation over the runs, below it the " +
                        decimals(100.0 * result_.confidence, 0) + " % bootstrap interval",
                    "<th></th><th class=n>nMSE ↓</th><th class=n>MAE ↓</th><th class=n>SRC ↑</th>"
                    "<th class=n>paper nMSE</th><th class=n>paper MAE</th><th class=n>paper SRC"
                    "</th><th class=n>runs</th>",
                    rows);
  }

  [[nodiscard]] std::string difference_table() const {
    std::string rows;
    for (std::size_t i = 0; i < result_.rows.size(); ++i) {
      if (!summaries_[i].difference) continue;
      rows += row_start(result_.rows[i]);
      for (std::size_t m = 0; m < 3; ++m) {
        const Difference& difference = metric(*summaries_[i].difference, m);
        rows += number_cell(difference_text(difference));
      }
      rows += "</tr>";
    }
    return table_of("the row minus " + escape_html(result_.reference) +
                        " on the same test rows, paired bootstrap: above nought is worse in nMSE "
                        "and MAE, better in SRC",
                    "<th></th><th class=n>nMSE</th><th class=n>MAE</th><th class=n>SRC</th>", rows);
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
    return table_of("validation split; how many test rows lie in their " +
                        decimals(100.0 * result_.interval_level, 0) +
                        " % interval; one training, each in a process of its own",
                    "<th></th><th class=n>nMSE ↓</th><th class=n>MAE ↓</th><th class=n>SRC ↑</th>"
                    "<th class=n>held</th><th class=n>width (log2)</th><th class=n>seconds</th>"
                    "<th class=n>processor s</th><th class=n>peak MiB</th>",
                    rows);
  }

  [[nodiscard]] std::string plots() const {
    std::string html = "<h2>Plots</h2><div class=plots>";
    html += k_plots();
    html += scatter();
    html += label_plot();
    html += curves();
    return html + "</div>";
  }

  [[nodiscard]] std::string k_plots() const {
    std::string html;
    for (std::size_t m = 0; m < 3; ++m) {
      Plot plot;
      plot.title = std::string(kMetricNames[m]) + (m == 2 ? " ↑" : " ↓") + " by k";
      plot.x_label = "k, retrieved instances";
      plot.y_label = kMetricNames[m];
      plot.series.push_back({"test", {}, true, false});
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
    plot.series.push_back({"test rows", {}, false, false});
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

  /// As many plots as it takes for a line to keep its colour.
  template <typename Draw>
  [[nodiscard]] static std::string in_plots(const std::vector<const ExperimentRow*>& rows,
                                            const Draw& draw) {
    std::string html;
    for (std::size_t begin = 0; begin < rows.size(); begin += kMaxSeries) {
      Plot plot = draw(nullptr, Plot{});
      for (std::size_t i = begin; i < std::min(rows.size(), begin + kMaxSeries); ++i) {
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
      plot.series.push_back({row->name, {}, true, false});
      for (const Group& group : by_target_decile(row->runs.front().predictions, result_.targets)) {
        plot.series.back().points.push_back({group.mean_target, group.mae, 0, 0});
      }
      return plot;
    });
  }

  [[nodiscard]] std::string curves() const {
    const auto draw = [&](const char* title, std::vector<double> Curve::*values) {
      return in_plots(shown_rows(true), [&](const ExperimentRow* row, Plot plot) {
        if (row == nullptr) {
          plot.title = title;
          plot.x_label = "epoch";
          plot.whole_x = true;
          plot.y_label = title;
          return plot;
        }
        plot.series.push_back({row->name, {}, true, false});
        const std::vector<double>& curve = row->runs.front().curve.*values;
        for (std::size_t epoch = 0; epoch < curve.size(); ++epoch) {
          plot.series.back().points.push_back({static_cast<double>(epoch + 1), curve[epoch], 0, 0});
        }
        return plot;
      });
    };
    return draw("training loss", &Curve::train_loss) +
           draw("nMSE of the stopping rows", &Curve::stop_nmse);
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
    return "<h2>Calibration by decile of the prediction</h2>" +
           table_of(escape_html(result_.reference) + ", seed " + std::to_string(run->seed) +
                        ", test rows: intervals of " + decimals(100.0 * result_.interval_level, 0) +
                        " %",
                    "<th class=n>rows</th><th class=n>predicted (log2)</th><th class=n>mean "
                    "prediction</th><th class=n>mean truth</th><th class=n>MAE</th><th class=n>"
                    "held</th><th class=n>width (log2)</th>",
                    rows);
  }

  [[nodiscard]] std::string commands() const {
    std::string html = "<ul>";
    for (const ExperimentRow& row : result_.rows) {
      html += "<li>" + escape_html(row.name) + ": ";
      if (!row.command.empty()) html += "<code>" + escape_html(row.command) + "</code>";
      if (!row.reason.empty()) html += " <span class=soft>" + escape_html(row.reason) + "</span>";
      html += "</li>";
    }
    return html + "</ul>";
  }

  [[nodiscard]] std::string notes() const {
    if (result_.notes.empty()) return {};
    std::string html = "<h2>Notes</h2><ul>";
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
