#include "mmra/pipeline/ingest_run.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <filesystem>
#include <mutex>
#include <nlohmann/json.hpp>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include "mmra/core/bounded_queue.h"
#include "mmra/core/error.h"
#include "mmra/core/fingerprint.h"
#include "mmra/pipeline/query.h"

namespace mmra::pipeline {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

// A durable commit costs a few milliseconds whatever its size: large enough to be cheap, small
// enough that little is done again after a kill.
constexpr std::size_t kRecordsPerCommit = 256;
constexpr auto kCommitInterval = std::chrono::seconds(2);
constexpr std::size_t kQueuedRowsPerJob = 8;
// Decoded frames are what weighs: ten of 1280 × 720 are 28 MB.
constexpr std::size_t kDecodedRowsPerJob = 2;
constexpr std::size_t kBatchFrameBytes = std::size_t{256} << 20;

struct Result {
  IngestedRow row;
  bank::StoredRecord stored;  ///< where added or updated
};

/// A row between decoding and writing: done already, or with what the encoders still need.
struct DecodedRow {
  Result result;
  bool needs_encoding = false;
  std::vector<media::Frame> frames;
  std::int64_t row_index = 0;

  [[nodiscard]] std::size_t num_frame_bytes() const {
    std::size_t num_bytes = 0;
    for (const media::Frame& frame : frames) num_bytes += frame.rgb.size();
    return num_bytes;
  }
};

/// Everything of a row but the bytes of its video.
std::string fingerprint_row(const bank::ManifestRow& row) {
  nlohmann::json context = nlohmann::json::object();
  for (const auto& [name, value] : row.context) {
    if (const auto* number = std::get_if<double>(&value)) {
      context[name] = *number;
    } else {
      context[name] = std::get<std::string>(value);
    }
  }
  const nlohmann::json content = {
      row.title,
      row.popularity ? nlohmann::json(*row.popularity) : nlohmann::json(),
      row.posted_at ? nlohmann::json(row.posted_at->ms) : nlohmann::json(),
      std::string(bank::name_of(split_of(row))),
      row.video_path.empty(),
      context};
  return fingerprint(content.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
}

struct VideoIdentity {
  std::string fingerprint;
  std::int64_t size_bytes = 0;
  std::int64_t mtime_ns = 0;
};

/// Reads the bytes only where size or time differ from what the bank remembers.
VideoIdentity identify_video(const fs::path& video, const std::optional<bank::Record>& stored) {
  VideoIdentity identity;
  if (video.empty()) return identity;
  std::error_code code;
  const auto size = fs::file_size(video, code);
  if (code == std::errc::is_a_directory) {
    throw Error(ErrorKind::kInvalidInput,
                "cannot read " + video.string() + ": it is a directory, a video is needed");
  }
  if (code) throw system_error("read", video.string(), code.value());
  const auto written = fs::last_write_time(video, code);
  if (code) throw system_error("read", video.string(), code.value());
  identity.size_bytes = static_cast<std::int64_t>(size);
  identity.mtime_ns =
      std::chrono::duration_cast<std::chrono::nanoseconds>(written.time_since_epoch()).count();
  const bool as_remembered = stored && !stored->video_fingerprint.empty() &&
                             stored->video_size_bytes == identity.size_bytes &&
                             stored->video_mtime_ns == identity.mtime_ns;
  identity.fingerprint = as_remembered ? stored->video_fingerprint : fingerprint_file(video);
  return identity;
}

bool are_same(const HalfTokenMatrix& a, const HalfTokenMatrix& b) {
  return a.num_tokens == b.num_tokens && a.dim == b.dim && a.values == b.values;
}

bool are_same(const bank::Features& a, const bank::Features& b) {
  return are_same(a.visual_tokens, b.visual_tokens) && are_same(a.text_tokens, b.text_tokens) &&
         a.retrieval_vector == b.retrieval_vector;
}

void apply_feature_files(const FeatureFiles& files, std::int64_t row_index,
                         bank::Features& features) {
  if (files.visual) features.visual_tokens = files.visual->tokens(row_index);
  if (files.text) features.text_tokens = files.text->tokens(row_index);
  if (files.retrieval) features.retrieval_vector = files.retrieval->unit_vector(row_index);
}

/// Everything of a row that needs no other row: what the bank has of it, its frames. Thread-safe.
class RowDecoder {
 public:
  RowDecoder(const encoders::EncoderTraits& traits, const bank::MemoryBank& bank,
             const FeatureFiles& files, std::stop_token stop)
      : traits_(traits),
        bank_(bank),
        schema_(bank.info().schema),
        files_(files),
        stop_(std::move(stop)) {}

  DecodedRow decode(const IngestRow& work) const {
    DecodedRow decoded;
    try {
      decoded = decode_or_throw(work);
    } catch (const Error& error) {
      decoded.result.row.outcome = IngestOutcome::kFailed;
      decoded.result.row.failure =
          bank::IngestFailure{work.row.id, work.row.line, work.row.video_path, error.what()};
    }
    decoded.result.row.id = work.row.id;
    decoded.result.row.line = work.row.line;
    return decoded;
  }

 private:
  DecodedRow decode_or_throw(const IngestRow& work) const {
    if (work.fault) throw Error(ErrorKind::kInvalidInput, *work.fault);
    const bank::ManifestRow& row = work.row;
    const std::optional<bank::Record> stored = bank_.find(row.id);
    const bool has_tokens = files_.visual || files_.text;
    if (row.title.empty() && row.video_path.empty() && !has_tokens) {
      throw Error(ErrorKind::kInvalidInput, "line " + std::to_string(row.line) +
                                                " has neither a title nor a video; give one");
    }
    const VideoIdentity video = identify_video(row.video_path, stored);
    const std::string row_fingerprint = fingerprint_row(row);
    const std::string video_path =
        row.video_path.empty() ? "" : fs::absolute(row.video_path).string();
    const bool same_video = stored && stored->video_fingerprint == video.fingerprint;
    const bool same_row = same_video && stored->row_fingerprint == row_fingerprint &&
                          stored->video_path == video_path;
    DecodedRow decoded;
    if (same_row && !files_.any()) return decoded;
    Result& result = decoded.result;
    result.row.outcome = stored ? IngestOutcome::kUpdated : IngestOutcome::kAdded;
    bank::Record& record = result.stored.record;
    if (stored) record = *stored;
    const bool same_input = same_video && stored->title == row.title;
    record.id = row.id;
    record.title = row.title;
    record.popularity = row.popularity;
    record.posted_at = row.posted_at;
    record.split = split_of(row);
    record.video_path = video_path;
    record.row_fingerprint = row_fingerprint;
    record.video_fingerprint = video.fingerprint;
    record.video_size_bytes = video.size_bytes;
    record.video_mtime_ns = video.mtime_ns;
    set_context(row, same_video, record.context);

    std::optional<bank::Features> features;
    if (same_input) features = bank_.find_features(row.id);
    if (!features) {
      decoded.needs_encoding = true;
      decoded.row_index = work.row_index;
      decode_video(row, decoded);
      return decoded;
    }
    result.stored.features = *features;
    apply_feature_files(files_, work.row_index, result.stored.features);
    if (same_row && are_same(*features, result.stored.features)) return {};
    return decoded;
  }

  /// The manifest's columns, and what the file said where it is still the same file.
  static void set_context(const bank::ManifestRow& row, bool same_video, bank::Context& context) {
    bank::Context kept;
    if (same_video) {
      for (const auto& [name, value] : context) {
        if (clip_columns().count(name) != 0) kept[name] = value;
      }
    }
    context = row.context;
    context.merge(kept);
  }

  void decode_video(const bank::ManifestRow& row, DecodedRow& decoded) const {
    if (row.video_path.empty()) return;
    DecodedClip clip = decode_clip(row.video_path, traits_, schema_.num_frames, 1, stop_);
    bank::Record& record = decoded.result.stored.record;
    record.thumbnails = std::move(clip.thumbnails);
    add_clip_context(clip.clip, schema_.context_columns, record.context);
    if (clip.warning) decoded.result.row.warning = row.id + ": " + *clip.warning;
    decoded.frames = std::move(clip.frames);
  }

  const encoders::EncoderTraits& traits_;
  const bank::MemoryBank& bank_;
  bank::BankSchema schema_;
  const FeatureFiles& files_;
  std::stop_token stop_;
};

/// Fills the features of decoded rows, a batch at a time.
class BatchEncoder {
 public:
  BatchEncoder(const encoders::EncoderSet& encoders, const FeatureFiles& files,
               encoders::EncodeOptions options)
      : encoders_(encoders), files_(files), options_(std::move(options)) {}

  [[nodiscard]] std::size_t batch_size() const {
    return static_cast<std::size_t>(encoders_.traits().batch_size);
  }

  /// Faults of the models themselves, which are no row's.
  void load() const { encoders_.load(); }

  void encode(std::span<DecodedRow> rows) const {
    try {
      encode_or_throw(rows);
    } catch (const Error& error) {
      if (rows.size() > 1) {  // the fault of one row must not be that of its batch
        for (DecodedRow& row : rows) encode(std::span(&row, 1));
        return;
      }
      IngestedRow& row = rows.front().result.row;
      row.outcome = IngestOutcome::kFailed;
      row.failure = bank::IngestFailure{row.id, row.line,
                                        rows.front().result.stored.record.video_path, error.what()};
    }
  }

 private:
  void encode_or_throw(std::span<DecodedRow> rows) const {
    std::vector<encoders::EncoderInput> items;
    items.reserve(rows.size());
    for (const DecodedRow& row : rows)
      items.push_back({row.frames, row.result.stored.record.title});
    std::vector<encoders::Encoding> encodings = encoders_.encode(items, options_);
    for (std::size_t i = 0; i < rows.size(); ++i) {
      bank::StoredRecord& stored = rows[i].result.stored;
      stored.record.captions = std::move(encodings[i].captions);
      stored.features.visual_tokens = to_half(encodings[i].visual_tokens);
      stored.features.text_tokens = to_half(encodings[i].text_tokens);
      stored.features.retrieval_vector = std::move(encodings[i].retrieval_vector);
      apply_feature_files(files_, rows[i].row_index, stored.features);
      rows[i].frames = {};
    }
  }

  const encoders::EncoderSet& encoders_;
  const FeatureFiles& files_;
  encoders::EncodeOptions options_;
};

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

/// The stages and the queues between them.
class Stages {
 public:
  Stages(bank::MemoryBank& bank, const RowDecoder& decoder, const BatchEncoder& encoder,
         const IngestRunOptions& options, const IngestRun& callbacks)
      : bank_(bank),
        decoder_(decoder),
        encoder_(encoder),
        callbacks_(callbacks),
        num_jobs_(std::max(1, options.num_jobs)),
        flush_when_idle_(options.flush_when_idle),
        user_stop_(options.encode.stop),
        work_(kQueuedRowsPerJob * static_cast<std::size_t>(num_jobs_)),
        decoded_(kDecodedRowsPerJob * static_cast<std::size_t>(num_jobs_)),
        results_(kRecordsPerCommit) {}

  void run(const IngestRun::Reader& read) {
    const std::stop_callback close_on_stop(user_stop_, [this] { end_reading(); });
    std::jthread reader([&] {
      guarded([&] { read([this](IngestRow row) { return take(std::move(row)); }); });
      end_reading();
    });
    std::vector<std::jthread> workers;
    workers.reserve(static_cast<std::size_t>(num_jobs_));
    std::atomic<int> running{num_jobs_};
    for (int i = 0; i < num_jobs_; ++i) {
      workers.emplace_back([&] {
        guarded([&] { decode(); });
        if (--running == 0) decoded_.close();
      });
    }
    std::jthread encoder([&] {
      guarded([&] { encode(); });
      decoded_.close();  // after a failure nobody may wait for a place in a queue
      results_.close();
    });
    guarded([&] { write(); });
    end_reading();  // after a failed write nobody may wait for a place in a queue
    decoded_.close();
    results_.close();
    reader.join();
    workers.clear();
    encoder.join();
    if (failure_) std::rethrow_exception(failure_);
  }

 private:
  /// Runs a stage; its first failure ends the others and is rethrown by run().
  template <typename Stage>
  void guarded(Stage stage) {
    try {
      stage();
    } catch (const Interrupted&) {  // the user's: the caller says so at the end
      end_reading();
    } catch (...) {
      const std::scoped_lock lock(failure_mutex_);
      if (!failure_) failure_ = std::current_exception();
      end_reading();
      decoded_.close();
      results_.close();
    }
  }

  void end_reading() {
    work_.close();
    ids_.close();
  }

  bool take(IngestRow row) { return ids_.take(row.row.id) && work_.push(std::move(row)); }

  void decode() {
    while (auto work = work_.pop()) {
      if (user_stop_.stop_requested()) return;
      if (!decoded_.push(decoder_.decode(*work))) return;
    }
  }

  void encode() {
    std::vector<DecodedRow> batch;
    std::size_t num_bytes = 0;
    const auto finish_batch = [&] {
      if (batch.empty()) return true;
      encoder_.load();
      encoder_.encode(batch);
      bool open = true;
      for (DecodedRow& row : batch) open = open && results_.push(std::move(row.result));
      batch.clear();
      num_bytes = 0;
      return open;
    };
    while (auto row = decoded_.pop()) {
      if (user_stop_.stop_requested()) return;
      if (row->needs_encoding) {
        num_bytes += row->num_frame_bytes();
        batch.push_back(std::move(*row));
      } else if (!results_.push(std::move(row->result))) {
        return;
      }
      const bool full = batch.size() >= encoder_.batch_size() || num_bytes >= kBatchFrameBytes;
      const bool idle = flush_when_idle_ && decoded_.is_empty();
      if ((full || idle) && !finish_batch()) return;
    }
    if (!user_stop_.stop_requested()) finish_batch();
  }

  void write() {
    auto last_commit = Clock::now();
    const auto commit = [&] {
      if (!batch_.empty()) bank_.put(batch_);
      if (!done_.empty()) callbacks_.on_committed(done_);
      ids_.give_back(done_);
      batch_.clear();
      done_.clear();
      last_commit = Clock::now();
    };
    while (auto result = results_.pop()) {
      callbacks_.on_done(result->row);
      if (result->row.outcome == IngestOutcome::kAdded ||
          result->row.outcome == IngestOutcome::kUpdated) {
        batch_.push_back(std::move(result->stored));
      }
      done_.push_back(std::move(result->row));
      const bool idle = flush_when_idle_ && results_.is_empty();
      if (idle || done_.size() >= kRecordsPerCommit ||
          Clock::now() - last_commit > kCommitInterval) {
        commit();
      }
    }
    commit();
  }

  bank::MemoryBank& bank_;
  const RowDecoder& decoder_;
  const BatchEncoder& encoder_;
  const IngestRun& callbacks_;
  int num_jobs_;
  bool flush_when_idle_;
  std::stop_token user_stop_;
  IdsUnderWay ids_;
  BoundedQueue<IngestRow> work_;
  BoundedQueue<DecodedRow> decoded_;
  BoundedQueue<Result> results_;
  std::vector<bank::StoredRecord> batch_;
  std::vector<IngestedRow> done_;  ///< since the last commit
  std::mutex failure_mutex_;
  std::exception_ptr failure_;
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

void IngestRun::run(const Reader& reader) {
  const RowDecoder decoder(encoders_.traits(), bank_, files_, options_.encode.stop);
  const BatchEncoder encoder(encoders_, files_, options_.encode);
  Stages(bank_, decoder, encoder, options_, *this).run(reader);
}

}  // namespace mmra::pipeline
