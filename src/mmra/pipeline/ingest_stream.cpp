#include "mmra/pipeline/ingest_stream.h"

#include <chrono>
#include <memory>
#include <string>
#include <utility>

#include "mmra/bank/manifest.h"
#include "mmra/bank/manifest_rows.h"
#include "mmra/bank/memory_bank.h"
#include "mmra/bank/text_checks.h"
#include "mmra/core/error.h"
#include "mmra/encoders/encoder_set.h"
#include "mmra/pipeline/bank_index.h"
#include "mmra/pipeline/feature_file.h"
#include "mmra/pipeline/index_keeper.h"
#include "mmra/pipeline/line_follower.h"
#include "mmra/pipeline/query.h"

namespace mmra::pipeline {
namespace {

using Clock = std::chrono::steady_clock;

/// A stream makes no columns: what comes later might not fit what the first row says of one.
void require_known_columns(const bank::ManifestRow& row, const bank::ColumnTypes& known,
                           const std::string& name) {
  for (const auto& [column, value] : row.context) {
    if (known.count(column) != 0) continue;
    bank::fail_at_line(name, row.line,
                       "the bank has no column " + bank::in_quotes(column) +
                           "; leave it out, or ingest a manifest that has it first");
  }
}

/// The bank has features from elsewhere, which no stream brings.
void require_own_encoders(const bank::BankSchema& schema, const std::filesystem::path& directory) {
  const ForeignFeatures foreign = foreign_features(schema.encoders_name);
  if (!foreign.visual && !foreign.text && !foreign.retrieval) return;
  throw Error(ErrorKind::kUnsupported,
              directory.string() + " has features made elsewhere (" + schema.encoders_name +
                  "), which a stream does not bring; ingest manifests with feature files");
}

class StreamReader {
 public:
  StreamReader(LineFollower& lines, const bank::BankSchema& schema)
      : lines_(lines), options_{schema.context_columns, /*needs_popularity=*/false} {}

  /// Gives all lines but blank ones.
  void read(const IngestRun::Push& push) const {
    const std::filesystem::path folder = lines_.folder();
    while (const auto text = lines_.next()) {
      if (text->find_first_not_of(" \t\r") == std::string_view::npos) continue;
      if (!push(parse(*text, folder))) return;
    }
  }

 private:
  [[nodiscard]] IngestRow parse(std::string_view text, const std::filesystem::path& folder) const {
    IngestRow row;
    try {
      row.row = bank::read_manifest_line(text, lines_.line(), lines_.name(), folder, options_);
      require_known_columns(row.row, options_.columns, lines_.name());
    } catch (const Error& error) {
      row.fault = error.what();
    }
    row.row.line = lines_.line();
    return row;
  }

  LineFollower& lines_;
  bank::ManifestOptions options_;
};

void count(const IngestedRow& row, IngestReport& report) {
  ++report.num_rows;
  report.num_added += row.outcome == IngestOutcome::kAdded ? 1 : 0;
  report.num_updated += row.outcome == IngestOutcome::kUpdated ? 1 : 0;
  report.num_unchanged += row.outcome == IngestOutcome::kUnchanged ? 1 : 0;
  report.num_failed += row.outcome == IngestOutcome::kFailed ? 1 : 0;
  report.num_warnings += row.warning ? 1 : 0;
}

}  // namespace

IngestReport ingest_stream(const std::filesystem::path& source, const StreamOptions& options) {
  const auto started = Clock::now();
  const auto bank = bank::open_bank(options.bank_directory, bank::OpenMode::kReadWrite);
  const bank::BankSchema schema = bank->info().schema;
  require_own_encoders(schema, options.bank_directory);
  const encoders::EncoderSet encoders =
      open_bank_encoders(options.bank_directory, schema, options.precision);
  encoders.load();  // a fault in a model's files shows before the first row
  LineFollower lines(source, options.stop);
  const FeatureFiles no_files;
  IngestReport report;
  IndexKeeper index_keeper(*bank, options.bank_directory, {});
  IngestRun run(*bank, encoders, no_files,
                {.num_jobs = options.num_jobs,
                 .encode = {options.num_threads, options.stop},
                 .flush_when_idle = true});
  run.on_committed = [&](std::span<const IngestedRow> rows) {
    bank->flush();
    for (const IngestedRow& row : rows) count(row, report);
    index_keeper.note(rows.size());
    if (options.acknowledge) options.acknowledge(rows);
  };
  const StreamReader reader(lines, schema);
  const bool is_whole = run.run([&](const IngestRun::Push& push) { reader.read(push); });
  index_keeper.finish();
  if (report.num_added + report.num_updated > 0) (void)bank->table();  // saves the derived file
  if (!is_whole) throw Interrupted();
  if (report.num_added + report.num_updated > 0) {
    SilentProgress silent;
    update_derived_files(*bank, options.bank_directory,
                         {.num_threads = options.num_threads, .stop = options.stop}, silent);
  }
  report.seconds = std::chrono::duration<double>(Clock::now() - started).count();
  return report;
}

}  // namespace mmra::pipeline
