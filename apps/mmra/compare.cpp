#include "mmra/pipeline/compare.h"

#include <cstdio>

#include "command.h"
#include "console.h"
#include "interrupt.h"
#include "mmra/pipeline/prediction_json.h"
#include "prediction_output.h"
#include "query_flags.h"

namespace mmra::app {
namespace {

struct CompareFlags {
  std::string bank;
  std::string model;
  QueryFlags query;
  std::vector<std::string> titles;
  std::string posted_at;
  std::vector<std::string> context;
  encoders::Precision precision = encoders::Precision::kAuto;
};

int run_compare(const CompareFlags& flags, const CommonOptions& common) {
  const std::stop_token stop = stop_on_interrupt();
  pipeline::Query query = to_query(flags.query);
  pipeline::PredictionEngine engine(flags.bank, flags.model, common.threads(), flags.precision);
  if (!flags.posted_at.empty()) query.posted_at = to_time("--posted-at", flags.posted_at);
  query.context = pipeline::parse_context(flags.context, engine.bank().info().schema);
  const pipeline::Comparison comparison =
      pipeline::compare_titles(engine, query, flags.titles, stop);
  const auto& warning = comparison.predictions.front().warning;
  if (warning) std::fprintf(stderr, "warning: %s\n", warning->c_str());
  if (common.json) {
    print_json(pipeline::to_json(comparison));
  } else {
    std::fputs(to_text(comparison).c_str(), stdout);
  }
  return 0;
}

}  // namespace

void add_compare_command(CLI::App& app, CommonOptions& common) {
  auto flags = std::make_shared<CompareFlags>();
  CLI::App* command = app.add_subcommand(
      "compare", "One clip, several titles: which does best, and is the difference clear");
  command->add_option("--bank", flags->bank, kBankHelp)->required();
  command->add_option("--model", flags->model, "The model (a directory)")->required();
  command
      ->add_option("--title", flags->titles,
                   "A title to try (repeatable: --title \"My boat\" --title \"I built a boat\")")
      ->required()
      ->allow_extra_args(false);
  add_clip_flags(*command, flags->query);
  command
      ->add_option("--context", flags->context,
                   "What else is known of the clip, name=value, for models trained with --use "
                   "(repeatable)")
      ->allow_extra_args(false)
      ->excludes("--id");
  command
      ->add_option("--posted-at", flags->posted_at,
                   "When the clip was, or will be, posted (RFC 3339, or seconds since 1970)")
      ->excludes("--id");
  add_common_flags(*command, common);
  add_precision_flag(*command, flags->precision);
  command->footer(
      "\nA difference is called clear where, of two different clips predicted this far apart, the "
      "one\npredicted higher did better at least as often as the interval's level (80 %). The "
      "model "
      "knows\nwhich titles went with success, not whether they were the cause.\n\n"
      "Example: mmra compare --bank my.bank --model my.model --video clip.mp4 --title \"My boat\" "
      "--title \"How I built a boat in a week\"");
  command->callback(
      [flags, &common] { common.run = [flags, &common] { return run_compare(*flags, common); }; });
}

}  // namespace mmra::app
