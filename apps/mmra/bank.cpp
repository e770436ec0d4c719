#include <cstdio>

#include "command.h"
#include "console.h"
#include "interrupt.h"
#include "mmra/bank/export.h"
#include "mmra/bank/memory_bank.h"
#include "mmra/core/error.h"
#include "mmra/pipeline/ingest.h"

namespace mmra::app {
namespace {

struct BankFlags {
  std::string bank;
  std::string out;
  std::string manifest;
  std::vector<std::string> ids;
  int frames = 10;
  std::string unit = "popularity";
  std::string horizon;
};

int run_info(const BankFlags& flags, const CommonOptions& common) {
  const bank::BankInfo info = open_for_reading(flags.bank)->info();
  const bank::BankSchema& schema = info.schema;
  if (common.json) {
    auto columns = nlohmann::ordered_json::object();
    for (const auto& [name, type] : schema.context_columns) {
      columns[name] = type == bank::ColumnType::kNumber ? "number" : "category";
    }
    print_json({{"records", info.num_records},
                {"labelled", info.num_labelled},
                {"with_video", info.num_with_video},
                {"with_time", info.num_with_time},
                {"splits",
                 {{"train", info.num_in_split[0]},
                  {"valid", info.num_in_split[1]},
                  {"test", info.num_in_split[2]}}},
                {"unit", schema.popularity_unit},
                {"horizon", schema.popularity_horizon},
                {"index", "exact"},
                {"encoders",
                 {{"name", schema.encoders_name},
                  {"fingerprint", schema.encoders_fingerprint},
                  {"frames", schema.num_frames},
                  {"visual_dim", schema.visual_dim},
                  {"text_dim", schema.text_dim},
                  {"retrieval_dim", schema.retrieval_dim}}},
                {"context", columns},
                {"format_version", schema.format_version},
                {"generation", info.generation},
                {"disk_bytes", info.disk_bytes}});
    return 0;
  }
  std::string columns;
  for (const auto& [name, type] : schema.context_columns) {
    columns += (columns.empty() ? "" : ", ") + name +
               (type == bank::ColumnType::kNumber ? " (number)" : " (category)");
  }
  std::printf("records      %s\n", readable_count(static_cast<double>(info.num_records)).c_str());
  std::printf("labelled     %s\n", readable_count(static_cast<double>(info.num_labelled)).c_str());
  std::printf("with video   %s\n",
              readable_count(static_cast<double>(info.num_with_video)).c_str());
  std::printf("with a time  %s\n", readable_count(static_cast<double>(info.num_with_time)).c_str());
  std::printf("splits       %lld train, %lld valid, %lld test\n",
              static_cast<long long>(info.num_in_split[0]),
              static_cast<long long>(info.num_in_split[1]),
              static_cast<long long>(info.num_in_split[2]));
  std::printf("popularity   %s\n",
              describe_unit(schema.popularity_unit, schema.popularity_horizon).c_str());
  std::printf("encoders     %s %s\n", schema.encoders_name.c_str(),
              schema.encoders_fingerprint.c_str());
  std::printf("tokens       %d frames x %d visual, n x %d text; retrieval vector %d\n",
              schema.num_frames, schema.visual_dim, schema.text_dim, schema.retrieval_dim);
  std::printf("index        exact\n");
  std::printf("context      %s\n", columns.empty() ? "none" : columns.c_str());
  std::printf("on disk      %s MB\n", fixed(static_cast<double>(info.disk_bytes) / 1e6, 1).c_str());
  return 0;
}

int run_verify(const BankFlags& flags, const CommonOptions& common) {
  const auto problems = open_for_reading(flags.bank)->verify();
  if (common.json) {
    auto list = nlohmann::ordered_json::array();
    for (const auto& problem : problems)
      list.push_back({{"id", problem.id}, {"what", problem.what}});
    print_json({{"sound", problems.empty()}, {"problems", list}});
  } else if (problems.empty()) {
    std::printf("The bank is sound.\n");
  } else {
    for (const auto& problem : problems) {
      std::printf("%s: %s\n", problem.id.empty() ? "the bank" : one_line(problem.id, 80).c_str(),
                  one_line(problem.what, 400).c_str());
    }
    std::fprintf(stderr,
                 "error: %zu problems found in %s; restore it from a backup, or remove the "
                 "named records and ingest them again\n",
                 problems.size(), flags.bank.c_str());
  }
  return problems.empty() ? 0 : 1;
}

int run_export(const BankFlags& flags, const CommonOptions& common) {
  const std::int64_t count = bank::export_bank(*open_for_reading(flags.bank), flags.out);
  if (common.json) {
    print_json({{"records", count}, {"out", flags.out}});
  } else {
    std::printf("Exported %lld records to %s.\n", static_cast<long long>(count), flags.out.c_str());
  }
  return 0;
}

int run_remove(const BankFlags& flags, const CommonOptions& common) {
  const std::int64_t removed =
      bank::open_bank(flags.bank, bank::OpenMode::kReadWrite)->remove(flags.ids);
  const auto missing = static_cast<std::int64_t>(flags.ids.size()) - removed;
  if (common.json) {
    print_json({{"removed", removed}, {"not_found", missing}});
  } else {
    std::printf("Removed %lld records.\n", static_cast<long long>(removed));
  }
  if (missing > 0) {
    throw Error(ErrorKind::kNotFound, std::to_string(missing) +
                                          " of the ids were not in the bank " + flags.bank +
                                          " (spelled as in the manifest?)");
  }
  return 0;
}

int run_fit_encoder(const BankFlags& flags, const CommonOptions& common) {
  pipeline::IngestOptions options;
  options.bank_directory = flags.bank;
  options.num_frames = flags.frames;
  options.popularity_unit = flags.unit;
  options.popularity_horizon = flags.horizon;
  options.stop = stop_on_interrupt();
  pipeline::fit_bank_encoders(flags.manifest, options);
  const bank::BankSchema schema = open_for_reading(flags.bank)->info().schema;
  if (common.json) {
    print_json({{"encoders", schema.encoders_name}, {"fingerprint", schema.encoders_fingerprint}});
  } else {
    std::printf("Fitted %s (%s); the bank %s is empty and ready for `mmra ingest`.\n",
                schema.encoders_name.c_str(), schema.encoders_fingerprint.c_str(),
                flags.bank.c_str());
  }
  return 0;
}

using BankRun = int (*)(const BankFlags&, const CommonOptions&);

CLI::App* add_sub(CLI::App& parent, const char* name, const char* what, BankRun run,
                  const std::shared_ptr<BankFlags>& flags, CommonOptions& common) {
  CLI::App* command = parent.add_subcommand(name, what);
  command->add_option("--bank,bank", flags->bank, "The memory bank (a directory)")->required();
  add_common_flags(*command, common);
  command->callback([flags, &common, run] {
    common.run = [flags, &common, run] { return run(*flags, common); };
  });
  return command;
}

}  // namespace

void add_bank_command(CLI::App& app, CommonOptions& common) {
  auto flags = std::make_shared<BankFlags>();
  CLI::App* command = app.add_subcommand("bank", "Look after a memory bank");
  command->require_subcommand(1);
  add_sub(*command, "info", "What it holds, and which encoders made it", run_info, flags, common);
  add_sub(*command, "verify", "Check every byte: checksums, dims, derived files", run_verify, flags,
          common);
  add_sub(*command, "export", "Write it out as CSV and safetensors", run_export, flags, common)
      ->add_option("--out", flags->out, "The directory to write into")
      ->required();
  add_sub(*command, "remove", "Remove records", run_remove, flags, common)
      ->add_option("--id", flags->ids, "The id of a record; may be given more than once")
      ->required();
  CLI::App* fit =
      add_sub(*command, "fit-encoder",
              "Make an empty bank whose builtin encoders are fitted on a manifest's train "
              "rows",
              run_fit_encoder, flags, common);
  fit->add_option("--manifest", flags->manifest, "The manifest")->required();
  fit->add_option("--frames", flags->frames, "Frames sampled from each video")
      ->capture_default_str()
      ->check(CLI::Range(1, 1000));
  fit->add_option("--unit", flags->unit, "What popularity counts")->capture_default_str();
  fit->add_option("--horizon", flags->horizon, "How long after posting it was counted, e.g. 7d");
}

}  // namespace mmra::app
