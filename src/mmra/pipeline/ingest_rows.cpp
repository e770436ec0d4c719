#include "mmra/pipeline/ingest_rows.h"

#include <chrono>
#include <exception>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "mmra/core/error.h"
#include "mmra/core/fingerprint.h"
#include "mmra/pipeline/query.h"

namespace mmra::pipeline {
namespace {

namespace fs = std::filesystem;

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

/// Not the row's fault: whoever decodes it must not go on as if it were.
struct BankAway {
  std::exception_ptr cause;
};

/// What `read` returns. Throws BankAway where the bank cannot be read, as of a server.
template <typename Read>
auto from_bank(const Read& read) {
  try {
    return read();
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::kIo) throw BankAway{std::current_exception()};
    throw;
  }
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

/// The manifest's columns, and what the file said where it is still the same file.
void set_context(const bank::ManifestRow& row, bool same_video, bank::Context& context) {
  bank::Context kept;
  if (same_video) {
    for (const auto& [name, value] : context) {
      if (clip_columns().count(name) != 0) kept[name] = value;
    }
  }
  context = row.context;
  context.merge(kept);
}

}  // namespace

std::size_t DecodedRow::num_frame_bytes() const {
  std::size_t num_bytes = 0;
  for (const media::Frame& frame : frames) num_bytes += frame.rgb.size();
  return num_bytes;
}

std::optional<bank::Record> RowDecoder::find(std::string_view id) const {
  return bank_ == nullptr ? std::nullopt : from_bank([&] { return bank_->find(id); });
}

DecodedRow RowDecoder::decode(const IngestRow& work) const {
  DecodedRow decoded;
  try {
    decoded = decode_or_throw(work);
  } catch (const BankAway& away) {
    std::rethrow_exception(away.cause);
  } catch (const Error& error) {
    decoded.finished.row.outcome = IngestOutcome::kFailed;
    decoded.finished.row.failure =
        bank::IngestFailure{work.row.id, work.row.line, work.row.video_path, error.what()};
  }
  decoded.finished.row.id = work.row.id;
  decoded.finished.row.line = work.row.line;
  return decoded;
}

DecodedRow RowDecoder::decode_or_throw(const IngestRow& work) const {
  if (work.fault) throw Error(ErrorKind::kInvalidInput, *work.fault);
  const bank::ManifestRow& row = work.row;
  const std::optional<bank::Record> stored = find(row.id);
  const bool has_tokens = files_.visual || files_.text;
  if (row.title.empty() && row.video_path.empty() && !has_tokens) {
    throw Error(ErrorKind::kInvalidInput,
                "line " + std::to_string(row.line) + " has neither a title nor a video; give one");
  }
  const VideoIdentity video = identify_video(row.video_path, stored);
  const std::string row_fingerprint = fingerprint_row(row);
  const std::string video_path =
      row.video_path.empty() ? "" : fs::absolute(row.video_path).string();
  const bool same_video = stored && stored->video_fingerprint == video.fingerprint;
  const bool same_row =
      same_video && stored->row_fingerprint == row_fingerprint && stored->video_path == video_path;
  DecodedRow decoded;
  if (same_row && !files_.any()) return decoded;
  FinishedRow& finished = decoded.finished;
  finished.row.outcome = stored ? IngestOutcome::kUpdated : IngestOutcome::kAdded;
  bank::Record& record = finished.stored.record;
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
  if (same_input) features = from_bank([&] { return bank_->find_features(row.id); });
  if (!features) {
    decoded.needs_encoding = true;
    decoded.row_index = work.row_index;
    decode_video(row, decoded);
    return decoded;
  }
  finished.stored.features = *features;
  apply_feature_files(files_, work.row_index, finished.stored.features);
  if (same_row && are_same(*features, finished.stored.features)) return {};
  return decoded;
}

void RowDecoder::decode_video(const bank::ManifestRow& row, DecodedRow& decoded) const {
  if (row.video_path.empty()) return;
  DecodedClip clip = decode_clip(row.video_path, traits_, schema_.num_frames, 1, stop_);
  bank::Record& record = decoded.finished.stored.record;
  record.thumbnails = std::move(clip.thumbnails);
  add_clip_context(clip.clip, schema_.context_columns, record.context);
  if (clip.warning) decoded.finished.row.warning = row.id + ": " + *clip.warning;
  decoded.frames = std::move(clip.frames);
}

void BatchEncoder::encode(std::span<DecodedRow> rows) const {
  try {
    encode_or_throw(rows);
  } catch (const Error& error) {
    if (rows.size() > 1) {  // the fault of one row must not be that of its batch
      for (DecodedRow& row : rows) encode(std::span(&row, 1));
      return;
    }
    IngestedRow& row = rows.front().finished.row;
    row.outcome = IngestOutcome::kFailed;
    row.failure = bank::IngestFailure{row.id, row.line,
                                      rows.front().finished.stored.record.video_path, error.what()};
  }
}

void BatchEncoder::encode_or_throw(std::span<DecodedRow> rows) const {
  std::vector<encoders::EncoderInput> items;
  items.reserve(rows.size());
  for (const DecodedRow& row : rows)
    items.push_back({row.frames, row.finished.stored.record.title});
  std::vector<encoders::Encoding> encodings = encoders_.encode(items, options_);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    bank::StoredRecord& stored = rows[i].finished.stored;
    stored.record.captions = std::move(encodings[i].captions);
    stored.features.visual_tokens = to_half(encodings[i].visual_tokens);
    stored.features.text_tokens = to_half(encodings[i].text_tokens);
    stored.features.retrieval_vector = std::move(encodings[i].retrieval_vector);
    apply_feature_files(files_, rows[i].row_index, stored.features);
    rows[i].frames = {};
  }
}

}  // namespace mmra::pipeline
