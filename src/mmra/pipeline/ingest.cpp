#include "mmra/pipeline/ingest.h"

#include <algorithm>
#include <chrono>
#include <fstream>
#include <iostream>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <utility>

#include "mmra/bank/failures.h"
#include "mmra/bank/manifest.h"
#include "mmra/bank/memory_bank.h"
#include "mmra/core/error.h"
#include "mmra/core/files.h"
#include "mmra/core/scratch_directory.h"
#include "mmra/encoders/encoder_set.h"
#include "mmra/pipeline/bank_index.h"
#include "mmra/pipeline/feature_file.h"
#include "mmra/pipeline/ingest_ranks.h"
#include "mmra/pipeline/ingest_run.h"
#include "mmra/pipeline/query.h"

namespace mmra::pipeline {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

/// A manifest that can be read twice: standard input is kept in a temporary file.
class ManifestSource {
 public:
  explicit ManifestSource(const fs::path& manifest) : path_(manifest) {
    if (manifest != "-") return;
    scratch_.emplace("stdin");
    path_ = scratch_->path() / "stdin.jsonl";
    std::ofstream copy(path_, std::ios::binary);
    copy << std::cin.rdbuf();
    copy.close();
    // An empty stream sets failbit above; the reader then says that the manifest is empty.
    if (std::cin.bad()) throw Error(ErrorKind::kIo, "cannot read standard input");
  }
  [[nodiscard]] const fs::path& path() const { return path_; }

 private:
  fs::path path_;
  std::optional<ScratchDirectory> scratch_;
};

/// What has to be known of the whole manifest before the first row is encoded.
struct Survey {
  bank::ManifestSummary summary;
  std::vector<std::string> train_titles;  ///< only where encoders have to be fitted
  bool has_video = false;
};

Survey survey_manifest(const fs::path& manifest,
                       const std::map<std::string, bank::ColumnType>& known_columns,
                       bool with_titles) {
  Survey survey;
  survey.summary = bank::scan_manifest(manifest, known_columns);
  survey.has_video = survey.summary.num_with_video > 0;
  if (!with_titles) return survey;
  const bank::ManifestVisitor take_title = [&](const bank::ManifestRow& row) {
    if (split_of(row) == bank::Split::kTrain) survey.train_titles.push_back(row.title);
    return true;
  };
  bank::read_manifest(manifest, take_title, {survey.summary.context_columns, true});
  return survey;
}

void require_same(const std::string& what, const std::string& bank_has, const std::string& given,
                  bool was_given, const fs::path& directory) {
  if (!was_given || bank_has == given) return;
  throw Error(ErrorKind::kInvalidInput, directory.string() + " was made with " + what + " \"" +
                                            bank_has + "\", not \"" + given +
                                            "\": leave the flag out, or make another bank");
}

/// An existing bank keeps the encoders that made it; naming others is a mistake worth a line.
void require_same_encoders(const bank::BankSchema& schema, const IngestOptions& options) {
  const std::string bank_has = schema.encoders_name + " (" + schema.encoders_fingerprint + ")";
  const bool builtin = options.encoder_set.empty();
  const bool bank_is_builtin = schema.encoders_name.rfind("builtin", 0) == 0;
  const std::string given = builtin ? "builtin"
                                    : options.encoder_set.filename().string() + " (" +
                                          encoders::fingerprint_of_set(options.encoder_set) + ")";
  const bool same =
      builtin ? bank_is_builtin : given.find(schema.encoders_fingerprint) != std::string::npos;
  require_same("the encoders", bank_has, same ? bank_has : given, true, options.bank_directory);
}

bank::BankSchema schema_for(const encoders::EncoderSet& encoders, const IngestOptions& options,
                            const FeatureFiles& files) {
  bank::BankSchema schema;
  schema.popularity_unit = options.popularity_unit;
  schema.popularity_horizon = options.popularity_horizon;
  schema.num_frames = options.num_frames;
  schema.encoders_name = encoders.name() + files.name_suffix();
  schema.encoders_fingerprint = encoders.fingerprint();
  schema.visual_dim = files.visual ? files.visual->dim() : encoders.visual_dim();
  schema.text_dim = files.text ? files.text->dim() : encoders.text_dim();
  schema.retrieval_dim = files.retrieval ? files.retrieval->dim() : encoders.retrieval_dim();
  return schema;
}

std::unique_ptr<bank::MemoryBank> make_bank(const IngestOptions& options,
                                            const std::vector<std::string>& train_titles,
                                            const FeatureFiles& files) {
  make_directories(bank::files_directory(options.bank_directory));
  // What a fit that was killed before the bank was made has left there is replaced.
  const fs::path encoders_directory = bank::encoders_directory(options.bank_directory);
  if (options.encoder_set.empty()) {
    encoders::fit_builtin(train_titles, encoders_directory);
  } else {
    encoders::freeze_pretrained(options.encoder_set, encoders_directory);
  }
  const encoders::EncoderSet encoders =
      encoders::open_encoder_set(encoders_directory, options.precision);
  encoders.load();  // a fault in a model's files shows before there is a bank
  const bank::BankSchema schema = schema_for(encoders, options, files);
  if (schema.retrieval_dim == 0) {
    throw Error(
        ErrorKind::kInvalidInput,
        "the encoders " + schema.encoders_name +
            " have no part retrieval/, so that nothing could be retrieved; add one, or give "
            "--retrieval-vectors");
  }
  return bank::create_bank(options.bank_directory, schema);
}

void check_options_fit(const bank::BankSchema& schema, const IngestOptions& options) {
  const fs::path& directory = options.bank_directory;
  require_same("--unit", schema.popularity_unit, options.popularity_unit, options.unit_given,
               directory);
  require_same("--horizon", schema.popularity_horizon, options.popularity_horizon,
               options.horizon_given, directory);
  if (options.encoders_given) require_same_encoders(schema, options);
  require_same("--frames", std::to_string(schema.num_frames), std::to_string(options.num_frames),
               options.frames_given, directory);
}

/// The manifest's columns, and the clips' own where no column of that name has another type.
std::map<std::string, bank::ColumnType> columns_to_add(const Survey& survey,
                                                       const bank::BankSchema& schema) {
  std::map<std::string, bank::ColumnType> columns = survey.summary.context_columns;
  if (survey.has_video) {
    for (const auto& column : clip_columns()) {
      if (schema.context_columns.count(column.first) == 0) columns.insert(column);
    }
  }
  return columns;
}

void count(const IngestedRow& row, IngestReport& report, std::vector<bank::IngestFailure>& failures,
           ProgressSink& progress) {
  report.num_added += row.outcome == IngestOutcome::kAdded ? 1 : 0;
  report.num_updated += row.outcome == IngestOutcome::kUpdated ? 1 : 0;
  report.num_unchanged += row.outcome == IngestOutcome::kUnchanged ? 1 : 0;
  report.num_failed += row.outcome == IngestOutcome::kFailed ? 1 : 0;
  if (row.failure) {
    progress.note("failed: " + row.failure->id + ": " + row.failure->what);
    failures.push_back(*row.failure);
  }
  if (row.warning) {
    ++report.num_warnings;
    progress.note("warning: " + *row.warning);
  }
}

}  // namespace

IngestReport ingest(const fs::path& manifest, const IngestOptions& options,
                    ProgressSink& progress) {
  const auto started = Clock::now();
  distributed::Communicator* const ranks =
      distributed::is_alone(options.ranks) ? nullptr : options.ranks;
  if (ranks != nullptr && !ranks->is_first()) {
    help_ingest(options, *ranks);
    return {};
  }
  const ManifestSource source(manifest);
  const bool exists = bank::bank_exists(options.bank_directory);
  std::unique_ptr<bank::MemoryBank> bank;
  std::map<std::string, bank::ColumnType> known_columns;
  if (exists) {
    bank = bank::open_bank(options.bank_directory, bank::OpenMode::kReadWrite);
    known_columns = bank->info().schema.context_columns;
    check_options_fit(bank->info().schema, options);
  } else {
    bank::require_free_directory(options.bank_directory);
  }
  progress.begin("checking the manifest", std::nullopt);
  const Survey survey =
      survey_manifest(source.path(), known_columns, !exists && options.encoder_set.empty());
  const FeatureFiles files = open_feature_files(options, survey.summary.num_rows);
  progress.end();

  IngestReport report;
  report.num_rows = survey.summary.num_rows;
  if (!bank) {
    report.fitted_encoders = options.encoder_set.empty();
    progress.note(report.fitted_encoders
                      ? "new bank: fitting the builtin encoders on the titles of " +
                            std::to_string(survey.train_titles.size()) + " train rows"
                      : "new bank: reading the encoders in " + options.encoder_set.string());
    bank = make_bank(options, survey.train_titles, files);
  }
  const bank::BankSchema schema = bank->info().schema;
  check_feature_files(files, schema);
  bank->add_context_columns(columns_to_add(survey, schema));

  const encoders::EncoderSet encoders =
      open_bank_encoders(options.bank_directory, schema, options.precision);
  if (ranks != nullptr)
    send_setup(bank->info().schema, options.bank_directory, report.num_rows, *ranks);
  std::vector<bank::IngestFailure> failures;
  progress.begin("ingesting", survey.summary.num_rows);
  IngestRun run(*bank, encoders, files,
                {options.num_jobs, {options.num_threads, options.stop}, ranks, report.num_rows});
  run.on_done = [&](const IngestedRow& row) {
    count(row, report, failures, progress);
    progress.advance(1);
  };
  const bool is_whole = run.run([&](const IngestRun::Push& push) {
    std::int64_t index = 0;
    const bank::ManifestVisitor queue = [&](const bank::ManifestRow& row) {
      return push({row, index++});
    };
    bank::read_manifest(source.path(), queue, {survey.summary.context_columns, true});
  });
  progress.end();
  bank::write_failures(bank::failures_file(options.bank_directory), failures);
  if (!is_whole) throw Interrupted();
  bank->flush();
  if (report.num_added + report.num_updated > 0) {
    update_derived_files(*bank, options.bank_directory,
                         {.num_threads = options.num_threads, .stop = options.stop}, progress);
  }
  report.seconds = std::chrono::duration<double>(Clock::now() - started).count();
  return report;
}

void fit_bank_encoders(const fs::path& manifest, const IngestOptions& options) {
  if (bank::bank_exists(options.bank_directory)) {
    throw Error(ErrorKind::kInvalidInput,
                options.bank_directory.string() +
                    " is a bank already, and its encoders are frozen; name another directory");
  }
  bank::require_free_directory(options.bank_directory);
  const ManifestSource source(manifest);
  const Survey survey = survey_manifest(source.path(), {}, true);
  make_bank(options, survey.train_titles, {});
}

}  // namespace mmra::pipeline
