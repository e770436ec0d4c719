#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "mmra/bank/memory_bank.h"
#include "mmra/pipeline/ingest_rows.h"
#include "mmra/pipeline/ingest_run.h"

namespace mmra::pipeline {

// What the ranks of an ingest send each other. Bytes that are none of these are
// Error{kCorruptData}: all ranks must run the same program.

/// What rank 0 tells the others before the first row.
struct IngestSetup {
  bank::BankSchema schema;
  std::int64_t num_rows = 0;  ///< of the manifest
  std::string host;           ///< rank 0's
  /// The bank's encoder artefact: paths below its folder, and bytes.
  struct File {
    std::string path;
    std::string bytes;
  };
  std::vector<File> encoders;
};
[[nodiscard]] std::string encode_setup(const IngestSetup& setup);
[[nodiscard]] IngestSetup decode_setup(std::string_view bytes);

enum class IngestMessage : char {
  kReady = 'r',     ///< to rank 0, once: how many rows the rank can hold, and decodes at once
  kRows = 'w',      ///< from rank 0: rows to be worked on
  kFinished = 'f',  ///< to rank 0: rows that are finished
  kStopped = 's',   ///< to rank 0: the rank was asked to stop, and takes no more rows
  kEnd = 'e',       ///< from rank 0: there are no more rows; finish those you have
  kStop = 'x',      ///< from rank 0: drop what you have
  kDone = 'd'       ///< to rank 0: the rank's last message
};

/// How much a rank can take.
struct RankCapacity {
  int num_rows = 0;
  int num_jobs = 0;
};

[[nodiscard]] std::string encode_message(IngestMessage kind);
[[nodiscard]] std::string encode_ready(RankCapacity capacity);
[[nodiscard]] std::string encode_rows(const std::vector<IngestRow>& rows);
[[nodiscard]] std::string encode_finished(const std::vector<FinishedRow>& rows);

[[nodiscard]] IngestMessage kind_of(std::string_view message);
// Of a message of that kind:
[[nodiscard]] RankCapacity decode_ready(std::string_view message);
[[nodiscard]] std::vector<IngestRow> decode_rows(std::string_view message);
[[nodiscard]] std::vector<FinishedRow> decode_finished(std::string_view message);

}  // namespace mmra::pipeline
