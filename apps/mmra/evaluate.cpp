#include <cmath>
#include <cstdio>

#include "command.h"
#include "console.h"
#include "interrupt.h"
#include "metrics_json.h"
#include "mmra/bank/manifest_writer.h"
#include "mmra/evaluation/deciles.h"
#include "mmra/pipeline/train.h"

namespace mmra::app {
namespace {

struct EvaluateFlags {
  std::string bank;
  std::string model;
  std::string split = "test";
  int batch_metrics = 0;
  std::string horizon;
  std::string predictions;  ///< a file; empty: none
};

std::vector<std::string> row_of(const std::string& name, const evaluation::Metrics& metrics) {
  return {name, std::to_string(metrics.n), fixed(metrics.nmse, 4), fixed(metrics.mae, 4),
          fixed(metrics.src, 4)};
}

/// One line a row: what was predicted and what it was, log2.
void write_predictions(const pipeline::EvaluationReport& report, const std::string& file) {
  bank::ManifestWriter writer(file, {"id", "predicted_log2", "log2"});
  for (std::size_t i = 0; i < report.ids.size(); ++i) {
    writer.add_row({report.ids[i], fixed(report.predictions[i], 6), fixed(report.targets[i], 6)});
  }
  writer.commit();
}

nlohmann::ordered_json deciles_json(const std::vector<evaluation::Group>& groups) {
  auto deciles = nlohmann::ordered_json::array();
  for (const evaluation::Group& group : groups) {
    deciles.push_back({{"n", group.n},
                       {"low", group.low},
                       {"high", group.high},
                       {"mean_prediction", group.mean_prediction},
                       {"mean_truth", group.mean_target},
                       {"mae", group.mae},
                       {"coverage", group.coverage},
                       {"mean_width_log2", nullptr}});
    // Infinite where the calibration rows were too few for the level: JSON has no infinity.
    if (std::isfinite(group.mean_width)) deciles.back()["mean_width_log2"] = group.mean_width;
  }
  return deciles;
}

void print_deciles(const std::vector<evaluation::Group>& groups) {
  std::printf("\nBy decile of the prediction (log2):\n");
  Table table({"predicted", "n", "mean", "mean truth", "MAE", "held", "interval width"});
  for (const evaluation::Group& group : groups) {
    table.add_row({fixed(group.low, 2) + " to " + fixed(group.high, 2), std::to_string(group.n),
                   fixed(group.mean_prediction, 2), fixed(group.mean_target, 2),
                   fixed(group.mae, 2), fixed(100.0 * group.coverage, 1) + " %",
                   fixed(group.mean_width, 2)});
  }
  std::fputs(table.to_text().c_str(), stdout);
}

int run_evaluate(const EvaluateFlags& flags, const CommonOptions& common) {
  ConsoleProgress progress(common.quiet);
  const std::stop_token stop = stop_on_interrupt();
  const pipeline::EvaluationReport report =
      pipeline::evaluate_model(flags.bank, flags.model, *bank::parse_split(flags.split),
                               static_cast<std::size_t>(flags.batch_metrics), common.threads(),
                               stop, progress, flags.horizon);
  if (!flags.predictions.empty()) write_predictions(report, flags.predictions);
  const std::vector<evaluation::Group> deciles =
      evaluation::by_prediction_decile(report.predictions, report.targets, report.half_widths);
  if (common.json) {
    nlohmann::ordered_json document = to_json(report.metrics);
    document["split"] = flags.split;
    document["system"] = report.card.model;
    document["protocol"] = pipeline::name_of(report.card.rules.protocol);
    document["encoders"] = report.card.encoders_name;
    document["interval"] = {{"level", report.interval_level},
                            {"coverage", report.interval_coverage}};
    document["deciles"] = deciles_json(deciles);
    document["mean_of_train"] = to_json(report.mean_of_train);
    if (report.batch_means) {
      document["batch_means"] = to_json(*report.batch_means);
      document["batch_means"]["batch"] = flags.batch_metrics;
    }
    print_json(document);
    return 0;
  }
  Table table({flags.split, "n", "nMSE", "MAE", "SRC"});
  table.add_row(row_of(report.card.model, report.metrics));
  if (report.batch_means) {
    table.add_row(row_of("means over batches of " + std::to_string(flags.batch_metrics),
                         *report.batch_means));
  }
  table.add_row(row_of("mean of train", report.mean_of_train));
  std::fputs(table.to_text().c_str(), stdout);
  std::printf("\nLabels: log2 of %s. Encoders: %s. Protocol: %s.\n",
              describe_unit(report.card.popularity_unit, report.card.popularity_horizon).c_str(),
              report.card.encoders_name.c_str(),
              pipeline::name_of(report.card.rules.protocol).c_str());
  std::printf("Intervals of %.0f %% held %.1f %% of the rows.\n", 100.0 * report.interval_level,
              100.0 * report.interval_coverage);
  print_deciles(deciles);
  return 0;
}

}  // namespace

void add_evaluate_command(CLI::App& app, CommonOptions& common) {
  auto flags = std::make_shared<EvaluateFlags>();
  CLI::App* command = app.add_subcommand("evaluate", "Score a model on a split: nMSE, MAE, SRC");
  command->add_option("--horizon", flags->horizon,
                      "Labels so long after posting, e.g. 7d [the model's]");
  command->add_option("--bank", flags->bank, "The memory bank (a directory)")->required();
  command->add_option("--model", flags->model, "The model (a directory)")->required();
  command->add_option("--predictions", flags->predictions,
                      "Write every row's prediction and label (log2) to this CSV file");
  command->add_option("--split", flags->split, "Which rows")
      ->capture_default_str()
      ->check(CLI::IsMember({"train", "valid", "test"}));
  command
      ->add_option("--batch-metrics", flags->batch_metrics,
                   "Also the means over batches of this size, as the authors' code reports them")
      ->check(at_least(1));
  add_common_flags(*command, common);
  command->footer(
      "\nnMSE = mean squared error / variance of the labels; MAE; SRC = Spearman's rank "
      "correlation;\n"
      "all on log2 labels over the whole split. Choose on valid; look at test once.");
  command->callback(
      [flags, &common] { common.run = [flags, &common] { return run_evaluate(*flags, common); }; });
}

}  // namespace mmra::app
