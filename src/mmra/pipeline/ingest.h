#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "mmra/core/progress.h"
#include "mmra/distributed/communicator.h"
#include "mmra/encoders/pretrained/precision.h"

namespace mmra::pipeline {

struct IngestOptions {
  std::filesystem::path bank_directory;
  /// A folder of pretrained encoders (encoders::freeze_pretrained); empty: builtin.
  std::filesystem::path encoder_set;
  bool encoders_given = false;  ///< the user named encoders: an existing bank's must be the same
  encoders::Precision precision = encoders::Precision::kAuto;
  int num_frames = 10;                         ///< L; of a new bank only
  int num_jobs = 1;                            ///< rows decoded at once
  int num_threads = 1;                         ///< of the encoders
  std::string popularity_unit = "popularity";  ///< of a new bank only
  std::string popularity_horizon;              ///< of a new bank only
  bool unit_given = false;     ///< the user named a unit: an existing bank's must be the same
  bool horizon_given = false;  ///< likewise
  bool frames_given = false;   ///< likewise
  // Features made elsewhere, row i = the manifest's row i: .npy or .safetensors (one tensor),
  // float16, float32 or float64. [rows × dim] or [rows × tokens × dim]. Empty: made by the
  // encoders.
  std::filesystem::path visual_features;
  std::filesystem::path text_features;
  std::filesystem::path retrieval_vectors;
  std::stop_token stop;
  /// The ranks that ingest together: all make the same call. Rank 0 reads the manifest and writes
  /// the bank, the others decode and encode new rows for it; they need not see manifest or bank,
  /// but the clips, the encoder set's weights and the feature files, by the same names. Null: one
  /// process alone.
  distributed::Communicator* ranks = nullptr;
};

struct IngestReport {
  std::int64_t num_rows = 0;
  std::int64_t num_added = 0;
  std::int64_t num_updated = 0;    ///< the row or its video had changed
  std::int64_t num_unchanged = 0;  ///< same content, same encoders: skipped
  std::int64_t num_failed = 0;     ///< listed in failures_file(bank_directory)
  std::int64_t num_warnings = 0;   ///< rows kept with a truncated or damaged video
  bool fitted_encoders = false;    ///< the bank was new: `builtin` was fitted on its train rows
  double seconds = 0.0;
};

/// Manifest → memory bank. Checks the whole manifest first (Error{kInvalidInput} with line and
/// column, nothing written), makes the bank where there is none, skips rows that it has (same
/// content, same encoders), decodes and encodes the rest on `num_jobs` threads with bounded queues,
/// and writes in durable batches. A row that fails is reported and the rest goes on. `manifest` "-"
/// reads JSON Lines from standard input. Throws Interrupted when stopped: what was written stays,
/// and the same call, of any number of ranks, goes on from there. Ranks other than 0 return an
/// empty report; all stop where one of them is asked to.
IngestReport ingest(const std::filesystem::path& manifest, const IngestOptions& options,
                    ProgressSink& progress);

/// Makes an empty bank in `bank_directory` whose `builtin` encoders are fitted on the train rows of
/// `manifest`. Throws where a bank is there already: its encoders are frozen.
void fit_bank_encoders(const std::filesystem::path& manifest, const IngestOptions& options);

}  // namespace mmra::pipeline
