#include "mmra/pipeline/predict.h"

#include <cstdio>

#include "command.h"
#include "console.h"
#include "interrupt.h"
#include "mmra/bank/manifest.h"
#include "mmra/core/error.h"
#include "mmra/pipeline/prediction_json.h"
#include "prediction_output.h"
#include "query_flags.h"

namespace mmra::app {
namespace {

struct PredictFlags {
  std::string bank;
  std::string model;
  std::string manifest;
  QueryFlags query;
  std::string posted_at;
  std::string horizon;
  std::vector<std::string> context;
  encoders::Precision precision = encoders::Precision::kAuto;
};

/// What of the bank's index could not be read, so that search is slower than it need be.
void warn_of_index(const pipeline::PredictionEngine& engine) {
  if (engine.index() == nullptr) return;
  for (const std::string& fault : engine.index()->faults()) {
    std::fprintf(stderr, "warning: %s\n", fault.c_str());
  }
}

/// One JSON object a line, with the row's id; a row that fails has "error" instead and the rest
/// goes on.
int predict_manifest(const PredictFlags& flags, const CommonOptions& common,
                     const std::stop_token& stop) {
  pipeline::PredictionEngine engine(flags.bank, flags.model, common.threads(), flags.precision,
                                    std::nullopt, flags.horizon);
  warn_of_index(engine);
  std::int64_t num_failed = 0;
  bank::ManifestOptions options;
  options.columns = engine.bank().info().schema.context_columns;
  bank::read_manifest(
      flags.manifest,
      [&](const bank::ManifestRow& row) {
        if (stop.stop_requested()) throw Interrupted();
        pipeline::Query query;
        query.own_id = row.id;
        query.title = row.title;
        query.video = row.video_path;
        query.posted_at = row.posted_at;
        query.context = row.context;
        nlohmann::ordered_json line = {{"id", row.id}};
        try {
          line.update(pipeline::to_json(engine.predict(query, stop)));
        } catch (const Error& error) {
          ++num_failed;
          line["error"] = error.what();
        }
        print_json(line, /*indented=*/false);
        std::fflush(stdout);
        return true;
      },
      options);
  if (num_failed > 0) {
    std::fprintf(stderr, "%lld rows could not be predicted (their lines say why)\n",
                 static_cast<long long>(num_failed));
    return 1;
  }
  return 0;
}

int run_predict(const PredictFlags& flags, const CommonOptions& common) {
  const std::stop_token stop = stop_on_interrupt();
  if (!flags.manifest.empty()) return predict_manifest(flags, common, stop);
  pipeline::Query query = to_query(flags.query);
  if (!query.id && query.title.empty() && query.video.empty()) {
    std::fprintf(
        stderr,
        "error: give --title, --video or both, or --id, or --manifest (mmra predict --help "
        "explains)\n");
    return 2;
  }
  pipeline::PredictionEngine engine(flags.bank, flags.model, common.threads(), flags.precision,
                                    std::nullopt, flags.horizon);
  warn_of_index(engine);
  if (!flags.posted_at.empty()) query.posted_at = to_time("--posted-at", flags.posted_at);
  query.context = pipeline::parse_context(flags.context, engine.bank().info().schema);
  const pipeline::Prediction prediction = engine.predict(query, stop);
  if (prediction.warning) std::fprintf(stderr, "warning: %s\n", prediction.warning->c_str());
  if (common.json) {
    nlohmann::ordered_json document = pipeline::to_json(prediction);
    if (query.id) document["id"] = *query.id;
    print_json(document);
  } else {
    std::fputs(to_text(prediction).c_str(), stdout);
  }
  return 0;
}

}  // namespace

void add_predict_command(CLI::App& app, CommonOptions& common) {
  auto flags = std::make_shared<PredictFlags>();
  CLI::App* command = app.add_subcommand(
      "predict", "Predict the popularity of a clip, with an interval and reasons");
  command->add_option("--bank", flags->bank, kBankHelp)->required();
  command->add_option("--model", flags->model, "The model (a directory)")->required();
  add_query_flags(*command, flags->query, "--title");
  command
      ->add_option(
          "--manifest", flags->manifest,
          "Predict every row of a manifest (- reads JSON Lines), one JSON object a line; a row "
          "that the bank has is never its own instance")
      ->excludes("--id")
      ->excludes("--title")
      ->excludes("--video");
  command
      ->add_option("--context", flags->context,
                   "What else is known of the clip, name=value, for models trained with --use "
                   "(repeatable: --context followers=1200 --context creator=ada)")
      ->allow_extra_args(false)
      ->excludes("--id")
      ->excludes("--manifest");
  command
      ->add_option("--posted-at", flags->posted_at,
                   "When the clip was, or will be, posted (RFC 3339, or seconds since 1970)")
      ->excludes("--id")
      ->excludes("--manifest");
  command->add_option("--horizon", flags->horizon,
                      "Labels of the instances so long after posting, e.g. 7d [the model's]");
  add_common_flags(*command, common);
  add_precision_flag(*command, flags->precision);
  command->footer(
      "\nExample: mmra predict --bank my.bank --model my.model --video clip.mp4 --title \"My "
      "boat\"");
  command->callback(
      [flags, &common] { common.run = [flags, &common] { return run_predict(*flags, common); }; });
}

}  // namespace mmra::app
