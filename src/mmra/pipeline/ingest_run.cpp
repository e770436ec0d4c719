#include "mmra/pipeline/ingest_run.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <set>
#include <utility>
#include <vector>

#include "mmra/pipeline/ingest_ranks.h"
#include "mmra/pipeline/ingest_rows.h"
#include "mmra/pipeline/ingest_stages.h"

namespace mmra::pipeline {
namespace {

using Clock = std::chrono::steady_clock;

// A durable commit costs a few milliseconds whatever its size: large enough to be cheap, small
// enough that little is done again after a kill.
constexpr std::size_t kRecordsPerCommit = 256;
constexpr auto kCommitInterval = std::chrono::seconds(2);
constexpr std::size_t kQueuedRowsPerJob = 8;

/// The ids between reading and committing: the next row of an id waits for the one before.
class IdsUnderWay {
 public:
  /// Waits until the id is free, and takes it. False where close() came first.
  bool take(const std::string& id) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return closed_ || ids_.count(id) == 0; });
    if (!closed_) ids_.insert(id);
    return !closed_;
  }
  void give_back(std::span<const IngestedRow> rows) {
    const std::scoped_lock lock(mutex_);
    for (const IngestedRow& row : rows) ids_.erase(row.id);
    changed_.notify_all();
  }
  void close() {
    const std::scoped_lock lock(mutex_);
    closed_ = true;
    changed_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::set<std::string> ids_;
  bool closed_ = false;
};

/// The last stage: finished rows into the bank.
class RecordWriter {
 public:
  RecordWriter(bank::MemoryBank& bank, IdsUnderWay& ids, const IngestRun& callbacks,
               bool flush_when_idle)
      : bank_(bank), ids_(ids), callbacks_(callbacks), flush_when_idle_(flush_when_idle) {}

  /// IngestStages::Write.
  void write(BoundedQueue<FinishedRow>& finished) {
    while (auto row = finished.pop()) {
      callbacks_.on_done(row->row);
      if (row->row.outcome == IngestOutcome::kAdded ||
          row->row.outcome == IngestOutcome::kUpdated) {
        batch_.push_back(std::move(row->stored));
      }
      done_.push_back(std::move(row->row));
      const bool idle = flush_when_idle_ && finished.is_empty();
      if (idle || done_.size() >= kRecordsPerCommit ||
          Clock::now() - last_commit_ > kCommitInterval) {
        commit();
      }
    }
    commit();
  }

 private:
  void commit() {
    if (!batch_.empty()) bank_.put(batch_);
    if (!done_.empty()) callbacks_.on_committed(done_);
    ids_.give_back(done_);
    batch_.clear();
    done_.clear();
    last_commit_ = Clock::now();
  }

  bank::MemoryBank& bank_;
  IdsUnderWay& ids_;
  const IngestRun& callbacks_;
  bool flush_when_idle_;
  std::vector<bank::StoredRecord> batch_;
  std::vector<IngestedRow> done_;  ///< since the last commit
  Clock::time_point last_commit_ = Clock::now();
};

}  // namespace

const std::map<std::string, bank::ColumnType>& clip_columns() {
  static const std::map<std::string, bank::ColumnType> kColumns = {
      {"duration_s", bank::ColumnType::kNumber},
      {"width", bank::ColumnType::kNumber},
      {"height", bank::ColumnType::kNumber},
      {"frame_rate", bank::ColumnType::kNumber},
      {"has_audio", bank::ColumnType::kNumber}};
  return kColumns;
}

bank::Split split_of(const bank::ManifestRow& row) {
  return row.split ? *row.split : bank::split_of_id(row.id);
}

std::string_view name_of(IngestOutcome outcome) noexcept {
  switch (outcome) {
    case IngestOutcome::kAdded:
      return "added";
    case IngestOutcome::kUpdated:
      return "updated";
    case IngestOutcome::kUnchanged:
      return "unchanged";
    case IngestOutcome::kFailed:
      return "failed";
  }
  return "";
}

bool IngestRun::run(const Reader& reader) {
  const bank::BankSchema schema = bank_.info().schema;
  const std::stop_token stop = options_.encode.stop;
  const RowDecoder decoder(encoders_.traits(), schema, files_, &bank_, stop);
  const BatchEncoder encoder(encoders_, files_, options_.encode);
  const int num_jobs = std::max(1, options_.num_jobs);
  IngestStages stages(decoder, encoder,
                      {num_jobs, kQueuedRowsPerJob * static_cast<std::size_t>(num_jobs),
                       options_.flush_when_idle, stop});
  IdsUnderWay ids;
  stages.on_end_of_reading = [&] { ids.close(); };
  std::optional<RowDealer> dealer;
  if (options_.ranks != nullptr && options_.ranks->size() > 1) {
    dealer.emplace(*options_.ranks, stages, options_.num_rows, stop);
    stages.deal = [&] { dealer->run(); };
  }
  RecordWriter writer(bank_, ids, *this, options_.flush_when_idle);
  stages.run(
      [&](const Push& push) {
        reader([&](IngestRow row) { return ids.take(row.row.id) && push(std::move(row)); });
      },
      [&](BoundedQueue<FinishedRow>& finished) { writer.write(finished); });
  return !stop.stop_requested() && !(dealer && dealer->was_stopped_by_rank());
}

}  // namespace mmra::pipeline
