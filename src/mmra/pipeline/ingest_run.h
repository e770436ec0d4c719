#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <stop_token>
#include <string>

#include "mmra/bank/failures.h"
#include "mmra/bank/manifest.h"
#include "mmra/bank/memory_bank.h"
#include "mmra/distributed/communicator.h"
#include "mmra/encoders/encoder_set.h"
#include "mmra/pipeline/feature_file.h"

namespace mmra::pipeline {

/// What a clip's file says of itself, as context columns.
[[nodiscard]] const std::map<std::string, bank::ColumnType>& clip_columns();

/// The row's own, or the one that its id gives.
[[nodiscard]] bank::Split split_of(const bank::ManifestRow& row);

/// A row on its way into a bank.
struct IngestRow {
  bank::ManifestRow row;
  std::int64_t row_index = 0;  ///< in the manifest, from 0: the row of feature files
  /// Why it cannot be taken in, where that is known already: it then only is reported, in its turn.
  std::optional<std::string> fault = {};
};

enum class IngestOutcome { kAdded, kUpdated, kUnchanged, kFailed };
[[nodiscard]] std::string_view name_of(IngestOutcome outcome) noexcept;  ///< "added", …

struct IngestedRow {
  std::string id;
  std::int64_t line = 0;
  IngestOutcome outcome = IngestOutcome::kUnchanged;
  std::optional<bank::IngestFailure> failure;
  std::optional<std::string> warning;
};

struct IngestRunOptions {
  int num_jobs = 1;                ///< rows decoded at once
  encoders::EncodeOptions encode;  ///< with the stop token of the run
  /// The ranks that work on the rows too, each by help_ingest(); null: this process alone does.
  distributed::Communicator* ranks = nullptr;
  std::int64_t num_rows = 0;  ///< that will come; with `ranks`
  /// Encodes and commits what is there as soon as nothing more waits, instead of full batches: for
  /// rows that come one by one. While a batch is at work the next one gathers.
  bool flush_when_idle = false;
};

/// The bounded pipeline of ingest: one thread reads rows, `num_jobs` decode, one encodes batches on
/// as many threads as it was given, the caller's writes. Whoever gives rows waits where the stages
/// behind are slower. Other ranks are a further source of finished rows (ingest_ranks.h).
class IngestRun {
 public:
  /// False where no more rows are wanted.
  using Push = std::function<bool(IngestRow row)>;
  /// On a thread of its own: gives the rows in their order. Rows of one id are taken in one after
  /// the other.
  using Reader = std::function<void(const Push& push)>;

  /// All must outlive the run.
  IngestRun(bank::MemoryBank& bank, const encoders::EncoderSet& encoders, const FeatureFiles& files,
            IngestRunOptions options)
      : bank_(bank), encoders_(encoders), files_(files), options_(std::move(options)) {}

  /// Called on the caller's thread for each row that is done, before it is on disk.
  std::function<void(const IngestedRow& row)> on_done = [](const IngestedRow&) {};
  /// Called on the caller's thread with rows that are durable in the bank, or failed.
  std::function<void(std::span<const IngestedRow> rows)> on_committed =
      [](std::span<const IngestedRow>) {};

  /// Returns when all rows are in the bank, or false where it, or another rank, was stopped: what
  /// is then done stays. Throws what a stage threw, first of all.
  [[nodiscard]] bool run(const Reader& reader);

 private:
  bank::MemoryBank& bank_;
  const encoders::EncoderSet& encoders_;
  const FeatureFiles& files_;
  IngestRunOptions options_;
};

}  // namespace mmra::pipeline
