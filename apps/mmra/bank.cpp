#include <cstdio>

#include "command.h"
#include "console.h"
#include "interrupt.h"
#include "mmra/bank/export.h"
#include "mmra/bank/memory_bank.h"
#include "mmra/bank/merge.h"
#include "mmra/bank/milvus/address.h"
#include "mmra/bank/observation_file.h"
#include "mmra/bank/transfer.h"
#include "mmra/core/error.h"
#include "mmra/pipeline/bank_index.h"
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
  std::optional<std::string> index;
  std::size_t rows_per_segment = retrieval::IndexOptions{}.rows_per_segment;
};

retrieval::IndexOptions index_options(const BankFlags& flags, const CommonOptions& common) {
  return {flags.rows_per_segment, common.threads(), stop_on_interrupt()};
}

nlohmann::ordered_json to_json(const pipeline::SearchCost& cost) {
  return {{"segments", cost.num_segments},
          {"indexed", cost.num_indexed},
          {"dead", cost.num_dead},
          {"tail", cost.num_in_tail},
          {"bytes", cost.bytes},
          {"sample_recall", cost.least_recall},
          {"exact_seconds", cost.exact_seconds}};
}

/// What search costs, and when to change that.
void print_search_cost(const pipeline::SearchCost& cost, bool on_server) {
  std::printf("index        %s%s\n", cost.index.c_str(), on_server ? " on the server" : "");
  if (on_server) return;
  if (cost.index != "exact") {
    std::printf(
        "             %zu segments of %s records, %s MB, recall %.3f of a sample; %s searched "
        "exactly, %s dead\n",
        cost.num_segments, readable_count(static_cast<double>(cost.num_indexed)).c_str(),
        fixed(static_cast<double>(cost.bytes) / 1e6, 1).c_str(),
        static_cast<double>(cost.least_recall),
        readable_count(static_cast<double>(cost.num_in_tail)).c_str(),
        readable_count(static_cast<double>(cost.num_dead)).c_str());
  }
  const bool is_slow = cost.exact_seconds > pipeline::kSecondsWorthAnIndex;
  std::printf("exact search %s ms a query on one thread%s\n",
              fixed(cost.exact_seconds * 1e3, 2).c_str(),
              cost.index != "exact" ? ""
              : is_slow ? "; `mmra bank reindex --index HNSW32` makes an index that is faster"
                        : ", fast enough without an index");
}

int run_info(const BankFlags& flags, const CommonOptions& common) {
  const auto opened = open_for_reading(flags.bank);
  const bank::BankInfo info = opened->info();
  const bank::BankSchema& schema = info.schema;
  const pipeline::SearchCost cost = pipeline::measure_search(*opened, flags.bank, common.threads());
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
                {"index", cost.index},
                {"search", to_json(cost)},
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
  print_search_cost(cost, bank::is_milvus_address(flags.bank));
  std::printf("context      %s\n", columns.empty() ? "none" : columns.c_str());
  if (bank::is_milvus_address(flags.bank)) {
    std::printf("on disk      as the server says\n");
  } else {
    std::printf("on disk      %s MB\n",
                fixed(static_cast<double>(info.disk_bytes) / 1e6, 1).c_str());
  }
  return 0;
}

int run_repair(const BankFlags& flags, const CommonOptions& common) {
  const auto bank = bank::open_bank(flags.bank, bank::OpenMode::kReadWrite);
  std::vector<bank::Repair> repairs = bank->repair();
  ConsoleProgress progress(common.quiet);
  for (bank::Repair& repair :
       pipeline::repair_bank_index(*bank, flags.bank, index_options(flags, common), progress)) {
    repairs.push_back(std::move(repair));
  }
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
  const auto opened = open_for_reading(flags.bank);
  auto problems = opened->verify();
  if (problems.empty()) {
    problems = pipeline::find_index_problems(*opened, flags.bank, common.threads());
  }
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
  const auto bank = bank::open_bank(flags.bank, bank::OpenMode::kReadWrite);
  const std::int64_t removed = bank->remove(flags.ids);
  bank->flush();
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
  if (report.num_added > 0) {
    pipeline::update_derived_files(
        *bank, flags.bank, {.num_threads = common.threads(), .stop = options.stop}, progress);
  }
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
  ConsoleProgress progress(common.quiet);
  pipeline::reindex_bank(*bank, flags.bank, std::nullopt, index_options(flags, common), progress);
  const std::int64_t after = bank->info().disk_bytes;
  if (common.json) {
    print_json({{"bytes_before", before}, {"bytes", after}});
  } else {
    print_size_change("Compacted", before, after);
  }
  return 0;
}

int run_backup(const BankFlags& flags, const CommonOptions& common) {
  pipeline::backup_bank(*open_for_reading(flags.bank), flags.bank, flags.out);
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
  if (report.num_added + report.num_replaced + report.num_counted > 0) {
    pipeline::update_derived_files(
        *bank, flags.bank, {.num_threads = common.threads(), .stop = options.stop}, progress);
  }
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

int run_transfer(const std::string& from, const std::string& into, const CommonOptions& common) {
  bank::TransferOptions options;
  options.stop = stop_on_interrupt();
  ConsoleProgress progress(common.quiet);
  std::int64_t acknowledged = 0;
  options.begin = [&](std::int64_t num_to_send) { progress.begin("copying", num_to_send); };
  options.acknowledge = [&](std::int64_t num_sent) {
    progress.advance(num_sent - acknowledged);
    acknowledged = num_sent;
  };
  options.begin_verifying = [&] {
    progress.end();
    progress.begin("verifying the copy", std::nullopt);
  };
  const bank::TransferReport report = bank::transfer_bank(from, into, options);
  progress.end();
  if (common.json) {
    print_json({{"records", report.num_records},
                {"sent", report.num_sent},
                {"same", report.num_same},
                {"out", into}});
  } else {
    std::printf("%lld records copied to %s, %lld were there already; count and checksums agree.\n",
                static_cast<long long>(report.num_sent), into.c_str(),
                static_cast<long long>(report.num_same));
  }
  return 0;
}

int run_push(const BankFlags& flags, const CommonOptions& common) {
  if (!bank::is_milvus_address(flags.file)) {
    throw Error(ErrorKind::kInvalidInput,
                "`bank push` copies a bank to a server: write mmra bank "
                "push DIR milvus://HOST:PORT/COLLECTION, not " +
                    flags.file);
  }
  return run_transfer(flags.bank, flags.file, common);
}

int run_pull(const BankFlags& flags, const CommonOptions& common) {
  if (!bank::is_milvus_address(flags.bank) || bank::is_milvus_address(flags.file)) {
    throw Error(ErrorKind::kInvalidInput,
                "`bank pull` copies a bank from a server: write mmra bank pull "
                "milvus://HOST:PORT/COLLECTION DIR");
  }
  return run_transfer(flags.bank, flags.file, common);
}

int run_reindex(const BankFlags& flags, const CommonOptions& common) {
  const auto bank = bank::open_bank(flags.bank, bank::OpenMode::kReadWrite);
  bank->rebuild_derived_files();
  ConsoleProgress progress(common.quiet);
  const retrieval::IndexReport report = pipeline::reindex_bank(
      *bank, flags.bank, flags.index, index_options(flags, common), progress);
  const auto rows = static_cast<std::int64_t>(bank->table()->num_rows());
  if (common.json) {
    print_json({{"rows", rows},
                {"segments", report.num_segments},
                {"sample_recall", report.least_recall},
                {"bytes", report.bytes}});
    return 0;
  }
  std::printf("Made the derived files of %lld records anew.\n", static_cast<long long>(rows));
  if (report.num_segments > 0) {
    std::printf(
        "The index has %zu segments, %s MB; it finds %.1f%% of the ten nearest of a sample.\n",
        report.num_segments, fixed(static_cast<double>(report.bytes) / 1e6, 1).c_str(),
        100.0 * static_cast<double>(report.least_recall));
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
  command->add_option(bank_flag, flags->bank, kBankHelp)->required();
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
  add_sub(*command, "push", "Copy a bank to a server, or go on with it, and verify the copy",
          run_push, flags, common, "--from,bank")
      ->add_option("to", flags->file, "milvus://HOST:PORT/COLLECTION")
      ->required();
  add_sub(*command, "pull", "Copy a bank from a server, or go on with it, and verify the copy",
          run_pull, flags, common, "--from,bank")
      ->add_option("to", flags->file, "The directory of the copy")
      ->required();
  CLI::App* merge = add_sub(*command, "merge", "Put the records of another bank into this one",
                            run_merge, flags, common, "--bank");
  merge->add_option("bank2", flags->file, "The other bank, made by the same encoders")->required();
  merge->add_flag("--theirs", flags->theirs,
                  "Of two records with one id take the other bank's [this bank's stays]");
  CLI::App* reindex = add_sub(*command, "reindex", "Make the derived files anew, and the index",
                              run_reindex, flags, common);
  reindex->add_option(
      "--index", flags->index,
      "What index the bank is to have, as a factory string of FAISS: HNSW32, "
      "IVF1024,PQ64, ...; Flat: none, exact search; on a server Flat or HNSW.. [as it has]");
  reindex
      ->add_option("--segment-rows", flags->rows_per_segment,
                   "At most so many records in one segment of the index")
      ->capture_default_str()
      ->check(CLI::Range(std::size_t{1}, std::size_t{INT32_MAX}));
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
