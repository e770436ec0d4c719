#include <cstdio>

#include "command.h"
#include "console.h"
#include "interrupt.h"
#include "mmra/bank/export.h"
#include "mmra/bank/memory_bank.h"
#include "mmra/bank/merge.h"
#include "mmra/bank/observation_file.h"
#include "mmra/core/error.h"
#include "mmra/pipeline/ingest.h"

namespace mmra::app {
namespace {

struct BankFlags {
  std::string bank;
  std::string out;
  std::string manifest;
  std::string file;
  bool strict = false;
  bool repair = false;
  bool theirs = false;
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

int run_repair(const BankFlags& flags, const CommonOptions& common) {
  const auto bank = bank::open_bank(flags.bank, bank::OpenMode::kReadWrite);
  const std::vector<bank::Repair> repairs = bank->repair();
  if (common.json) {
    auto list = nlohmann::ordered_json::array();
    for (const auto& repair : repairs) {
      list.push_back({{"id", repair.id}, {"found", repair.found}, {"done", repair.done}});
    }
    print_json({{"sound", true}, {"repairs", list}});
    return 0;
  }
  for (const auto& repair : repairs) {
    std::printf("%s: found: %s; done: %s\n",
                repair.id.empty() ? "the bank" : one_line(repair.id, 80).c_str(),
                one_line(repair.found, 400).c_str(), repair.done.c_str());
  }
  std::printf(repairs.empty() ? "The bank is sound; there was nothing to repair.\n"
                              : "The bank is sound now.\n");
  return 0;
}

int run_verify(const BankFlags& flags, const CommonOptions& common) {
  if (flags.repair) return run_repair(flags, common);
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
    std::fprintf(
        stderr,
        "error: %zu problems found in %s; restore it from a backup, or repair it with --repair "
        "and ingest again what that removes\n",
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

int run_update(const BankFlags& flags, const CommonOptions& common) {
  bank::UpdateOptions options;
  options.stop = stop_on_interrupt();
  ConsoleProgress progress(common.quiet);
  options.note = [&](const std::string& line) { progress.note(line); };
  std::int64_t acknowledged = 0;
  options.acknowledge = [&](const bank::UpdateReport& so_far) {
    progress.advance(so_far.num_rows - acknowledged);
    acknowledged = so_far.num_rows;
  };
  const auto bank = bank::open_bank(flags.bank, bank::OpenMode::kReadWrite);
  progress.begin("updating", std::nullopt);
  const bank::UpdateReport report = bank::update_from_file(*bank, flags.file, options);
  progress.end();
  if (report.num_added > 0) (void)bank->table();  // saves the derived file
  if (common.json) {
    print_json({{"rows", report.num_rows},
                {"added", report.num_added},
                {"unchanged", report.num_unchanged},
                {"unknown", report.num_unknown},
                {"early", report.num_early}});
  } else {
    std::printf("%lld counts added, %lld unchanged of %lld rows.\n",
                static_cast<long long>(report.num_added),
                static_cast<long long>(report.num_unchanged),
                static_cast<long long>(report.num_rows));
    if (report.num_unknown > 0) {
      std::printf("%lld were left out: of records that the bank does not have.\n",
                  static_cast<long long>(report.num_unknown));
    }
    if (report.num_early > 0) {
      std::printf("%lld were left out: counted before their record was posted.\n",
                  static_cast<long long>(report.num_early));
    }
  }
  return flags.strict && report.num_unknown + report.num_early > 0 ? 1 : 0;
}

void print_size_change(const char* what, std::int64_t before, std::int64_t after) {
  std::printf("%s: %s MB before, %s MB now.\n", what,
              fixed(static_cast<double>(before) / 1e6, 1).c_str(),
              fixed(static_cast<double>(after) / 1e6, 1).c_str());
}

int run_compact(const BankFlags& flags, const CommonOptions& common) {
  const auto bank = bank::open_bank(flags.bank, bank::OpenMode::kReadWrite);
  const std::int64_t before = bank->info().disk_bytes;
  bank->compact();
  const std::int64_t after = bank->info().disk_bytes;
  if (common.json) {
    print_json({{"bytes_before", before}, {"bytes", after}});
  } else {
    print_size_change("Compacted", before, after);
  }
  return 0;
}

int run_backup(const BankFlags& flags, const CommonOptions& common) {
  open_for_reading(flags.bank)->backup(flags.out);
  const bank::BankInfo info = open_for_reading(flags.out)->info();
  if (common.json) {
    print_json({{"records", info.num_records},
                {"generation", info.generation},
                {"bytes", info.disk_bytes},
                {"out", flags.out}});
  } else {
    std::printf("Copied %lld records to %s, a bank of its own.\n",
                static_cast<long long>(info.num_records), flags.out.c_str());
  }
  return 0;
}

int run_merge(const BankFlags& flags, const CommonOptions& common) {
  bank::MergeOptions options;
  options.conflict = flags.theirs ? bank::Conflict::kTake : bank::Conflict::kKeep;
  options.stop = stop_on_interrupt();
  ConsoleProgress progress(common.quiet);
  std::int64_t acknowledged = 0;
  options.acknowledge = [&](std::int64_t num_done) {
    progress.advance(num_done - acknowledged);
    acknowledged = num_done;
  };
  const auto other = open_for_reading(flags.file);
  const auto bank = bank::open_bank(flags.bank, bank::OpenMode::kReadWrite);
  progress.begin("merging", other->info().num_records);
  const bank::MergeReport report = bank::merge_banks(*bank, *other, options);
  progress.end();
  if (report.num_added + report.num_replaced + report.num_counted > 0) (void)bank->table();
  if (common.json) {
    print_json({{"records", report.num_records},
                {"added", report.num_added},
                {"replaced", report.num_replaced},
                {"kept", report.num_kept},
                {"counted", report.num_counted}});
  } else {
    std::printf(
        "%lld records added, %lld replaced, %lld kept as they were (%lld got counts).\n",
        static_cast<long long>(report.num_added), static_cast<long long>(report.num_replaced),
        static_cast<long long>(report.num_kept), static_cast<long long>(report.num_counted));
  }
  return 0;
}

int run_reindex(const BankFlags& flags, const CommonOptions& common) {
  const auto bank = bank::open_bank(flags.bank, bank::OpenMode::kReadWrite);
  bank->rebuild_derived_files();
  const auto rows = static_cast<std::int64_t>(bank->table()->num_rows());
  if (common.json) {
    print_json({{"rows", rows}});
  } else {
    std::printf("Made the derived files of %lld records anew.\n", static_cast<long long>(rows));
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

/// `bank_flag`: "--bank" alone where something else is without a flag.
CLI::App* add_sub(CLI::App& parent, const char* name, const char* what, BankRun run,
                  const std::shared_ptr<BankFlags>& flags, CommonOptions& common,
                  const char* bank_flag = "--bank,bank") {
  CLI::App* command = parent.add_subcommand(name, what);
  command->add_option(bank_flag, flags->bank, "The memory bank (a directory)")->required();
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
          common)
      ->add_flag("--repair", flags->repair,
                 "Put right what can be put right, remove what cannot, and say which");
  add_sub(*command, "export", "Write it out as CSV and safetensors", run_export, flags, common)
      ->add_option("--out", flags->out, "The directory to write into")
      ->required();
  add_sub(*command, "remove", "Remove records", run_remove, flags, common)
      ->add_option("--id", flags->ids, "The id of a record; may be given more than once")
      ->required();
  CLI::App* update =
      add_sub(*command, "update", "Add counts of popularity, each with the time it was made",
              run_update, flags, common, "--bank");
  update
      ->add_option("file", flags->file,
                   "CSV or JSON Lines with id,popularity,observed_at; - reads standard input")
      ->required();
  update->add_flag("--strict", flags->strict, "Exit with 1 where a row was left out");
  add_sub(*command, "compact", "Give the space of removed records back and leave no trace of them",
          run_compact, flags, common);
  add_sub(*command, "backup", "Copy the bank as it is at one moment, also while it is written",
          run_backup, flags, common)
      ->add_option("--out", flags->out, "The directory of the copy; new or empty")
      ->required();
  CLI::App* merge = add_sub(*command, "merge", "Put the records of another bank into this one",
                            run_merge, flags, common, "--bank");
  merge->add_option("bank2", flags->file, "The other bank, made by the same encoders")->required();
  merge->add_flag("--theirs", flags->theirs,
                  "Of two records with one id take the other bank's [this bank's stays]");
  add_sub(*command, "reindex", "Make the derived files anew", run_reindex, flags, common);
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
