#include "mmra/pipeline/ingest.h"

#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <exception>
#include <fstream>
#include <iostream>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <set>
#include <thread>
#include <utility>

#include "mmra/bank/failures.h"
#include "mmra/bank/manifest.h"
#include "mmra/bank/memory_bank.h"
#include "mmra/core/bounded_queue.h"
#include "mmra/core/error.h"
#include "mmra/core/files.h"
#include "mmra/core/fingerprint.h"
#include "mmra/encoders/encoder_set.h"
#include "mmra/pipeline/feature_file.h"
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

const std::map<std::string, bank::ColumnType> kClipColumns = {
    {"duration_s", bank::ColumnType::kNumber},
    {"width", bank::ColumnType::kNumber},
    {"height", bank::ColumnType::kNumber},
    {"frame_rate", bank::ColumnType::kNumber},
    {"has_audio", bank::ColumnType::kNumber}};

/// A manifest that can be read twice: standard input is kept in a temporary file.
class ManifestSource {
 public:
  explicit ManifestSource(const fs::path& manifest) : path_(manifest) {
    if (manifest != "-") return;
    std::string pattern = (fs::temp_directory_path() / "mmra-stdin-XXXXXX.jsonl").string();
    const int descriptor = ::mkstemps(pattern.data(), 6);
    if (descriptor < 0) throw system_error("make a temporary file in", pattern, errno);
    ::close(descriptor);
    path_ = temporary_ = pattern;
    std::ofstream copy(temporary_, std::ios::binary);
    copy << std::cin.rdbuf();
    copy.close();
    // An empty stream sets failbit above; the reader then says that the manifest is empty.
    if (std::cin.bad()) throw Error(ErrorKind::kIo, "cannot read standard input");
  }
  ManifestSource(const ManifestSource&) = delete;
  ManifestSource& operator=(const ManifestSource&) = delete;
  ~ManifestSource() {
    std::error_code ignored;
    if (!temporary_.empty()) fs::remove(temporary_, ignored);
  }
  [[nodiscard]] const fs::path& path() const { return path_; }

 private:
  fs::path path_;
  fs::path temporary_;
};

/// What has to be known of the whole manifest before the first row is encoded.
struct Survey {
  bank::ManifestSummary summary;
  std::vector<std::string> train_titles;  ///< only where encoders have to be fitted
  bool has_video = false;
};

bank::Split split_of(const bank::ManifestRow& row) {
  return row.split ? *row.split : bank::split_of_id(row.id);
}

Survey survey_manifest(const fs::path& manifest,
                       const std::map<std::string, bank::ColumnType>& known_columns,
                       bool with_titles) {
  Survey survey;
  survey.summary = bank::scan_manifest(manifest, known_columns);
  survey.has_video = survey.summary.num_with_video > 0;
  if (!with_titles) return survey;
  const bank::ManifestVisitor take_title = [&](const bank::ManifestRow& row) {
    if (split_of(row) == bank::Split::kTrain) survey.train_titles.push_back(row.title);
    return true;
  };
  bank::read_manifest(manifest, take_title, {survey.summary.context_columns, true});
  return survey;
}

void require_same(const std::string& what, const std::string& bank_has, const std::string& given,
                  bool was_given, const fs::path& directory) {
  if (!was_given || bank_has == given) return;
  throw Error(ErrorKind::kInvalidInput, directory.string() + " was made with " + what + " \"" +
                                            bank_has + "\", not \"" + given +
                                            "\": leave the flag out, or make another bank");
}

/// An existing bank keeps the encoders that made it; naming others is a mistake worth a line.
void require_same_encoders(const bank::BankSchema& schema, const IngestOptions& options) {
  const std::string bank_has = schema.encoders_name + " (" + schema.encoders_fingerprint + ")";
  const bool builtin = options.encoder_set.empty();
  const bool bank_is_builtin = schema.encoders_name.rfind("builtin", 0) == 0;
  const std::string given = builtin ? "builtin"
                                    : options.encoder_set.filename().string() + " (" +
                                          encoders::fingerprint_of_set(options.encoder_set) + ")";
  const bool same =
      builtin ? bank_is_builtin : given.find(schema.encoders_fingerprint) != std::string::npos;
  require_same("the encoders", bank_has, same ? bank_has : given, true, options.bank_directory);
}

bank::BankSchema schema_for(const encoders::EncoderSet& encoders, const IngestOptions& options,
                            const FeatureFiles& files) {
  bank::BankSchema schema;
  schema.popularity_unit = options.popularity_unit;
  schema.popularity_horizon = options.popularity_horizon;
  schema.num_frames = options.num_frames;
  schema.encoders_name = encoders.name() + files.name_suffix();
  schema.encoders_fingerprint = encoders.fingerprint();
  schema.visual_dim = files.visual ? files.visual->dim() : encoders.visual_dim();
  schema.text_dim = files.text ? files.text->dim() : encoders.text_dim();
  schema.retrieval_dim = files.retrieval ? files.retrieval->dim() : encoders.retrieval_dim();
  return schema;
}

/// A new bank gets a directory of its own: nothing of somebody else's is ever written over.
void require_free_directory(const fs::path& directory) {
  if (bank::files_directory(directory) != directory) return;  // on a server, and this is its cache
  static const std::set<std::string> kLeftByAKill = {"encoders", "records.unfinished",
                                                     "writer.lock"};
  std::error_code code;
  for (const auto& entry : fs::directory_iterator(directory, code)) {
    const std::string name = entry.path().filename().string();
    if (kLeftByAKill.count(name) != 0) continue;
    throw Error(ErrorKind::kInvalidInput, directory.string() +
                                              " is no memory bank and holds other things (" + name +
                                              "); name a new directory for the bank");
  }
}

std::unique_ptr<bank::MemoryBank> make_bank(const IngestOptions& options,
                                            const std::vector<std::string>& train_titles,
                                            const FeatureFiles& files) {
  make_directories(bank::files_directory(options.bank_directory));
  // What a fit that was killed before the bank was made has left there is replaced.
  const fs::path encoders_directory = bank::encoders_directory(options.bank_directory);
  if (options.encoder_set.empty()) {
    encoders::fit_builtin(train_titles, encoders_directory);
  } else {
    encoders::freeze_pretrained(options.encoder_set, encoders_directory);
  }
  const encoders::EncoderSet encoders =
      encoders::open_encoder_set(encoders_directory, options.precision);
  encoders.load();  // a fault in a model's files shows before there is a bank
  const bank::BankSchema schema = schema_for(encoders, options, files);
  if (schema.retrieval_dim == 0) {
    throw Error(
        ErrorKind::kInvalidInput,
        "the encoders " + schema.encoders_name +
            " have no part retrieval/, so that nothing could be retrieved; add one, or give "
            "--retrieval-vectors");
  }
  return bank::create_bank(options.bank_directory, schema);
}

/// A row on its way through the workers.
struct Work {
  bank::ManifestRow row;
  std::int64_t row_index = 0;  ///< in the manifest, from 0: the row of feature files
  std::optional<bank::Record> stored;
};

enum class Outcome { kAdded, kUpdated, kUnchanged, kFailed };

struct Result {
  Outcome outcome = Outcome::kUnchanged;
  bank::StoredRecord stored;  ///< where added or updated
  std::optional<bank::IngestFailure> failure;
  std::optional<std::string> warning;
};

/// A row between decoding and writing: done already, or with what the encoders still need.
struct DecodedRow {
  Result result;
  bool needs_encoding = false;
  std::vector<media::Frame> frames;
  std::int64_t row_index = 0;
  std::int64_t line = 0;

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

  DecodedRow decode(const Work& work) const {
    try {
      return decode_or_throw(work);
    } catch (const Error& error) {
      DecodedRow row;
      row.result.outcome = Outcome::kFailed;
      row.result.failure =
          bank::IngestFailure{work.row.id, work.row.line, work.row.video_path, error.what()};
      return row;
    }
  }

 private:
  DecodedRow decode_or_throw(const Work& work) const {
    const bank::ManifestRow& row = work.row;
    const bool has_tokens = files_.visual || files_.text;
    if (row.title.empty() && row.video_path.empty() && !has_tokens) {
      throw Error(ErrorKind::kInvalidInput, "line " + std::to_string(row.line) +
                                                " has neither a title nor a video; give one");
    }
    const VideoIdentity video = identify_video(row.video_path, work.stored);
    const std::string row_fingerprint = fingerprint_row(row);
    const std::string video_path =
        row.video_path.empty() ? "" : fs::absolute(row.video_path).string();
    const bool same_video = work.stored && work.stored->video_fingerprint == video.fingerprint;
    const bool same_row = same_video && work.stored->row_fingerprint == row_fingerprint &&
                          work.stored->video_path == video_path;
    DecodedRow decoded;
    if (same_row && !files_.any()) return decoded;
    Result& result = decoded.result;
    result.outcome = work.stored ? Outcome::kUpdated : Outcome::kAdded;
    bank::Record& record = result.stored.record;
    if (work.stored) record = *work.stored;
    const bool same_input = same_video && work.stored->title == row.title;
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
      decoded.line = row.line;
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
        if (kClipColumns.count(name) != 0) kept[name] = value;
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
    if (clip.warning) decoded.result.warning = row.id + ": " + *clip.warning;
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
      Result& result = rows.front().result;
      const bank::Record& record = result.stored.record;
      result.outcome = Outcome::kFailed;
      result.failure =
          bank::IngestFailure{record.id, rows.front().line, record.video_path, error.what()};
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

/// The bounded pipeline: one thread reads rows, `num_jobs` decode, one encodes batches on as many
/// threads as it was given, the caller's writes.
class IngestRun {
 public:
  IngestRun(bank::MemoryBank& bank, const RowDecoder& decoder, const BatchEncoder& encoder,
            int num_jobs, std::stop_token stop, ProgressSink& progress)
      : bank_(bank),
        decoder_(decoder),
        encoder_(encoder),
        num_jobs_(std::max(1, num_jobs)),
        user_stop_(std::move(stop)),
        progress_(progress),
        work_(kQueuedRowsPerJob * static_cast<std::size_t>(num_jobs_)),
        decoded_(kDecodedRowsPerJob * static_cast<std::size_t>(num_jobs_)),
        results_(kRecordsPerCommit) {}

  void run(const fs::path& manifest, const bank::ManifestOptions& manifest_options,
           IngestReport& report, std::vector<bank::IngestFailure>& failures) {
    const std::stop_callback close_on_stop(user_stop_, [this] { work_.close(); });
    std::jthread reader([&] {
      guarded([&] { read(manifest, manifest_options); });
      work_.close();
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
    guarded([&] { write(report, failures); });
    work_.close();  // after a failed write nobody may wait for a place in a queue
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
      work_.close();
    } catch (...) {
      const std::scoped_lock lock(failure_mutex_);
      if (!failure_) failure_ = std::current_exception();
      work_.close();
      decoded_.close();
      results_.close();
    }
  }

  void read(const fs::path& manifest, const bank::ManifestOptions& options) {
    std::int64_t index = 0;
    const bank::ManifestVisitor queue = [&](const bank::ManifestRow& row) {
      return work_.push({row, index++, bank_.find(row.id)});
    };
    bank::read_manifest(manifest, queue, options);
  }

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
      if (!row->needs_encoding) {
        if (!results_.push(std::move(row->result))) return;
        continue;
      }
      num_bytes += row->num_frame_bytes();
      batch.push_back(std::move(*row));
      const bool full = batch.size() >= encoder_.batch_size() || num_bytes >= kBatchFrameBytes;
      if (full && !finish_batch()) return;
    }
    if (!user_stop_.stop_requested()) finish_batch();
  }

  void write(IngestReport& report, std::vector<bank::IngestFailure>& failures) {
    auto last_commit = Clock::now();
    const auto commit = [&] {
      if (!batch_.empty()) bank_.put(batch_);
      batch_.clear();
      last_commit = Clock::now();
    };
    while (auto result = results_.pop()) {
      count(*result, report, failures);
      if (result->outcome == Outcome::kAdded || result->outcome == Outcome::kUpdated) {
        batch_.push_back(std::move(result->stored));
      }
      if (batch_.size() >= kRecordsPerCommit || Clock::now() - last_commit > kCommitInterval) {
        commit();
      }
      progress_.advance(1);
    }
    commit();
  }

  void count(const Result& result, IngestReport& report,
             std::vector<bank::IngestFailure>& failures) {
    switch (result.outcome) {
      case Outcome::kAdded:
        ++report.num_added;
        break;
      case Outcome::kUpdated:
        ++report.num_updated;
        break;
      case Outcome::kUnchanged:
        ++report.num_unchanged;
        break;
      case Outcome::kFailed:
        ++report.num_failed;
        break;
    }
    if (result.failure) {
      progress_.note("failed: " + result.failure->id + ": " + result.failure->what);
      failures.push_back(*result.failure);
    }
    if (result.warning) {
      ++report.num_warnings;
      progress_.note("warning: " + *result.warning);
    }
  }

  bank::MemoryBank& bank_;
  const RowDecoder& decoder_;
  const BatchEncoder& encoder_;
  int num_jobs_;
  std::stop_token user_stop_;
  ProgressSink& progress_;
  BoundedQueue<Work> work_;
  BoundedQueue<DecodedRow> decoded_;
  BoundedQueue<Result> results_;
  std::vector<bank::StoredRecord> batch_;
  std::mutex failure_mutex_;
  std::exception_ptr failure_;
};

void check_options_fit(const bank::BankSchema& schema, const IngestOptions& options) {
  const fs::path& directory = options.bank_directory;
  require_same("--unit", schema.popularity_unit, options.popularity_unit, options.unit_given,
               directory);
  require_same("--horizon", schema.popularity_horizon, options.popularity_horizon,
               options.horizon_given, directory);
  if (options.encoders_given) require_same_encoders(schema, options);
  require_same("--frames", std::to_string(schema.num_frames), std::to_string(options.num_frames),
               options.frames_given, directory);
}

/// The manifest's columns, and the clips' own where no column of that name has another type.
std::map<std::string, bank::ColumnType> columns_to_add(const Survey& survey,
                                                       const bank::BankSchema& schema) {
  std::map<std::string, bank::ColumnType> columns = survey.summary.context_columns;
  if (survey.has_video) {
    for (const auto& column : kClipColumns) {
      if (schema.context_columns.count(column.first) == 0) columns.insert(column);
    }
  }
  return columns;
}

}  // namespace

IngestReport ingest(const fs::path& manifest, const IngestOptions& options,
                    ProgressSink& progress) {
  const auto started = Clock::now();
  const ManifestSource source(manifest);
  const bool exists = bank::bank_exists(options.bank_directory);
  std::unique_ptr<bank::MemoryBank> bank;
  std::map<std::string, bank::ColumnType> known_columns;
  if (exists) {
    bank = bank::open_bank(options.bank_directory, bank::OpenMode::kReadWrite);
    known_columns = bank->info().schema.context_columns;
    check_options_fit(bank->info().schema, options);
  } else {
    require_free_directory(options.bank_directory);
  }
  progress.begin("checking the manifest", std::nullopt);
  const Survey survey =
      survey_manifest(source.path(), known_columns, !exists && options.encoder_set.empty());
  const FeatureFiles files = open_feature_files(options, survey.summary.num_rows);
  progress.end();

  IngestReport report;
  report.num_rows = survey.summary.num_rows;
  if (!bank) {
    report.fitted_encoders = options.encoder_set.empty();
    progress.note(report.fitted_encoders
                      ? "new bank: fitting the builtin encoders on the titles of " +
                            std::to_string(survey.train_titles.size()) + " train rows"
                      : "new bank: reading the encoders in " + options.encoder_set.string());
    bank = make_bank(options, survey.train_titles, files);
  }
  const bank::BankSchema schema = bank->info().schema;
  check_feature_files(files, schema);
  bank->add_context_columns(columns_to_add(survey, schema));

  const encoders::EncoderSet encoders =
      open_bank_encoders(options.bank_directory, schema, options.precision);
  const RowDecoder decoder(encoders.traits(), *bank, files, options.stop);
  const BatchEncoder encoder(encoders, files, {options.num_threads, options.stop});
  std::vector<bank::IngestFailure> failures;
  progress.begin("ingesting", survey.summary.num_rows);
  IngestRun(*bank, decoder, encoder, options.num_jobs, options.stop, progress)
      .run(source.path(), {survey.summary.context_columns, true}, report, failures);
  progress.end();
  bank::write_failures(bank::failures_file(options.bank_directory), failures);
  if (options.stop.stop_requested()) throw Interrupted();
  if (report.num_added + report.num_updated > 0) (void)bank->table();  // saves the derived file
  report.seconds = std::chrono::duration<double>(Clock::now() - started).count();
  return report;
}

void fit_bank_encoders(const fs::path& manifest, const IngestOptions& options) {
  if (bank::bank_exists(options.bank_directory)) {
    throw Error(ErrorKind::kInvalidInput,
                options.bank_directory.string() +
                    " is a bank already, and its encoders are frozen; name another directory");
  }
  require_free_directory(options.bank_directory);
  const ManifestSource source(manifest);
  const Survey survey = survey_manifest(source.path(), {}, true);
  make_bank(options, survey.train_titles, {});
}

}  // namespace mmra::pipeline
