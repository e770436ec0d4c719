#include "mmra/pipeline/demo/demo.h"

#include <cstdio>
#include <cstdlib>

#include "command.h"
#include "console.h"
#include "interrupt.h"
#include "metrics_json.h"
#include "mmra/pipeline/prediction_json.h"
#include "prediction_output.h"

namespace mmra::app {
namespace {

struct DemoFlags {
  std::string directory;
  int clips = 0;
  int seeds = 0;
};

/// $XDG_CACHE_HOME/mmra/demo, as the XDG base directory specification says.
std::filesystem::path default_directory() {
  const char* cache = std::getenv("XDG_CACHE_HOME");
  if (cache != nullptr && *cache == '/') return std::filesystem::path(cache) / "mmra/demo";
  const char* home = std::getenv("HOME");
  return std::filesystem::path(home != nullptr && *home != '\0' ? home : "/tmp") /
         ".cache/mmra/demo";
}

void print_result(const pipeline::demo::DemoResult& result) {
  std::printf("\nWhat each part is worth: a network trained without it, on %zu test clips\n\n",
              result.evaluation.metrics.n);
  Table table({"network", "nMSE", "MAE", "SRC"});
  for (const auto& score : result.scores) {
    table.add_row({score.name, fixed(score.nmse, 3), fixed(score.mae, 3), fixed(score.src, 3)});
  }
  std::fputs(table.to_text().c_str(), stdout);
  std::printf("\nA clip that neither bank nor model has seen: \"%s\"\n\n",
              one_line(result.held_out.title, 80).c_str());
  std::fputs(to_text(result.prediction).c_str(), stdout);
  std::printf("\nIt got %s likes.\n",
              readable_count(static_cast<double>(result.held_out.popularity)).c_str());
  std::printf("\nThe report, with pictures: %s\n", result.report.c_str());
  std::printf("Try it yourself:\n  mmra predict --bank %s --model %s --video %s --title \"...\"\n",
              result.bank_directory.c_str(), result.model_directory.c_str(), result.video.c_str());
}

int run_demo_command(const DemoFlags& flags, const CommonOptions& common) {
  ConsoleProgress progress(common.quiet);
  pipeline::demo::DemoOptions options;
  options.directory =
      flags.directory.empty() ? default_directory() : std::filesystem::absolute(flags.directory);
  options.num_clips = flags.clips;
  options.num_seeds = flags.seeds;
  options.num_threads = common.threads();
  options.stop = stop_on_interrupt();
  if (!common.quiet && !common.json) {
    std::printf("Micro-videos made by the program (not real) go to %s.\n",
                options.directory.c_str());
    std::fflush(stdout);
  }
  const pipeline::demo::DemoResult result = pipeline::demo::run_demo(options, progress);
  if (!common.json) {
    print_result(result);
    return 0;
  }
  auto scores = nlohmann::ordered_json::object();
  for (const auto& score : result.scores) {
    scores[score.name] =
        to_json(evaluation::Metrics{result.evaluation.metrics.n, score.nmse, score.mae, score.src});
  }
  print_json({{"scores", scores},
              {"prediction", pipeline::to_json(result.prediction)},
              {"truth", result.held_out.popularity},
              {"report", result.report.string()}});
  return 0;
}

}  // namespace

void add_demo_command(CLI::App& app, CommonOptions& common) {
  auto flags = std::make_shared<DemoFlags>();
  const pipeline::demo::DemoOptions defaults;
  flags->clips = defaults.num_clips;
  flags->seeds = defaults.num_seeds;
  CLI::App* command =
      app.add_subcommand("demo", "Do all of it on micro-videos that the program makes");
  command->add_option("--dir", flags->directory, "Where everything goes [~/.cache/mmra/demo]");
  command->add_option("--clips", flags->clips, "How many clips")
      ->capture_default_str()
      ->check(CLI::Range(60, 100000));
  command->add_option("--seeds", flags->seeds, "Networks trained for each row of the table")
      ->capture_default_str()
      ->check(CLI::Range(1, 100));
  add_common_flags(*command, common);
  command->footer(
      "\nMakes the clips, ingests, trains with everything and without each part, evaluates,\n"
      "and predicts a clip that it has held back. Ctrl-C stops; a second run uses the clips "
      "again.");
  command->callback([flags, &common] {
    common.run = [flags, &common] { return run_demo_command(*flags, common); };
  });
}

}  // namespace mmra::app
