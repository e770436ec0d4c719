#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>
#include <stop_token>

#include "mmra/core/bounded_queue.h"
#include "mmra/pipeline/ingest_rows.h"
#include "mmra/pipeline/ingest_run.h"

namespace mmra::pipeline {

struct StageOptions {
  int num_jobs = 1;              ///< rows decoded at once
  std::size_t num_queued = 8;    ///< rows that may wait to be decoded
  bool flush_when_idle = false;  ///< see IngestRunOptions
  std::stop_token stop;          ///< the user's
};

/// The stages of an ingest and the queues between them: a thread that reads, threads that decode,
/// one that encodes; the caller's writes. All queues are bounded. What one stage throws ends the
/// others.
class IngestStages {
 public:
  IngestStages(const RowDecoder& decoder, const BatchEncoder& encoder, const StageOptions& options);

  /// On a thread of its own: gives rows, until there are none or no more are wanted.
  using Read = std::function<void(const IngestRun::Push& push)>;
  /// On the caller's thread: takes finished rows until the queue is closed and empty.
  using Write = std::function<void(BoundedQueue<FinishedRow>& finished)>;
  /// On a thread of its own: has rows finished elsewhere, by next_new_row() and finish().
  using Deal = std::function<void()>;

  /// Called when no more rows are wanted, from any thread.
  std::function<void()> on_end_of_reading = [] {};
  Deal deal;  ///< empty: all rows are finished here

  /// Returns when all is written, or when it was stopped; rethrows what a stage threw first.
  void run(const Read& read, const Write& write);
  /// Whether a stage threw: whoever waits for something else is to give up.
  [[nodiscard]] bool has_failed() const { return failed_; }

  /// No more rows are wanted; those that wait already are still worked on.
  void end_reading();

  // For `deal`:
  enum class Next { kNone, kNew, kDoneHere };
  /// Takes a row that waits, without waiting for one. What the bank knows is decoded here at once;
  /// what is new is put into `row`.
  Next next_row(IngestRow& row);
  /// There will be no row any more.
  [[nodiscard]] bool is_drained() const { return work_.is_drained(); }
  /// Rows of which somebody has begun.
  [[nodiscard]] std::int64_t num_begun() const { return num_begun_; }
  /// To be called when is_drained(), before the rows that were taken are waited for.
  void end_dealing() { leave_decoding(); }
  /// A row that was finished elsewhere. False where nobody takes it any more.
  bool finish(FinishedRow row) { return finished_.push(std::move(row)); }

 private:
  template <typename Stage>
  void guarded(Stage stage);
  void decode();
  void encode();
  void leave_decoding();
  void leave_finishing();

  const RowDecoder& decoder_;
  const BatchEncoder& encoder_;
  int num_jobs_;
  bool flush_when_idle_;
  std::stop_token user_stop_;
  BoundedQueue<IngestRow> work_;
  BoundedQueue<DecodedRow> decoded_;
  BoundedQueue<FinishedRow> finished_;
  std::atomic<int> num_decoding_ = 0;   ///< threads that fill decoded_
  std::atomic<int> num_finishing_ = 0;  ///< threads that fill finished_
  std::atomic<std::int64_t> num_begun_ = 0;
  std::atomic<bool> failed_ = false;
  std::mutex failure_mutex_;
  std::exception_ptr failure_;
};

}  // namespace mmra::pipeline
