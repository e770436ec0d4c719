// Markdown, CSV and JSON of an experiment. The page is in experiment_page.cpp.
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>
#include <string>

#include "mmra/evaluation/experiment.h"
#include "mmra/evaluation/plot.h"

namespace mmra::evaluation {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kMarkdownDecimals = 4;
constexpr int kCsvDecimals = 6;
constexpr double kBytesPerMib = 1024.0 * 1024.0;

/// In a cell of a Markdown table: neither its borders nor markup.
std::string cell(std::string_view text) {
  std::string safe;
  for (const char c : text) {
    if (c == '\n' || c == '\r') {
      safe += ' ';
      continue;
    }
    if (c == '|' || c == '\\' || c == '`' || c == '*' || c == '_' || c == '<' || c == '[') {
      safe += '\\';
    }
    safe += c;
  }
  return safe;
}

/// A code span, whatever the text holds.
std::string code(const std::string& text) {
  std::string fence = "`";
  while (text.find(fence) != std::string::npos) fence += '`';
  return fence.size() == 1 ? fence + text + fence : fence + " " + text + " " + fence;
}

std::string with_deviation(const MeanAndDeviation& value) {
  std::string text = decimals(value.mean, kMarkdownDecimals);
  if (std::isfinite(value.deviation)) {
    text += " ± " + decimals(value.deviation, kMarkdownDecimals);
  }
  return text;
}

std::string with_interval(const MeanAndDeviation& value, const Interval& interval) {
  std::string text = with_deviation(value);
  if (!std::isfinite(interval.low)) return text;
  return text + " [" + decimals(interval.low, kMarkdownDecimals) + ", " +
         decimals(interval.high, kMarkdownDecimals) + "]";
}

std::string line_of(const std::vector<std::string>& cells) {
  std::string line = "|";
  for (const std::string& text : cells) line += " " + text + " |";
  return line + "\n";
}

std::vector<std::string> paper_cells(const ExperimentRow& row) {
  if (!row.paper) return {"–", "–", "–"};
  return {decimals(row.paper->nmse, 4), decimals(row.paper->mae, 4), decimals(row.paper->src, 4)};
}

std::string difference_cell(const Difference& difference) {
  if (!std::isfinite(difference.mean)) return "–";
  return (difference.mean > 0.0 ? "+" : "") + decimals(difference.mean, kMarkdownDecimals) + " [" +
         decimals(difference.interval.low, kMarkdownDecimals) + ", " +
         decimals(difference.interval.high, kMarkdownDecimals) +
         "], p = " + decimals(difference.p_value, 3);
}

std::string test_table(const ExperimentResult& result, const std::vector<RowSummary>& summaries) {
  std::string text =
      "| | nMSE ↓ | MAE ↓ | SRC ↑ | paper nMSE | paper MAE | paper SRC | runs |\n"
      "| --- | --- | --- | --- | --- | --- | --- | --- |\n";
  for (std::size_t i = 0; i < result.rows.size(); ++i) {
    const ExperimentRow& row = result.rows[i];
    const RowSummary& summary = summaries[i];
    std::vector<std::string> cells{cell(row.name)};
    if (row.runs.empty()) {
      cells.insert(cells.end(), {"– (" + cell(row.reason) + ")", "–", "–"});
    } else {
      cells.push_back(with_interval(summary.test.nmse, summary.interval.nmse));
      cells.push_back(with_interval(summary.test.mae, summary.interval.mae));
      cells.push_back(with_interval(summary.test.src, summary.interval.src));
    }
    for (std::string& paper : paper_cells(row)) cells.push_back(std::move(paper));
    cells.push_back(std::to_string(summary.num_runs));
    text += line_of(cells);
  }
  return text;
}

std::string difference_table(const ExperimentResult& result,
                             const std::vector<RowSummary>& summaries) {
  std::string text = "| | nMSE | MAE | SRC |\n| --- | --- | --- | --- |\n";
  for (std::size_t i = 0; i < result.rows.size(); ++i) {
    if (!summaries[i].difference) continue;
    const PerMetric<Difference>& difference = *summaries[i].difference;
    text += line_of({cell(result.rows[i].name), difference_cell(difference.nmse),
                     difference_cell(difference.mae), difference_cell(difference.src)});
  }
  return text;
}

std::string cost_table(const ExperimentResult& result, const std::vector<RowSummary>& summaries) {
  std::string text =
      "| | nMSE (validation) | MAE | SRC | intervals held | mean width (log2) | seconds | "
      "processor seconds | peak memory (MiB) |\n"
      "| --- | --- | --- | --- | --- | --- | --- | --- | --- |\n";
  for (std::size_t i = 0; i < result.rows.size(); ++i) {
    const RowSummary& summary = summaries[i];
    if (result.rows[i].runs.empty()) continue;
    const std::string held =
        std::isfinite(summary.coverage) ? decimals(100.0 * summary.coverage, 1) + " %" : "–";
    const std::string peak =
        summary.peak_bytes > 0 ? decimals(static_cast<double>(summary.peak_bytes) / kBytesPerMib, 0)
                               : "–";
    text += line_of({cell(result.rows[i].name), with_deviation(summary.valid.nmse),
                     with_deviation(summary.valid.mae), with_deviation(summary.valid.src), held,
                     decimals(summary.mean_width, 2), decimals(summary.seconds, 1),
                     decimals(summary.processor_seconds, 1), peak});
  }
  return text;
}

Json number(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }

Json to_json(const Interval& interval) {
  return Json::array({number(interval.low), number(interval.high)});
}

Json to_json(const Metrics& metrics) {
  return {
      {"nmse", number(metrics.nmse)}, {"mae", number(metrics.mae)}, {"src", number(metrics.src)}};
}

Json to_json(const MeanAndDeviation& value) {
  return {{"mean", number(value.mean)}, {"std", number(value.deviation)}};
}

Json to_json(const Difference& difference) {
  return {{"mean", number(difference.mean)},
          {"interval", to_json(difference.interval)},
          {"p", number(difference.p_value)}};
}

Json to_json(const Group& group) {
  return {{"n", group.n},
          {"low", number(group.low)},
          {"high", number(group.high)},
          {"mean_prediction", number(group.mean_prediction)},
          {"mean_target", number(group.mean_target)},
          {"mae", number(group.mae)},
          {"mse", number(group.mse)}};
}

template <typename Value>
Json per_metric(const PerMetric<Value>& values) {
  return {
      {"nmse", to_json(values.nmse)}, {"mae", to_json(values.mae)}, {"src", to_json(values.src)}};
}

Json run_json(const ExperimentResult& result, const ExperimentRun& run) {
  const Metrics test = measure_run(run, result);
  Json json = {{"seed", run.seed}, {"test", to_json(test)}, {"valid", to_json(run.valid)}};
  if (run.cost) {
    json["seconds"] = number(run.cost->seconds);
    json["processor_seconds"] = number(run.cost->processor_seconds);
    json["peak_bytes"] = run.cost->peak_bytes;
    json["resumed"] = run.cost->resumed;
  }
  if (!run.curve.train_loss.empty()) json["epochs"] = run.curve.train_loss.size();
  json["by_prediction"] = Json::array();
  for (const Group& group :
       by_prediction_decile(run.predictions, result.targets, run.half_widths)) {
    json["by_prediction"].push_back(to_json(group));
    if (run.half_widths.empty()) continue;
    json["by_prediction"].back()["coverage"] = number(group.coverage);
    json["by_prediction"].back()["mean_width"] = number(group.mean_width);
  }
  json["by_label"] = Json::array();
  for (const Group& group : by_target_decile(run.predictions, result.targets)) {
    json["by_label"].push_back(to_json(group));
  }
  return json;
}

Json row_json(const ExperimentResult& result, const ExperimentRow& row, const RowSummary& summary) {
  Json json = {{"name", row.name}, {"command", row.command}};
  if (row.k) json["k"] = *row.k;
  if (!row.reason.empty()) json["reason"] = row.reason;
  if (row.paper) {
    json["paper"] = {{"nmse", row.paper->nmse}, {"mae", row.paper->mae}, {"src", row.paper->src}};
  }
  if (!row.runs.empty()) {
    json["test"] = per_metric(summary.test);
    json["valid"] = per_metric(summary.valid);
    json["interval"] = per_metric(summary.interval);
    if (summary.difference) json["minus_reference"] = per_metric(*summary.difference);
    json["coverage"] = number(summary.coverage);
    json["mean_width"] = number(summary.mean_width);
    json["seconds"] = number(summary.seconds);
    json["processor_seconds"] = number(summary.processor_seconds);
    json["peak_bytes"] = summary.peak_bytes > 0 ? Json(summary.peak_bytes) : Json(nullptr);
  }
  json["runs"] = Json::array();
  for (const ExperimentRun& run : row.runs) json["runs"].push_back(run_json(result, run));
  return json;
}

std::string csv_field(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"') quoted += '"';
    quoted += c;
  }
  return quoted + "\"";
}

/// Empty where there is nothing: what tables and data frames read as missing.
std::string csv_number(double value, int count = kCsvDecimals) {
  return std::isfinite(value) ? decimals(value, count) : "";
}

void append(std::string& line, const std::string& field) { line += "," + csv_field(field); }

void append_metric(std::string& line, const MeanAndDeviation& value, const Interval& interval,
                   const std::optional<Difference>& difference) {
  constexpr double kNothing = std::numeric_limits<double>::quiet_NaN();
  for (const double number :
       {value.mean, value.deviation, interval.low, interval.high,
        difference ? difference->mean : kNothing, difference ? difference->interval.low : kNothing,
        difference ? difference->interval.high : kNothing,
        difference ? difference->p_value : kNothing}) {
    append(line, csv_number(number));
  }
}

template <typename Member>
std::optional<Difference> part(const RowSummary& summary, Member member) {
  if (!summary.difference) return std::nullopt;
  return (*summary.difference).*member;
}

std::string csv_line(const ExperimentRow& row, const RowSummary& summary) {
  std::string line = csv_field(row.name);
  append(line, row.k ? std::to_string(*row.k) : "");
  append(line, std::to_string(summary.num_runs));
  append_metric(line, summary.test.nmse, summary.interval.nmse,
                part(summary, &PerMetric<Difference>::nmse));
  append_metric(line, summary.test.mae, summary.interval.mae,
                part(summary, &PerMetric<Difference>::mae));
  append_metric(line, summary.test.src, summary.interval.src,
                part(summary, &PerMetric<Difference>::src));
  for (const MeanAndDeviation& value : {summary.valid.nmse, summary.valid.mae, summary.valid.src}) {
    append(line, csv_number(value.mean));
    append(line, csv_number(value.deviation));
  }
  append(line, csv_number(summary.coverage));
  append(line, csv_number(summary.mean_width));
  append(line, row.paper ? csv_number(row.paper->nmse, 4) : "");
  append(line, row.paper ? csv_number(row.paper->mae, 4) : "");
  append(line, row.paper ? csv_number(row.paper->src, 4) : "");
  append(line, csv_number(summary.seconds, 3));
  append(line, csv_number(summary.processor_seconds, 3));
  append(line, summary.peak_bytes > 0 ? std::to_string(summary.peak_bytes) : "");
  append(line, row.reason);
  append(line, row.command);
  return line + "\n";
}

}  // namespace

std::string to_markdown(const ExperimentResult& result, const std::vector<RowSummary>& summaries) {
  std::string text = "# " + cell(result.title) + "\n\n" + cell(result.what) + "\n\n";
  for (const auto& [name, value] : result.facts)
    text += "* " + cell(name) + ": " + cell(value) + "\n";
  text += "\n## Test split (" + std::to_string(result.targets.size()) + " rows, " +
          cell(result.label) + ")\n\nMean ± standard deviation over the runs, [" +
          decimals(100.0 * result.confidence, 0) + " % bootstrap interval].\n\n" +
          test_table(result, summaries);
  if (!result.reference.empty()) {
    text += "\n## Each row minus " + cell(result.reference) +
            ", on the same test rows (paired bootstrap)\n\n" + difference_table(result, summaries);
  }
  text +=
      "\n## Validation split, intervals, cost of a training\n\n" + cost_table(result, summaries);
  text += "\n## Commands\n\n";
  for (const ExperimentRow& row : result.rows) {
    if (!row.command.empty()) text += "* " + cell(row.name) + ": " + code(row.command) + "\n";
    if (!row.reason.empty()) text += "* " + cell(row.name) + ": " + cell(row.reason) + "\n";
  }
  if (!result.notes.empty()) text += "\n## Notes\n\n";
  for (const std::string& note : result.notes) text += "* " + cell(note) + "\n";
  return text;
}

std::string to_csv(const ExperimentResult& result, const std::vector<RowSummary>& summaries) {
  std::string text = "name,k,runs";
  for (const char* metric : {"nmse", "mae", "src"}) {
    for (const char* part : {"", "_std", "_low", "_high", "_minus_reference",
                             "_minus_reference_low", "_minus_reference_high", "_p"}) {
      text += std::string(",") + metric + part;
    }
  }
  text +=
      ",valid_nmse,valid_nmse_std,valid_mae,valid_mae_std,valid_src,valid_src_std,coverage,"
      "mean_width,paper_nmse,paper_mae,paper_src,seconds,processor_seconds,peak_bytes,reason,"
      "command\n";
  for (std::size_t i = 0; i < result.rows.size(); ++i) {
    text += csv_line(result.rows[i], summaries[i]);
  }
  return text;
}

std::string to_json(const ExperimentResult& result, const std::vector<RowSummary>& summaries) {
  Json facts = Json::object();
  for (const auto& [name, value] : result.facts) facts[name] = value;
  Json json = {{"format_version", 1},
               {"title", result.title},
               {"label", result.label},
               {"facts", facts},
               {"notes", result.notes},
               {"reference", result.reference},
               {"n", result.targets.size()},
               {"metrics_over", result.batch_size > 0 ? Json(result.batch_size) : Json("split")},
               {"confidence", result.confidence},
               {"resamples", result.num_resamples},
               {"interval_level", result.interval_level},
               {"rows", Json::array()}};
  for (std::size_t i = 0; i < result.rows.size(); ++i) {
    json["rows"].push_back(row_json(result, result.rows[i], summaries[i]));
  }
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace mmra::evaluation
