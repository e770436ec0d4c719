#include "mmra/pipeline/train.h"

#include <cmath>
#include <cstdio>

#include "command.h"
#include "console.h"
#include "interrupt.h"
#include "metrics_json.h"
#include "mmra/pipeline/training_defaults.h"

namespace mmra::app {
namespace {

struct TrainFlags {
  pipeline::TrainRequest request = pipeline::default_train_request();
  std::string variant = "paper";
  std::string protocol = "honest";
  std::vector<std::string> without;
};

model::Without to_without(const std::vector<std::string>& parts) {
  model::Without without;
  for (const std::string& part : parts) {
    if (part == "retrieval") without.retrieval = true;
    if (part == "positive") without.positive_attention = true;
    if (part == "negative") without.negative_attention = true;
    if (part == "visual") without.visual = true;
    if (part == "text") without.text = true;
  }
  return without;
}

int run_train(const TrainFlags& flags, const CommonOptions& common) {
  ConsoleProgress progress(common.quiet);
  pipeline::TrainRequest request = flags.request;
  if (flags.variant == "released") request.config.variant = model::Variant::kReleased;
  if (flags.protocol == "authors") request.protocol = pipeline::Protocol::kAuthors;
  request.config.without = to_without(flags.without);
  request.num_threads = common.threads();
  request.stop = stop_on_interrupt();
  const pipeline::TrainSummary summary = pipeline::train_model(request, progress);

  const std::size_t num_epochs = summary.history.epochs.size();
  if (common.json) {
    print_json({{"model", request.model_directory.string()},
                {"best_epoch", summary.history.best_epoch},
                {"epochs", num_epochs},
                {"valid", to_json(summary.valid)},
                {"valid_not_used_for_stopping", to_json(summary.calibrated)},
                {"interval",
                 {{"level", summary.calibration.level},
                  {"half_width_log2", summary.calibration.half_width_log2},
                  {"rows", summary.calibration.num_rows}}},
                {"seconds", summary.seconds}});
    return 0;
  }
  std::printf("Trained on %lld rows in %s; best of %zu epochs: %d.\n\n",
              static_cast<long long>(summary.card.num_train),
              readable_seconds(summary.seconds).c_str(), num_epochs, summary.history.best_epoch);
  Table table({"validation rows", "n", "nMSE", "MAE", "SRC"});
  table.add_row({"all", std::to_string(summary.valid.n), fixed(summary.valid.nmse, 4),
                 fixed(summary.valid.mae, 4), fixed(summary.valid.src, 4)});
  table.add_row({"not used for stopping", std::to_string(summary.calibrated.n),
                 fixed(summary.calibrated.nmse, 4), fixed(summary.calibrated.mae, 4),
                 fixed(summary.calibrated.src, 4)});
  std::fputs(table.to_text().c_str(), stdout);
  std::printf("\n%.0f %% of predictions should lie within a factor of %.1f of the truth.\n",
              100.0 * summary.calibration.level, std::exp2(summary.calibration.half_width_log2));
  std::printf("The model is in %s (history.svg shows its training).\n",
              request.model_directory.c_str());
  return 0;
}

void add_training_flags(CLI::App& command, TrainFlags& flags) {
  command
      .add_option("--variant", flags.variant,
                  "paper: the paper's equations; released: what the authors' code does")
      ->capture_default_str()
      ->check(CLI::IsMember({"paper", "released"}));
  command.add_option("-k", flags.request.config.k, "Instances retrieved for each clip")
      ->capture_default_str()
      ->check(at_least(1));
  command
      .add_option("--alpha", flags.request.config.alpha,
                  "Balance of positive and negative attention")
      ->capture_default_str()
      ->check(CLI::Range(0.0, 1.0));
  command
      .add_option("--similarity-scale", flags.request.config.similarity_scale,
                  "Weights of instances: softmax(scale * similarity); 1 in the paper")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  command.add_option("--without", flags.without, "Train without parts of the network (Table 3)")
      ->delimiter(',')
      ->check(CLI::IsMember({"retrieval", "positive", "negative", "visual", "text"}));
  command
      .add_option("--protocol", flags.protocol,
                  "honest: retrieve from train; authors: from train and validation")
      ->capture_default_str()
      ->check(CLI::IsMember({"honest", "authors"}));
}

void add_optimisation_flags(CLI::App& command, TrainFlags& flags) {
  const char* group = "Optimisation";
  command.add_option("--epochs", flags.request.max_epochs, "At most so many epochs")
      ->capture_default_str()
      ->check(at_least(1))
      ->group(group);
  command.add_option("--batch", flags.request.batch_size, "Rows a step")
      ->capture_default_str()
      ->check(at_least(1))
      ->group(group);
  command.add_option("--lr", flags.request.config.learning_rate, "Learning rate of Adam")
      ->capture_default_str()
      ->check(CLI::PositiveNumber)
      ->group(group);
  command
      .add_option("--patience", flags.request.patience,
                  "Stop after so many epochs without a better nMSE")
      ->capture_default_str()
      ->check(at_least(1))
      ->group(group);
  command
      .add_option("--width", flags.request.config.width, "Width d of the network (paper variant)")
      ->capture_default_str()
      ->check(at_least(1))
      ->group(group);
  command.add_option("--seed", flags.request.config.seed, "Seed of weights, dropout and shuffling")
      ->capture_default_str()
      ->group(group);
  command
      .add_option("--level", flags.request.interval_level, "Coverage of the prediction interval")
      ->capture_default_str()
      ->check(CLI::Range(0.01, 0.99))
      ->group(group);
  command.add_flag("--resume", flags.request.resume, "Go on with an interrupted run in --out")
      ->group(group);
}

}  // namespace

void add_train_command(CLI::App& app, CommonOptions& common) {
  auto flags = std::make_shared<TrainFlags>();
  CLI::App* command = app.add_subcommand("train", "Train the MMRA network on a bank");
  command->add_option("--bank", flags->request.bank_directory, "The memory bank (a directory)")
      ->required();
  command
      ->add_option("--out", flags->request.model_directory,
                   "Where the model goes (a new directory)")
      ->required();
  add_training_flags(*command, *flags);
  add_optimisation_flags(*command, *flags);
  add_common_flags(*command, common);
  command->footer(
      "\nTrains on the split \"train\", stops by one half of \"valid\" and calibrates the interval "
      "on "
      "the other;\n\"test\" is not looked at. Ctrl-C keeps the last finished epoch; --resume goes "
      "on.");
  command->callback(
      [flags, &common] { common.run = [flags, &common] { return run_train(*flags, common); }; });
}

}  // namespace mmra::app
