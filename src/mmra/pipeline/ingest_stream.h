#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <stop_token>

#include "mmra/core/progress.h"
#include "mmra/encoders/pretrained/precision.h"
#include "mmra/pipeline/ingest.h"
#include "mmra/pipeline/ingest_run.h"

namespace mmra::pipeline {

struct StreamOptions {
  std::filesystem::path bank_directory;
  encoders::Precision precision = encoders::Precision::kAuto;
  int num_jobs = 1;     ///< rows decoded at once
  int num_threads = 1;  ///< of the encoders
  /// Called on the caller's thread with rows whose fate is certain: durable in the bank, or failed.
  std::function<void(std::span<const IngestedRow> rows)> acknowledge;
  std::stop_token stop;
};

/// Takes rows into an existing bank as they come: JSON Lines from standard input ("-", until its
/// end), or from a file that grows (until stopped; a line counts when its line break is there). A
/// row is committed as soon as nothing more waits behind it, else together with what does; where
/// rows come faster than they are taken in, reading waits. A faulty line is acknowledged as failed,
/// and the rest goes on; an id that comes again is updated. Columns must be the bank's. Throws
/// Error{kNotFound} where there is no bank, {kInvalidInput} where the file is cut or replaced, and
/// Interrupted when stopped: what was acknowledged is there.
IngestReport ingest_stream(const std::filesystem::path& source, const StreamOptions& options);

}  // namespace mmra::pipeline
