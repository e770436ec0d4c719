#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <stop_token>
#include <string>

#include "mmra/bank/csv_reader.h"
#include "mmra/bank/memory_bank.h"

namespace mmra::bank {

// Counts of popularity in a file: CSV or JSON Lines with id, popularity and observed_at
// (docs/formats/counts.md). Any number of rows may be of one record.

struct ObservationRow {
  std::int64_t line = 0;
  RecordObservation observation;
};

/// False stops the reading. Further columns are left alone. Throws Error{kInvalidInput} with line
/// and column.
void read_observations(ByteSource source, const std::string& name,
                       const std::function<bool(const ObservationRow&)>& visit);

struct UpdateReport {
  std::int64_t num_rows = 0;
  std::int64_t num_added = 0;
  std::int64_t num_unchanged = 0;
  std::int64_t num_unknown = 0;  ///< of records that the bank does not have
  std::int64_t num_early = 0;    ///< made before their record was posted
};

struct UpdateOptions {
  /// After each commit, with what is durable then.
  std::function<void(const UpdateReport& so_far)> acknowledge;
  /// One line on a row that was left out.
  std::function<void(const std::string& line)> note;
  std::stop_token stop;
};

/// Puts the counts of `file` ("-": standard input) into the bank, in commits of some thousand rows
/// or what came within a second. A file that can be read twice is checked as a whole first, so that
/// nothing is written of one with a fault. Throws Interrupted when stopped: what was acknowledged
/// stays.
UpdateReport update_from_file(MemoryBank& bank, const std::filesystem::path& file,
                              const UpdateOptions& options);

}  // namespace mmra::bank
