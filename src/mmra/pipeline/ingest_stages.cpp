#include "mmra/pipeline/ingest_stages.h"

#include <algorithm>
#include <thread>
#include <utility>
#include <vector>

#include "mmra/core/error.h"

namespace mmra::pipeline {
namespace {

// Decoded frames are what weighs: ten of 1280 × 720 are 28 MB.
constexpr std::size_t kDecodedRowsPerJob = 2;
constexpr std::size_t kBatchFrameBytes = std::size_t{256} << 20;
constexpr std::size_t kFinishedRows = 256;

}  // namespace

IngestStages::IngestStages(const RowDecoder& decoder, const BatchEncoder& encoder,
                           const StageOptions& options)
    : decoder_(decoder),
      encoder_(encoder),
      num_jobs_(std::max(1, options.num_jobs)),
      flush_when_idle_(options.flush_when_idle),
      user_stop_(options.stop),
      work_(options.num_queued),
      decoded_(kDecodedRowsPerJob * static_cast<std::size_t>(num_jobs_)),
      finished_(kFinishedRows) {}

/// Runs a stage; its first failure ends the others and is rethrown by run().
template <typename Stage>
void IngestStages::guarded(Stage stage) {
  try {
    stage();
  } catch (const Interrupted&) {  // the user's: the caller says so at the end
    end_reading();
  } catch (...) {
    const std::scoped_lock lock(failure_mutex_);
    if (!failure_) failure_ = std::current_exception();
    failed_ = true;
    end_reading();
    decoded_.close();
    finished_.close();
  }
}

void IngestStages::run(const Read& read, const Write& write) {
  num_decoding_ = num_jobs_ + (deal ? 1 : 0);
  num_finishing_ = deal ? 2 : 1;
  const std::stop_callback close_on_stop(user_stop_, [this] { end_reading(); });
  std::jthread reader([&] {
    guarded([&] { read([this](IngestRow row) { return work_.push(std::move(row)); }); });
    end_reading();
  });
  std::vector<std::jthread> workers;
  workers.reserve(static_cast<std::size_t>(num_jobs_));
  for (int i = 0; i < num_jobs_; ++i) {
    workers.emplace_back([&] {
      guarded([&] { decode(); });
      leave_decoding();
    });
  }
  std::jthread encoder([&] {
    guarded([&] { encode(); });
    decoded_.close();  // after a failure nobody may wait for a place in a queue
    leave_finishing();
  });
  std::jthread dealer;
  if (deal) {
    dealer = std::jthread([&] {
      guarded(deal);
      leave_finishing();
    });
  }
  guarded([&] { write(finished_); });
  end_reading();  // after a failed write nobody may wait for a place in a queue
  decoded_.close();
  finished_.close();
  reader.join();
  workers.clear();
  encoder.join();
  if (dealer.joinable()) dealer.join();
  if (failure_) std::rethrow_exception(failure_);
}

void IngestStages::end_reading() {
  work_.close();
  on_end_of_reading();
}

void IngestStages::leave_decoding() {
  if (--num_decoding_ == 0) decoded_.close();
}

void IngestStages::leave_finishing() {
  if (--num_finishing_ == 0) finished_.close();
}

void IngestStages::decode() {
  while (auto work = work_.pop()) {
    if (user_stop_.stop_requested()) return;
    ++num_begun_;
    if (!decoded_.push(decoder_.decode(*work))) return;
  }
}

IngestStages::Next IngestStages::next_row(IngestRow& row) {
  auto work = work_.try_pop();
  if (!work) return Next::kNone;
  ++num_begun_;
  if (!work->fault && !decoder_.knows(work->row.id)) {
    row = std::move(*work);
    return Next::kNew;
  }
  try {
    decoded_.push(decoder_.decode(*work));
  } catch (const Interrupted&) {  // the caller sees it by the user's token, and has more to do then
  }
  return Next::kDoneHere;
}

void IngestStages::encode() {
  std::vector<DecodedRow> batch;
  std::size_t num_bytes = 0;
  const auto finish_batch = [&] {
    if (batch.empty()) return true;
    encoder_.load();
    encoder_.encode(batch);
    bool open = true;
    for (DecodedRow& row : batch) open = open && finished_.push(std::move(row.finished));
    batch.clear();
    num_bytes = 0;
    return open;
  };
  while (auto row = decoded_.pop()) {
    if (user_stop_.stop_requested()) return;
    if (row->needs_encoding) {
      num_bytes += row->num_frame_bytes();
      batch.push_back(std::move(*row));
    } else if (!finished_.push(std::move(row->finished))) {
      return;
    }
    const bool full = batch.size() >= encoder_.batch_size() || num_bytes >= kBatchFrameBytes;
    const bool idle = flush_when_idle_ && decoded_.is_empty();
    if ((full || idle) && !finish_batch()) return;
  }
  if (!user_stop_.stop_requested()) finish_batch();
}

}  // namespace mmra::pipeline
