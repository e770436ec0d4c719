#include "mmra/pipeline/ingest_ranks.h"

#include <algorithm>
#include <chrono>
#include <optional>
#include <thread>
#include <utility>

#include "mmra/core/environment.h"
#include "mmra/core/error.h"
#include "mmra/core/files.h"
#include "mmra/core/scratch_directory.h"
#include "mmra/pipeline/query.h"

namespace mmra::pipeline {
namespace {

namespace fs = std::filesystem;
using distributed::Communicator;

constexpr auto kPollInterval = std::chrono::microseconds(500);
constexpr int kQueuedRowsPerJob = 8;
constexpr std::int64_t kLeastRowsPerJob = 2;  ///< one at work, one that waits
constexpr int kBatchesHeld = 2;               ///< one at work, one that gathers
constexpr std::int64_t kRowsPerMessage = 64;
constexpr std::size_t kFinishedRowsPerMessage = 64;

std::vector<IngestSetup::File> read_files_below(const fs::path& folder) {
  std::vector<IngestSetup::File> files;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (!entry.is_regular_file()) continue;
    files.push_back({fs::relative(entry.path(), folder).string(), read_file(entry.path())});
  }
  return files;
}

encoders::EncoderSet open_encoders(const IngestSetup& setup, encoders::Precision precision) {
  const ScratchDirectory scratch("encoders");
  for (const IngestSetup::File& file : setup.encoders) {
    make_directories((scratch.path() / file.path).parent_path());
    write_file_atomically(scratch.path() / file.path, file.bytes);
  }
  encoders::EncoderSet encoders = encoders::open_encoder_set(scratch.path(), precision);
  encoders.load();  // while the files are there
  return encoders;
}

/// The other ranks' side of RowDealer.
class RankHelper {
 public:
  RankHelper(Communicator& ranks, IngestStages& stages, std::string suffix_of_failures,
             std::stop_source& stop)
      : ranks_(ranks), stages_(stages), suffix_(std::move(suffix_of_failures)), stop_(stop) {}

  /// IngestStages::Read: what rank 0 sends. Goes on receiving when stopped, until rank 0 knows.
  void read(const IngestRun::Push& push) {
    bool told = false;
    while (!stages_.has_failed()) {
      if (const auto message = ranks_.try_receive()) {
        if (is_last(message->bytes, push)) return;
        continue;
      }
      if (stop_.stop_requested() && !told) {
        ranks_.send(0, encode_message(IngestMessage::kStopped));
        told = true;
      }
      std::this_thread::sleep_for(kPollInterval);
    }
  }

  /// IngestStages::Write: rank 0 writes them.
  void write(BoundedQueue<FinishedRow>& finished) {
    std::vector<FinishedRow> rows;
    while (auto row = finished.pop()) {
      if (row->row.failure) row->row.failure->what += suffix_;
      rows.push_back(std::move(*row));
      if (rows.size() < kFinishedRowsPerMessage && !finished.is_empty()) continue;
      ranks_.send(0, encode_finished(rows));
      rows.clear();
    }
  }

 private:
  bool is_last(const std::string& message, const IngestRun::Push& push) {
    switch (kind_of(message)) {
      case IngestMessage::kRows:
        // Refused when stopped: they are then nobody's.
        for (IngestRow& row : decode_rows(message)) (void)push(std::move(row));
        return false;
      case IngestMessage::kEnd:
        return true;
      case IngestMessage::kStop:
        stop_.request_stop();
        return true;
      default:
        throw Error(ErrorKind::kInternal, "rank 0 sent what only it may get");
    }
  }

  Communicator& ranks_;
  IngestStages& stages_;
  std::string suffix_;
  std::stop_source& stop_;
};

RankCapacity capacity_of(const IngestOptions& options, const encoders::EncoderTraits& traits) {
  const int jobs = std::max(1, options.num_jobs);
  return {std::max(kQueuedRowsPerJob * jobs, kBatchesHeld * traits.batch_size), jobs};
}

}  // namespace

RowDealer::RowDealer(Communicator& ranks, IngestStages& stages, std::int64_t num_rows,
                     std::stop_token stop)
    : communicator_(ranks), stages_(stages), num_rows_(num_rows), stop_(std::move(stop)) {
  for (int rank = 1; rank < ranks.size(); ++rank) ranks_.push_back({rank});
}

void RowDealer::run() {
  while (!are_all_done() && !stages_.has_failed()) {
    bool moved = false;
    while (const auto message = communicator_.try_receive()) {
      handle(*message);
      moved = true;
    }
    if (is_dealing_) {
      const bool stopped = stop_.stop_requested() || stopped_by_rank_;
      if (stopped || stages_.is_drained()) {
        end_dealing(stopped);
      } else {
        moved = deal() || moved;
      }
    }
    if (!moved) std::this_thread::sleep_for(kPollInterval);
  }
}

void RowDealer::handle(const distributed::Message& message) {
  Rank& rank = ranks_.at(static_cast<std::size_t>(message.from - 1));
  switch (kind_of(message.bytes)) {
    case IngestMessage::kReady:
      rank.capacity = decode_ready(message.bytes);
      return;
    case IngestMessage::kFinished:
      for (FinishedRow& row : decode_finished(message.bytes)) {
        --rank.num_held;
        (void)stages_.finish(std::move(row));  // refused after a failure only
      }
      return;
    case IngestMessage::kStopped:
      stopped_by_rank_ = true;
      return;
    case IngestMessage::kDone:
      rank.is_done = true;
      return;
    default:
      throw Error(ErrorKind::kInternal, "a rank sent what only rank 0 may send");
  }
}

std::int64_t RowDealer::room_of(const Rank& rank) const {
  // Half of an even share of what is left: the next time the shares are smaller, so that all end at
  // nearly the same time, whatever their rows take.
  const std::int64_t num_left = num_rows_ - stages_.num_begun();
  const std::int64_t part = num_left / (std::int64_t{2} * communicator_.size());
  const std::int64_t least = kLeastRowsPerJob * rank.capacity.num_jobs;
  return std::min<std::int64_t>(rank.capacity.num_rows, std::max(part, least)) - rank.num_held;
}

/// Gives rows to all who have room; false where there was nothing to do.
bool RowDealer::deal() {
  bool moved = false;
  for (Rank& rank : ranks_) moved = deal_to(rank) || moved;
  return moved;
}

bool RowDealer::deal_to(Rank& rank) {
  const auto room =
      static_cast<std::size_t>(std::clamp<std::int64_t>(room_of(rank), 0, kRowsPerMessage));
  std::vector<IngestRow> rows;
  auto next = IngestStages::Next::kNone;
  while (rows.size() < room) {
    IngestRow row;
    next = stages_.next_row(row);
    if (next != IngestStages::Next::kNew) break;  // after one done here, the others are heard again
    rows.push_back(std::move(row));
  }
  if (!rows.empty()) {
    rank.num_held += static_cast<std::int64_t>(rows.size());
    communicator_.send(rank.number, encode_rows(rows));
  }
  return !rows.empty() || next == IngestStages::Next::kDoneHere;
}

void RowDealer::end_dealing(bool stopped) {
  is_dealing_ = false;
  if (stopped) stages_.end_reading();
  stages_.end_dealing();
  const std::string message = encode_message(stopped ? IngestMessage::kStop : IngestMessage::kEnd);
  for (const Rank& rank : ranks_) communicator_.send(rank.number, message);
}

bool RowDealer::are_all_done() const {
  return std::all_of(ranks_.begin(), ranks_.end(), [](const Rank& rank) { return rank.is_done; });
}

void send_setup(const bank::BankSchema& schema, const fs::path& bank_directory,
                std::int64_t num_rows, Communicator& ranks) {
  std::string bytes = encode_setup(
      {schema, num_rows, host_name(), read_files_below(bank::encoders_directory(bank_directory))});
  ranks.broadcast(bytes, 0);
}

void help_ingest(const IngestOptions& options, Communicator& ranks) {
  std::string bytes;
  ranks.broadcast(bytes, 0);
  const IngestSetup setup = decode_setup(bytes);
  const FeatureFiles files = open_feature_files(options, setup.num_rows);
  const encoders::EncoderSet encoders = open_encoders(setup, options.precision);
  std::stop_source stop;
  const std::stop_callback forward(options.stop, [&] { stop.request_stop(); });
  const RowDecoder decoder(encoders.traits(), setup.schema, files, nullptr, stop.get_token());
  const BatchEncoder encoder(encoders, files, {options.num_threads, stop.get_token()});
  const RankCapacity capacity = capacity_of(options, encoders.traits());
  // As many as rank 0 gives at most: so that whoever receives never waits, and rank 0 neither.
  IngestStages stages(decoder, encoder,
                      {capacity.num_jobs, static_cast<std::size_t>(capacity.num_rows),
                       /*flush_when_idle=*/true, stop.get_token()});
  const std::string host = host_name();
  RankHelper helper(ranks, stages, host == setup.host ? "" : " (on " + host + ")", stop);
  ranks.send(0, encode_ready(capacity));
  stages.run([&](const IngestRun::Push& push) { helper.read(push); },
             [&](BoundedQueue<FinishedRow>& finished) { helper.write(finished); });
  const bool stopped = stop.stop_requested();
  if (stopped) ranks.send(0, encode_message(IngestMessage::kStopped));
  ranks.send(0, encode_message(IngestMessage::kDone));
  if (stopped) throw Interrupted();
}

}  // namespace mmra::pipeline
