#pragma once

#include <cstdint>
#include <filesystem>
#include <stop_token>
#include <string>
#include <vector>

#include "mmra/distributed/communicator.h"
#include "mmra/encoders/encoder_set.h"
#include "mmra/pipeline/feature_file.h"
#include "mmra/pipeline/ingest.h"
#include "mmra/pipeline/ingest_messages.h"
#include "mmra/pipeline/ingest_stages.h"

namespace mmra::pipeline {

// An ingest of several ranks: rank 0 reads the manifest and writes the bank, and decodes and
// encodes as a process alone does; the others have the same stages, but get their rows from rank 0
// and send it what they finish. A rank asks for as many rows as it can hold, and gets new ones as
// it gives back finished ones, so that none waits for a slow clip of another.

/// Rank 0's side: what the others get and give back, beside the stages of a process alone.
class RowDealer {
 public:
  /// All must outlive it. `num_rows` are in the manifest: near its end nobody is given more than a
  /// part of what is left.
  RowDealer(distributed::Communicator& ranks, IngestStages& stages, std::int64_t num_rows,
            std::stop_token stop);

  /// IngestStages::deal. Returns when all ranks have said their last, or a stage failed.
  void run();
  /// A rank was asked to stop, though this one perhaps was not: rows are missing.
  [[nodiscard]] bool was_stopped_by_rank() const { return stopped_by_rank_; }

 private:
  struct Rank {
    int number = 0;
    RankCapacity capacity = {};  ///< zeros: it has not said yet that it is ready
    std::int64_t num_held = 0;
    bool is_done = false;
  };
  void handle(const distributed::Message& message);
  [[nodiscard]] std::int64_t room_of(const Rank& rank) const;
  [[nodiscard]] bool deal();
  [[nodiscard]] bool deal_to(Rank& rank);
  void end_dealing(bool stopped);
  [[nodiscard]] bool are_all_done() const;

  distributed::Communicator& communicator_;
  IngestStages& stages_;
  std::int64_t num_rows_;
  std::stop_token stop_;
  std::vector<Rank> ranks_;
  bool is_dealing_ = true;
  bool stopped_by_rank_ = false;
};

/// What rank 0 tells the others (they take it with receive_setup): the bank's schema and encoders.
void send_setup(const bank::BankSchema& schema, const std::filesystem::path& bank_directory,
                std::int64_t num_rows, distributed::Communicator& ranks);

/// The whole of another rank's part in ingest(). Throws Interrupted when it was asked to stop, by
/// its own token or by rank 0.
void help_ingest(const IngestOptions& options, distributed::Communicator& ranks);

}  // namespace mmra::pipeline
