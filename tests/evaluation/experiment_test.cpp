#include "mmra/evaluation/experiment.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "expect_error.h"
#include "mmra/evaluation/plot.h"

namespace mmra::evaluation {
namespace {

using testing::expect_error;
using ::testing::HasSubstr;
using ::testing::Not;
using Json = nlohmann::json;

constexpr const char* kHostile = "<script>alert('x')</script> & \"a|b\"";

ExperimentRun made_run(const ExperimentResult& result, std::uint64_t seed, double error) {
  std::mt19937_64 random(seed);
  std::normal_distribution<double> normal;
  ExperimentRun run;
  run.seed = seed;
  run.valid = {50, 0.5 + 0.01 * static_cast<double>(seed), 1.0, 0.25};
  for (const float target : result.targets) {
    run.predictions.push_back(static_cast<float>(target + error * normal(random)));
    run.half_widths.push_back(1.0);
  }
  run.cost = Cost{10.0 + static_cast<double>(seed), 9.0, 100 << 20, false};
  run.curve = {{3.0, 2.0, 1.0}, {0.9, 0.8, 0.85}};
  return run;
}

ExperimentResult made_result() {
  ExperimentResult result;
  result.title = "A table";
  result.what = "What it is.";
  result.label = "log2 of likes";
  result.facts = {{"Bank", "somewhere"}};
  result.notes = {"A note."};
  result.reference = "ours";
  result.num_resamples = 200;
  for (int i = 0; i < 120; ++i) result.targets.push_back(static_cast<float>(i % 13));
  ExperimentRow ours{"ours", "mmra train --model ours", PaperFigures{0.7, 1.1, 0.5}, 10, "", {}};
  ours.runs = {made_run(result, 1, 1.0), made_run(result, 2, 1.2), made_run(result, 3, 1.1)};
  ExperimentRow other{"other", "mmra train --model other", std::nullopt, 20, "", {}};
  other.runs = {made_run(result, 4, 3.0)};
  const ExperimentRow missing{kHostile,
                              "",
                              PaperFigures{0.8, 1.2, 0.4},
                              std::nullopt,
                              std::string("because of ") + kHostile,
                              {}};
  result.rows = {missing, ours, other};
  return result;
}

TEST(Summaries, AreMeansAndSampleDeviationsOverTheRuns) {
  const ExperimentResult result = made_result();
  const std::vector<RowSummary> summaries = summarise(result);
  ASSERT_EQ(summaries.size(), 3U);
  const RowSummary& ours = summaries[1];
  std::vector<double> maes;
  for (const ExperimentRun& run : result.rows[1].runs) {
    maes.push_back(compute_metrics(run.predictions, result.targets).mae);
  }
  const double mean = (maes[0] + maes[1] + maes[2]) / 3.0;
  EXPECT_EQ(ours.num_runs, 3U);
  EXPECT_NEAR(ours.test.mae.mean, mean, 1e-12);
  EXPECT_NEAR(ours.test.mae.deviation,
              std::sqrt(((maes[0] - mean) * (maes[0] - mean) + (maes[1] - mean) * (maes[1] - mean) +
                         (maes[2] - mean) * (maes[2] - mean)) /
                        2.0),
              1e-12);
  EXPECT_NEAR(ours.valid.nmse.mean, 0.52, 1e-12);
  EXPECT_LT(ours.interval.mae.low, mean);
  EXPECT_GT(ours.interval.mae.high, mean);
  EXPECT_FALSE(ours.difference.has_value()) << "the reference itself";
  EXPECT_NEAR(ours.seconds, 12.0, 1e-12);
  EXPECT_EQ(ours.peak_bytes, 100 << 20);
  EXPECT_DOUBLE_EQ(ours.mean_width, 2.0);

  EXPECT_TRUE(std::isnan(summaries[2].test.mae.deviation)) << "one run";
  ASSERT_TRUE(summaries[2].difference.has_value());
  EXPECT_GT(summaries[2].difference->nmse.interval.low, 0.0) << "three times the error";

  EXPECT_EQ(summaries[0].num_runs, 0U);
  EXPECT_TRUE(std::isnan(summaries[0].test.nmse.mean));
  EXPECT_TRUE(std::isnan(summaries[0].interval.src.high));
  EXPECT_FALSE(summaries[0].difference.has_value());
}

TEST(Summaries, CountHowManyTargetsTheIntervalsHold) {
  ExperimentResult result = made_result();
  ExperimentRun& run = result.rows[2].runs.front();
  std::size_t held = 0;
  for (std::size_t i = 0; i < run.predictions.size(); ++i) {
    run.half_widths[i] = i % 2 == 0 ? 0.5 : 4.0;
    held += std::abs(double{run.predictions[i]} - double{result.targets[i]}) <= run.half_widths[i];
  }
  EXPECT_DOUBLE_EQ(summarise(result)[2].coverage, static_cast<double>(held) / 120.0);
}

TEST(Summaries, ATrainingThatWasResumedIsNoMeasureOfTime) {
  ExperimentResult result = made_result();
  result.rows[1].runs[0].cost->resumed = true;
  result.rows[1].runs[0].cost->peak_bytes = 300 << 20;
  result.rows[1].runs[1].cost.reset();
  const RowSummary ours = summarise(result)[1];
  EXPECT_DOUBLE_EQ(ours.seconds, 13.0);
  EXPECT_EQ(ours.peak_bytes, 300 << 20);
  for (ExperimentRun& run : result.rows[1].runs) run.cost.reset();
  EXPECT_TRUE(std::isnan(summarise(result)[1].seconds));
}

TEST(Summaries, OfMeansOverBatchesMeasureThemThroughout) {
  ExperimentResult result = made_result();
  result.batch_size = 32;
  const RowSummary summary = summarise(result)[2];
  const ExperimentRun& run = result.rows[2].runs.front();
  const Metrics batches = compute_batch_mean_metrics(run.predictions, result.targets, 32);
  EXPECT_NEAR(summary.test.nmse.mean, batches.nmse, 1e-12);
  EXPECT_NE(summary.test.nmse.mean, compute_metrics(run.predictions, result.targets).nmse);
  EXPECT_LT(summary.interval.nmse.low, batches.nmse);
  EXPECT_GT(summary.interval.nmse.high, batches.nmse);
}

TEST(Summaries, RefuseRunsOfOtherRows) {
  ExperimentResult result = made_result();
  result.rows[1].runs[0].predictions.pop_back();
  expect_error(ErrorKind::kInvalidInput, "119", [&] { (void)summarise(result); });
}

/// Fields of simple CSV with quotes.
std::vector<std::string> fields_of(const std::string& line) {
  std::vector<std::string> fields{""};
  bool quoted = false;
  for (std::size_t i = 0; i < line.size(); ++i) {
    if (line[i] == '"') {
      if (quoted && i + 1 < line.size() && line[i + 1] == '"') {
        fields.back() += line[++i];
      } else {
        quoted = !quoted;
      }
    } else if (line[i] == ',' && !quoted) {
      fields.emplace_back();
    } else {
      fields.back() += line[i];
    }
  }
  return fields;
}

std::vector<std::map<std::string, std::string>> parse_csv(const std::string& text) {
  std::istringstream stream(text);
  std::string line;
  std::getline(stream, line);
  const std::vector<std::string> header = fields_of(line);
  std::vector<std::map<std::string, std::string>> rows;
  while (std::getline(stream, line)) {
    const std::vector<std::string> fields = fields_of(line);
    EXPECT_EQ(fields.size(), header.size()) << line;
    rows.emplace_back();
    for (std::size_t i = 0; i < header.size(); ++i) rows.back()[header[i]] = fields.at(i);
  }
  return rows;
}

TEST(Documents, GiveTheSameNumbers) {
  const ExperimentResult result = made_result();
  const std::vector<RowSummary> summaries = summarise(result);
  const auto csv = parse_csv(to_csv(result, summaries));
  const Json json = Json::parse(to_json(result, summaries));
  const std::string markdown = to_markdown(result, summaries);
  const std::string html = to_html(result, summaries);
  ASSERT_EQ(csv.size(), 3U);
  ASSERT_EQ(json["rows"].size(), 3U);
  for (const std::size_t i : {std::size_t{1}, std::size_t{2}}) {
    const Json& row = json["rows"][i];
    EXPECT_EQ(csv[i].at("name"), row["name"]);
    EXPECT_EQ(csv[i].at("command"), row["command"]);
    for (const char* metric : {"nmse", "mae", "src"}) {
      SCOPED_TRACE(metric);
      const std::string name = metric;
      const double mean = row["test"][metric]["mean"].get<double>();
      EXPECT_EQ(csv[i].at(name), decimals(mean, 6));
      EXPECT_EQ(csv[i].at(name + "_low"), decimals(row["interval"][metric][0].get<double>(), 6));
      EXPECT_EQ(csv[i].at("valid_" + name),
                decimals(row["valid"][metric]["mean"].get<double>(), 6));
      const std::string interval = "[" + decimals(row["interval"][metric][0].get<double>(), 4) +
                                   ", " + decimals(row["interval"][metric][1].get<double>(), 4) +
                                   "]";
      EXPECT_THAT(markdown, HasSubstr(decimals(mean, 4)));
      EXPECT_THAT(markdown, HasSubstr(interval));
      EXPECT_THAT(html, HasSubstr(">" + decimals(mean, 4)));
    }
  }
  EXPECT_EQ(csv[1].at("nmse_std"),
            decimals(json["rows"][1]["test"]["nmse"]["std"].get<double>(), 6));
  EXPECT_EQ(csv[2].at("nmse_std"), "");
  EXPECT_TRUE(json["rows"][2]["test"]["nmse"]["std"].is_null());
  EXPECT_EQ(csv[2].at("nmse_minus_reference"),
            decimals(json["rows"][2]["minus_reference"]["nmse"]["mean"].get<double>(), 6));
  EXPECT_EQ(csv[2].at("nmse_p"),
            decimals(json["rows"][2]["minus_reference"]["nmse"]["p"].get<double>(), 6));
  EXPECT_EQ(csv[1].at("paper_src"), "0.5000");
  EXPECT_EQ(csv[1].at("peak_bytes"), "104857600");
}

TEST(Documents, AMissingRowIsThereWithItsReason) {
  const ExperimentResult result = made_result();
  const std::vector<RowSummary> summaries = summarise(result);
  const Json row = Json::parse(to_json(result, summaries))["rows"][0];
  EXPECT_EQ(row["name"], kHostile);
  EXPECT_EQ(row["reason"], std::string("because of ") + kHostile);
  EXPECT_TRUE(row["runs"].empty());
  const auto csv = parse_csv(to_csv(result, summaries));
  EXPECT_EQ(csv[0].at("name"), kHostile);
  EXPECT_EQ(csv[0].at("nmse"), "");
  EXPECT_EQ(csv[0].at("runs"), "0");
  EXPECT_EQ(csv[0].at("reason"), std::string("because of ") + kHostile);
  EXPECT_THAT(to_markdown(result, summaries), HasSubstr("because of"));
}

TEST(Documents, NamesCannotBreakOutOfMarkdownOrHtml) {
  ExperimentResult result = made_result();
  result.title = result.label = result.reference = kHostile;
  result.facts = {{kHostile, kHostile}};
  result.notes = {kHostile};
  result.rows[1].name = kHostile;
  result.rows[2].command = std::string("mmra train --bank '") + kHostile + "'";
  const std::vector<RowSummary> summaries = summarise(result);
  const std::string html = to_html(result, summaries);
  EXPECT_THAT(html, Not(HasSubstr("<script")));
  EXPECT_THAT(html, HasSubstr("&lt;script&gt;alert(&#39;x&#39;)"));
  std::istringstream lines(to_markdown(result, summaries));
  std::string line;
  while (std::getline(lines, line)) {
    if (!line.starts_with("| ") || line.find("alert") == std::string::npos) continue;
    EXPECT_THAT(line, HasSubstr("\"a\\|b\""));
    EXPECT_THAT(line, Not(HasSubstr(" <script")));
  }
}

TEST(Documents, ThePageHasThePlotsAndNeedsNothingElse) {
  const ExperimentResult result = made_result();
  const std::string html = to_html(result, summarise(result));
  for (const char* part :
       {"nMSE ↓ by k", "SRC ↑ by k", "Predicted against true, ours, seed 1",
        "Error by decile of the label", "Training loss", "nMSE of the stopping rows",
        "prefers-color-scheme:dark", "Calibration by decile of the prediction"}) {
    EXPECT_THAT(html, HasSubstr(part));
  }
  for (const char* part :
       {"http://", "https://", "<img", "<link", "url(", "@import", "nan", "inf"}) {
    EXPECT_THAT(html, Not(HasSubstr(part)));
  }
}

TEST(Documents, StandWithoutAnyRunOfTheReference) {
  ExperimentResult result = made_result();
  result.rows[1].runs.clear();
  result.rows[1].reason = "failed";
  const std::vector<RowSummary> summaries = summarise(result);
  EXPECT_FALSE(summaries[2].difference.has_value());
  EXPECT_THAT(to_html(result, summaries), Not(HasSubstr("Predicted against true")));
  EXPECT_THAT(to_markdown(result, summaries), HasSubstr("failed"));
  EXPECT_TRUE(Json::parse(to_json(result, summaries)).is_object());
}

}  // namespace
}  // namespace mmra::evaluation
