#include "mmra/pipeline/reproduce.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "command.h"
#include "console.h"
#include "interrupt.h"
#include "metrics_json.h"

namespace mmra::app {
namespace {

struct ReproduceFlags {
  pipeline::ReproduceRequest request;
  std::string experiment;
  std::string protocol = "honest";
  int jobs = 0;
};

std::string with_deviation(const evaluation::MeanAndDeviation& value) {
  if (!std::isfinite(value.deviation)) return fixed(value.mean, 4);
  return fixed(value.mean, 4) + " ± " + fixed(value.deviation, 4);
}

std::string paper_figure(const evaluation::ExperimentRow& row,
                         double evaluation::PaperFigures::*figure) {
  return row.paper ? fixed((*row.paper).*figure, 4) : "-";
}

void print_table(const pipeline::ReproduceReport& report) {
  Table table({"", "nMSE", "MAE", "SRC", "p (nMSE)", "paper nMSE", "MAE", "SRC", "seconds"});
  for (std::size_t i = 0; i < report.result.rows.size(); ++i) {
    const evaluation::ExperimentRow& row = report.result.rows[i];
    const evaluation::RowSummary& summary = report.summaries[i];
    const bool there = !row.runs.empty();
    table.add_row({row.name, there ? with_deviation(summary.test.nmse) : "-",
                   there ? with_deviation(summary.test.mae) : "-",
                   there ? with_deviation(summary.test.src) : "-",
                   summary.difference ? fixed(summary.difference->nmse.p_value, 3) : "-",
                   paper_figure(row, &evaluation::PaperFigures::nmse),
                   paper_figure(row, &evaluation::PaperFigures::mae),
                   paper_figure(row, &evaluation::PaperFigures::src),
                   std::isfinite(summary.seconds) ? fixed(summary.seconds, 1) : "-"});
  }
  std::fputs(table.to_text().c_str(), stdout);
  for (const evaluation::ExperimentRow& row : report.result.rows) {
    if (row.reason.empty()) continue;
    std::printf("%s: %s\n", row.name.c_str(), one_line(row.reason, 300).c_str());
  }
}

nlohmann::ordered_json report_json(const pipeline::ReproduceReport& report) {
  auto rows = nlohmann::ordered_json::array();
  for (std::size_t i = 0; i < report.result.rows.size(); ++i) {
    const evaluation::ExperimentRow& row = report.result.rows[i];
    const auto& test = report.summaries[i].test;
    nlohmann::ordered_json line = to_json(evaluation::Metrics{
        report.result.targets.size(), test.nmse.mean, test.mae.mean, test.src.mean});
    line["name"] = row.name;
    line["runs"] = row.runs.size();
    if (!row.reason.empty()) line["reason"] = row.reason;
    rows.push_back(std::move(line));
  }
  auto documents = nlohmann::ordered_json::array();
  for (const auto& document : report.documents) documents.push_back(document.string());
  return {{"rows", rows},
          {"trained", report.num_trained},
          {"found", report.num_found},
          {"failed", report.num_failed},
          {"documents", documents}};
}

int run_reproduce(const ReproduceFlags& flags, const CommonOptions& common) {
  ConsoleProgress progress(common.quiet);
  pipeline::ReproduceRequest request = flags.request;
  request.experiment = *pipeline::parse_experiment(flags.experiment);
  request.plan.protocol = *pipeline::parse_protocol(flags.protocol);
  request.num_threads = common.threads();
  request.num_jobs = flags.jobs > 0 ? flags.jobs : std::min(common.threads(), 4);
  request.program = std::filesystem::read_symlink("/proc/self/exe");
  request.stop = stop_on_interrupt();
  const pipeline::ReproduceReport report = pipeline::reproduce(request, progress);
  if (common.json) {
    print_json(report_json(report));
  } else {
    std::printf("%s, test split (%zu rows)\n\n", report.result.title.c_str(),
                report.result.targets.size());
    print_table(report);
    std::printf("\nEverything about it:\n");
    for (const auto& document : report.documents) std::printf("  %s\n", document.c_str());
  }
  return report.num_failed > 0 ? 1 : 0;
}

}  // namespace

void add_reproduce_command(CLI::App& app, CommonOptions& common) {
  auto flags = std::make_shared<ReproduceFlags>();
  CLI::App* command =
      app.add_subcommand("reproduce", "Repeat the paper's tables and figure on a bank");
  command->add_option("experiment", flags->experiment, "table2, table3 or figure2")
      ->required()
      ->check(CLI::IsMember({"table2", "table3", "figure2"}));
  command->add_option("--bank", flags->request.bank_directory, kBankHelp)->required();
  command
      ->add_option("--out", flags->request.out_directory,
                   "Where models and documents go; several experiments may share it")
      ->required();
  command->add_option("--seeds", flags->request.plan.num_seeds, "Models trained for each row")
      ->capture_default_str()
      ->check(CLI::Range(1, 100));
  command
      ->add_option("--protocol", flags->protocol,
                   "honest, authors or chronological (docs/experiments.md)")
      ->capture_default_str()
      ->check(CLI::IsMember({"honest", "authors", "chronological"}));
  command->add_flag("--drop-near-duplicates", flags->request.plan.drop_near_duplicates,
                    "Neither train on nor retrieve rows that are nearly the same as one of a later "
                    "split");
  command
      ->add_option("--epochs", flags->request.plan.max_epochs,
                   "At most so many epochs, for a quick look [what mmra train takes]")
      ->check(at_least(1));
  command
      ->add_option("--jobs", flags->jobs,
                   "Trainings side by side, which share --threads [one per thread, at most 4]")
      ->check(at_least(1));
  add_common_flags(*command, common);
  command->footer(
      "\nTrains every model in a process of its own, then reads the test split once. Ctrl-C (or "
      "kill -9)\nkeeps what is done: the same command goes on. Writes Markdown, CSV, JSON and one "
      "HTML page with plots.\nExit status 1 where a training failed (its row says why).");
  command->callback([flags, &common] {
    common.run = [flags, &common] { return run_reproduce(*flags, common); };
  });
}

}  // namespace mmra::app
