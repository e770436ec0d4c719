#include "mmra/pipeline/train.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "command.h"
#include "console.h"
#include "interrupt.h"
#include "metrics_json.h"
#include "mmra/pipeline/systems.h"
#include "mmra/pipeline/training_defaults.h"
#include "ranks.h"

namespace mmra::app {
namespace {

struct TrainFlags {
  pipeline::TrainRequest request = pipeline::default_train_request();
  std::string variant = "paper";
  Precision precision = Precision::kAuto;
  std::string protocol = "honest";
  std::string retrieval = "similar";
  std::vector<std::string> without;
  /// Of the network alone: given to another model they are a mistake.
  std::vector<const CLI::Option*> network_flags;
  const CLI::Option* use_flag = nullptr;  ///< of mmra-plus alone
  bool mpi = false;
  /// Of everything that learns in epochs: the network and the neural baselines.
  std::vector<const CLI::Option*> epoch_flags;
};

bool is_plus(const TrainFlags& flags) { return flags.request.model == "mmra-plus"; }

bool is_network(const TrainFlags& flags) { return flags.request.model == "mmra"; }

bool is_neural_baseline(const TrainFlags& flags) {
  return model::parse_neural_baseline(flags.request.model).has_value();
}

bool is_given(const TrainFlags& flags, const std::string& name) {
  const auto given = [&](const CLI::Option* option) {
    return option->check_name(name) && option->count() > 0;
  };
  return std::any_of(flags.epoch_flags.begin(), flags.epoch_flags.end(), given) ||
         std::any_of(flags.network_flags.begin(), flags.network_flags.end(), given);
}

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

/// The parts that a model can be trained without.
std::vector<std::string> removable_parts(const TrainFlags& flags) {
  if (is_network(flags)) return {"retrieval", "positive", "negative", "visual", "text"};
  if (is_plus(flags)) return {"visual", "text", "retrieval", "kernel", "keys", "shape"};
  return {"visual", "text"};
}

void check_parts(const TrainFlags& flags) {
  const std::vector<std::string> removable = removable_parts(flags);
  std::string names;
  for (const std::string& part : removable) names.append(names.empty() ? "" : ", ").append(part);
  for (const std::string& part : flags.without) {
    if (std::find(removable.begin(), removable.end(), part) != removable.end()) continue;
    std::string what = flags.request.model;
    what.append(" can be trained without ").append(names).append(", not without ").append(part);
    throw CLI::ValidationError("--without", what);
  }
}

/// Throws where a flag is none of the model's: what it asks for would silently not be done.
void check_flags_of_model(const TrainFlags& flags) {
  check_parts(flags);
  if (!is_plus(flags) && flags.use_flag->count() > 0) {
    throw CLI::ValidationError(
        "--use", "is a setting of --model mmra-plus; " + flags.request.model + " sees no context");
  }
  if (is_plus(flags) && flags.retrieval != "similar") {
    throw CLI::ValidationError("--retrieval", flags.retrieval +
                                                  " is not for mmra-plus, which chooses its "
                                                  "instances itself; --without retrieval trains it "
                                                  "without");
  }
  if (is_network(flags)) return;
  for (const CLI::Option* option : flags.network_flags) {
    if (option->count() == 0) continue;
    throw CLI::ValidationError(
        option->get_name(),
        "is a setting of the network (--model mmra), not of " + flags.request.model);
  }
  for (const CLI::Option* option : flags.epoch_flags) {
    if (option->count() == 0 || is_neural_baseline(flags)) continue;
    throw CLI::ValidationError(
        option->get_name(), "is a setting of what learns in epochs, not of " + flags.request.model);
  }
}

/// The settings that the network and the others share.
void share_settings(const std::vector<std::string>& without, pipeline::TrainRequest& request) {
  request.baseline.k = request.config.k;
  request.baseline.seed = request.config.seed;
  request.baseline.without_visual = request.config.without.visual;
  request.baseline.without_text = request.config.without.text;
  request.plus.k = request.config.k;
  request.plus.seed = request.config.seed;
  request.plus.without_visual = request.config.without.visual;
  request.plus.without_text = request.config.without.text;
  const auto leaves_out = [&](const char* part) {
    return std::find(without.begin(), without.end(), part) != without.end();
  };
  request.plus.parts = {!leaves_out("kernel"), !leaves_out("retrieval"), !leaves_out("keys"),
                        !leaves_out("shape")};
}

/// A neural baseline has settings of its own, of which the flags change what they name.
void set_neural_baseline(const TrainFlags& flags, pipeline::TrainRequest& request) {
  const pipeline::TrainRequest defaults =
      pipeline::default_train_request(request.model, request.config.variant);
  model::NeuralBaselineConfig& config = request.neural_baseline;
  config = defaults.neural_baseline;
  config.precision = request.config.precision;
  config.k = request.config.k;
  config.seed = request.config.seed;
  config.without_visual = request.config.without.visual;
  config.without_text = request.config.without.text;
  if (is_given(flags, "--width")) config.width = request.config.width;
  if (is_given(flags, "--lr")) config.learning_rate = request.config.learning_rate;
  if (!is_given(flags, "--epochs")) request.max_epochs = defaults.max_epochs;
  if (!is_given(flags, "--batch")) request.batch_size = defaults.batch_size;
  if (!is_given(flags, "--patience")) request.patience = defaults.patience;
}

nlohmann::ordered_json summary_json(const TrainFlags& flags,
                                    const pipeline::TrainSummary& summary) {
  nlohmann::ordered_json document = {{"model", flags.request.model_directory.string()},
                                     {"system", flags.request.model}};
  if (summary.fit.empty()) {
    document["best_epoch"] = summary.history.best_epoch;
    document["epochs"] = summary.history.epochs.size();
  } else {
    document["fit"] = summary.fit;
  }
  document["valid"] = to_json(summary.valid);
  document["valid_not_used_for_stopping"] = to_json(summary.calibrated);
  document["interval"] = {{"level", summary.calibration.level},
                          {"half_width_log2", summary.calibration.half_width_log2},
                          {"rows", summary.calibration.num_rows}};
  document["seconds"] = summary.seconds;
  return document;
}

std::string describe_training(const pipeline::TrainSummary& summary) {
  if (!summary.fit.empty()) return summary.fit;
  return "best of " + std::to_string(summary.history.epochs.size()) +
         " epochs: " + std::to_string(summary.history.best_epoch);
}

int run_train(const TrainFlags& flags, const CommonOptions& common,
              distributed::Communicator& ranks) {
  ConsoleProgress progress(common.quiet || !ranks.is_first());
  pipeline::TrainRequest request = flags.request;
  if (flags.variant == "released") {
    request.config.variant = model::Variant::kReleased;
    if (!is_given(flags, "--similarity-scale")) {
      request.config.similarity_scale =
          pipeline::default_train_request("mmra", model::Variant::kReleased)
              .config.similarity_scale;
    }
  }
  request.config.precision = encoders::resolve(flags.precision);
  request.rules.protocol = *pipeline::parse_protocol(flags.protocol);
  request.rules.instances = *retrieval::parse_choice(flags.retrieval);
  request.config.without = to_without(flags.without);
  share_settings(flags.without, request);
  if (is_neural_baseline(flags)) set_neural_baseline(flags, request);
  if (is_given(flags, "--epochs") || is_given(flags, "--patience") || is_neural_baseline(flags)) {
    request.least_steps = 0;
  }
  request.num_threads = common.threads();
  request.stop = stop_on_interrupt();
  request.ranks = &ranks;
  const pipeline::TrainSummary summary = pipeline::train_model(request, progress);
  if (!ranks.is_first()) return 0;

  if (common.json) {
    print_json(summary_json(flags, summary));
    return 0;
  }
  std::printf("Trained %s on %lld rows in %s; %s.\n\n", request.model.c_str(),
              static_cast<long long>(summary.card.num_train),
              readable_seconds(summary.seconds).c_str(), describe_training(summary).c_str());
  Table table({"validation rows", "n", "nMSE", "MAE", "SRC"});
  table.add_row({"all", std::to_string(summary.valid.n), fixed(summary.valid.nmse, 4),
                 fixed(summary.valid.mae, 4), fixed(summary.valid.src, 4)});
  table.add_row({"not used for stopping", std::to_string(summary.calibrated.n),
                 fixed(summary.calibrated.nmse, 4), fixed(summary.calibrated.mae, 4),
                 fixed(summary.calibrated.src, 4)});
  std::fputs(table.to_text().c_str(), stdout);
  std::printf(
      "\n%.0f %% of predictions should lie within a factor of about %.1f of the truth (an interval "
      "is "
      "wider\nwhere errors are).\n",
      100.0 * summary.calibration.level, std::exp2(summary.calibration.half_width_log2));
  std::printf("The model is in %s%s.\n", request.model_directory.c_str(),
              summary.fit.empty() ? " (history.svg shows its training)" : "");
  return 0;
}

std::vector<std::string> model_names() {
  std::vector<std::string> names;
  for (const pipeline::System* system : pipeline::all_systems()) {
    names.emplace_back(system->name());
  }
  return names;
}

void add_training_flags(CLI::App& command, TrainFlags& flags) {
  command
      .add_option("--model", flags.request.model, "What is trained (below: what each of them is)")
      ->capture_default_str()
      ->check(CLI::IsMember(model_names()));
  command.add_option("-k", flags.request.config.k, "Instances retrieved for each clip")
      ->capture_default_str()
      ->check(at_least(1));
  command
      .add_option(
          "--without", flags.without,
          "Train without parts: of mmra (Table 3) retrieval, positive, negative, visual, text; "
          "of mmra-plus visual, text, retrieval, kernel, keys, shape; of others visual, text")
      ->delimiter(',')
      ->check(CLI::IsMember(
          {"retrieval", "positive", "negative", "visual", "text", "kernel", "keys", "shape"}));
  command
      .add_option("--protocol", flags.protocol,
                  "honest: retrieve from train; authors: from train and validation, batches in "
                  "order; chronological: splits by posted_at, train on the past")
      ->capture_default_str()
      ->check(CLI::IsMember({"honest", "authors", "chronological"}));
  command
      .add_option("--retrieval", flags.retrieval,
                  "similar: the most similar rows; random: rows drawn by chance, as a control")
      ->capture_default_str()
      ->check(CLI::IsMember({"similar", "random"}));
  command.add_option("--horizon", flags.request.horizon,
                     "Labels so long after posting, e.g. 7d [the bank's] (docs/time.md)");
  command.add_flag("--drop-near-duplicates", flags.request.rules.drop_near_duplicates,
                   "Neither train on nor retrieve rows that are nearly the same as one of a later "
                   "split (title, or similarity above 0.99)");
  flags.use_flag =
      command
          .add_option("--use", flags.request.use,
                      "Context columns that mmra-plus looks at; NAME:category for numbers that are "
                      "names (ids of creators)")
          ->delimiter(',');
  command.add_option("--seed", flags.request.config.seed, "Seed of weights, dropout and shuffling")
      ->capture_default_str();
  command
      .add_option("--level", flags.request.interval_level, "Coverage of the prediction interval")
      ->capture_default_str()
      ->check(CLI::Range(0.01, 0.99));
}

void add_network_flags(CLI::App& command, TrainFlags& flags) {
  const auto add = [&](CLI::Option* option) {
    flags.network_flags.push_back(option->capture_default_str()->group("Network (--model mmra)"));
  };
  const auto add_of_epochs = [&](CLI::Option* option) {
    flags.epoch_flags.push_back(option->capture_default_str()->group(
        "Networks (the defaults shown are mmra's; the others have their own)"));
  };
  pipeline::TrainRequest& request = flags.request;
  add_of_epochs(
      command
          .add_option("--variant", flags.variant,
                      "paper: what the papers mean; released: what the authors' code does")
          ->check(CLI::IsMember({"paper", "released"})));
  add(command
          .add_option("--alpha", request.config.alpha, "Balance of positive and negative attention")
          ->check(CLI::Range(0.0, 1.0)));
  add(command
          .add_option("--similarity-scale", request.config.similarity_scale,
                      "Weights of instances: softmax(scale * similarity); 1 in the paper and in "
                      "--variant released")
          ->check(CLI::PositiveNumber));
  add_of_epochs(command.add_option("--width", request.config.width, "Width of the network")
                    ->check(at_least(1)));
  add_of_epochs(command
                    .add_option("--epochs", request.max_epochs,
                                "At most so many epochs; on few rows, where it is not given, more")
                    ->check(at_least(1)));
  add_of_epochs(
      command.add_option("--batch", request.batch_size, "Rows a step")->check(at_least(1)));
  add_of_epochs(
      command
          .add_option("--micro-batches", request.num_micro_batches,
                      "Parts of a step that threads and ranks of mpirun share: at least as "
                      "many as ranks. The result depends on it, not on who computes")
          ->check(CLI::Range(1, 1024)));
  add_of_epochs(command.add_option("--lr", request.config.learning_rate, "Learning rate of Adam")
                    ->check(CLI::PositiveNumber));
  add_of_epochs(command
                    .add_option("--patience", request.patience,
                                "Stop after so many epochs without a better nMSE")
                    ->check(at_least(1)));
  add_of_epochs(
      add_precision_flag(command, flags.precision,
                         "Of products in training: auto (bf16 where the processor multiplies it), "
                         "f32, bf16; predictions are f32"));
  add_of_epochs(
      command.add_flag("--resume", request.resume, "Go on with an interrupted run in --out"));
}

std::string footer() {
  std::string text = "\nModels:\n";
  for (const pipeline::System* system : pipeline::all_systems()) {
    std::string name(system->name());
    name.resize(10, ' ');
    text += "  " + name + std::string(system->summary()) + "\n";
  }
  return text +
         "\nTrains on the split \"train\", stops by one half of \"valid\" and calibrates the "
         "interval on the other;\n\"test\" is not looked at. Ctrl-C keeps the last finished epoch "
         "of a network; --resume goes on.\nThe other models are fitted at once: stopped, they "
         "begin again.";
}

}  // namespace

void add_train_command(CLI::App& app, CommonOptions& common) {
  auto flags = std::make_shared<TrainFlags>();
  CLI::App* command =
      app.add_subcommand("train", "Train a model on a bank: the MMRA network, or a baseline");
  command->add_option("--bank", flags->request.bank_directory, kBankHelp)->required();
  command
      ->add_option("--out", flags->request.model_directory,
                   "Where the model goes (a new directory)")
      ->required();
  add_training_flags(*command, *flags);
  add_network_flags(*command, *flags);
  add_common_flags(*command, common);
  add_mpi_flag(*command, flags->mpi);
  command->footer(footer());
  command->callback([flags, &common] {
    check_flags_of_model(*flags);
    common.run = [flags, &common] {
      return run_on_ranks(
          flags->mpi,
          "with --resume, and as many ranks as there are, the same command goes on "
          "from the last finished epoch",
          [&](distributed::Communicator& ranks) { return run_train(*flags, common, ranks); });
    };
  });
}

}  // namespace mmra::app
