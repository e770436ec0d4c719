#include "mmra/pipeline/ingest.h"

#include <cstdio>
#include <nlohmann/json.hpp>
#include <span>

#include "command.h"
#include "console.h"
#include "interrupt.h"
#include "mmra/core/error.h"
#include "mmra/hub/model_cache.h"
#include "mmra/pipeline/ingest_stream.h"
#include "ranks.h"

namespace mmra::app {
namespace {

struct IngestFlags {
  std::string manifest;
  pipeline::IngestOptions options;
  std::string encoders = "builtin";
  int jobs = 0;
  bool strict = false;
  bool follow = false;
  bool mpi = false;
};

/// One JSON object a row, on standard output as soon as the row's fate is certain.
void acknowledge(std::span<const pipeline::IngestedRow> rows) {
  for (const pipeline::IngestedRow& row : rows) {
    nlohmann::ordered_json document = {{"line", row.line}, {"id", row.id}};
    document["outcome"] = pipeline::name_of(row.outcome);
    if (row.failure) document["error"] = row.failure->what;
    if (row.warning) document["warning"] = *row.warning;
    print_json(document, /*indented=*/false);
  }
  std::fflush(stdout);
}

int run_follow(const IngestFlags& flags, const CommonOptions& common,
               const distributed::Communicator& ranks) {
  if (ranks.size() > 1) {
    throw Error(ErrorKind::kUnsupported,
                "--follow takes rows in one by one, in one process: start it without mpirun");
  }
  pipeline::StreamOptions options;
  options.bank_directory = flags.options.bank_directory;
  options.precision = flags.options.precision;
  options.stop = stop_on_interrupt();
  options.num_threads = common.threads();
  options.num_jobs = flags.jobs > 0 ? flags.jobs : common.threads();
  options.acknowledge = acknowledge;
  const pipeline::IngestReport report = pipeline::ingest_stream(flags.manifest, options);
  if (!common.quiet) {
    std::fprintf(
        stderr, "%lld added, %lld updated, %lld unchanged, %lld failed of %lld rows in %s.\n",
        static_cast<long long>(report.num_added), static_cast<long long>(report.num_updated),
        static_cast<long long>(report.num_unchanged), static_cast<long long>(report.num_failed),
        static_cast<long long>(report.num_rows), readable_seconds(report.seconds).c_str());
  }
  return report.num_failed > 0 && flags.strict ? 1 : 0;
}

int run_ingest(const IngestFlags& flags, const CommonOptions& common,
               distributed::Communicator& ranks) {
  ConsoleProgress progress(common.quiet || !ranks.is_first());
  pipeline::IngestOptions options = flags.options;
  options.stop = stop_on_interrupt();
  options.ranks = &ranks;
  if (ranks.is_first() && options.encoders_given && flags.encoders != "builtin") {
    options.encoder_set = hub::find_encoder_set(flags.encoders);
  }
  options.num_threads = common.threads();
  options.num_jobs = flags.jobs > 0 ? flags.jobs : common.threads();
  const pipeline::IngestReport report = pipeline::ingest(flags.manifest, options, progress);
  if (!ranks.is_first()) return 0;
  const auto failures = bank::failures_file(options.bank_directory);
  if (common.json) {
    print_json({{"rows", report.num_rows},
                {"added", report.num_added},
                {"updated", report.num_updated},
                {"unchanged", report.num_unchanged},
                {"failed", report.num_failed},
                {"warnings", report.num_warnings},
                {"seconds", report.seconds}});
  } else if (report.num_rows > 0 && report.num_unchanged == report.num_rows) {
    std::printf("Nothing to do: the bank has all %lld rows as they are.\n",
                static_cast<long long>(report.num_rows));
  } else {
    std::printf(
        "%lld added, %lld updated, %lld unchanged, %lld failed of %lld rows in %s.\n",
        static_cast<long long>(report.num_added), static_cast<long long>(report.num_updated),
        static_cast<long long>(report.num_unchanged), static_cast<long long>(report.num_failed),
        static_cast<long long>(report.num_rows), readable_seconds(report.seconds).c_str());
  }
  if (report.num_warnings > 0 && !common.json) {
    std::printf("%lld videos were truncated or damaged; the frames they have were taken.\n",
                static_cast<long long>(report.num_warnings));
  }
  if (report.num_failed > 0 && !common.json) {
    std::printf("What failed and why: %s\n", failures.c_str());
  }
  return report.num_failed > 0 && flags.strict ? 1 : 0;
}

}  // namespace

void add_ingest_command(CLI::App& app, CommonOptions& common) {
  auto flags = std::make_shared<IngestFlags>();
  pipeline::IngestOptions& options = flags->options;
  CLI::App* command = app.add_subcommand("ingest", "Put the rows of a manifest into a memory bank");
  command
      ->add_option("manifest", flags->manifest,
                   "CSV or JSON Lines with id,title,popularity[,video,posted_at,split,…]; - reads "
                   "JSON Lines from standard input")
      ->required();
  command->add_option("--bank", options.bank_directory, "The memory bank; made where there is none")
      ->required();
  auto* encoders =
      command
          ->add_option(
              "--encoders", flags->encoders,
              "What makes captions, tokens and vectors: builtin (no weights), a folder with "
              "captioner/ visual/ text/ retrieval/, or a set that `mmra models` got (paper "
              "…); of a new bank")
          ->capture_default_str();
  add_precision_flag(*command, options.precision);
  auto* frames = command
                     ->add_option("--frames", options.num_frames,
                                  "Frames sampled from each video, evenly from first to last")
                     ->capture_default_str()
                     ->check(CLI::Range(1, 1000));
  command->add_option("--jobs", flags->jobs, "Clips decoded at once [--threads]")
      ->check(at_least(1));
  command->add_flag("--strict", flags->strict, "Exit with 1 where a row failed");
  auto* follow = command->add_flag(
      "--follow", flags->follow,
      "Take in JSON Lines as they come, from - or a file that grows, into a bank that is there; "
      "print a line for each row when it is on disk");
  auto* unit = command
                   ->add_option("--unit", options.popularity_unit,
                                "What popularity counts: comments, views, likes …")
                   ->capture_default_str();
  auto* horizon = command->add_option("--horizon", options.popularity_horizon,
                                      "How long after posting it was counted, e.g. 7d");
  command
      ->add_option("--visual-features", options.visual_features,
                   "Visual tokens made elsewhere: .npy or .safetensors, row i = manifest row i")
      ->group("Features made elsewhere");
  command->add_option("--text-features", options.text_features, "Text tokens, likewise")
      ->group("Features made elsewhere");
  command
      ->add_option("--retrieval-vectors", options.retrieval_vectors, "Retrieval vectors, likewise")
      ->group("Features made elsewhere");
  for (const char* of_new_banks : {"--encoders", "--frames", "--unit", "--horizon",
                                   "--visual-features", "--text-features", "--retrieval-vectors"}) {
    follow->excludes(command->get_option(of_new_banks));
  }
  add_common_flags(*command, common);
  add_mpi_flag(*command, flags->mpi);
  command->footer(
      "\nCan be stopped and run again: rows that the bank has (same content, same encoders) are "
      "skipped.\nRows that fail are listed in failures.jsonl in the bank; the rest goes on.");
  command->callback([flags, &common, encoders, frames, unit, horizon] {
    flags->options.encoders_given = encoders->count() > 0;
    flags->options.frames_given = frames->count() > 0;
    flags->options.unit_given = unit->count() > 0;
    flags->options.horizon_given = horizon->count() > 0;
    common.run = [flags, &common] {
      return run_on_ranks(flags->mpi,
                          "what was taken in is kept, and the same command, with as many ranks as "
                          "there are, goes on from there",
                          [&](distributed::Communicator& ranks) {
                            return flags->follow ? run_follow(*flags, common, ranks)
                                                 : run_ingest(*flags, common, ranks);
                          });
    };
  });
}

}  // namespace mmra::app
