#include "mmra/serving/backend.h"

#include <chrono>
#include <thread>
#include <utility>

#include "mmra/bank/milvus/address.h"
#include "mmra/bank/text_checks.h"
#include "mmra/core/error.h"
#include "mmra/pipeline/feature_file.h"
#include "mmra/serving/directory_stamp.h"
#include "mmra/serving/model_card.h"

namespace mmra::serving {
namespace {

constexpr std::size_t kQueuedReads = 256;
constexpr std::size_t kQueuedWrites = 64;
// One query is a few rows: waking a second thread costs the network more than it gives.
constexpr int kNetworkThreads = 1;
// A model that is put in place just then is read again.
constexpr int kReadAttempts = 5;
constexpr std::chrono::milliseconds kBetweenAttempts{200};

Problem no_record(const std::string& id) {
  return {404, "no_record", "the bank has no record " + bank::in_quotes(id),
          "GET /v1/videos lists the records"};
}

}  // namespace

Backend::Backend(ServiceOptions options)
    : options_(std::move(options)),
      bank_(bank::open_bank(options_.bank_directory, options_.read_only
                                                         ? bank::OpenMode::kReadOnly
                                                         : bank::OpenMode::kReadWrite)),
      listing_(*bank_),
      decoder_(options_.decoder_program, options_.decoder_limits),
      model_card_(read_model_card(options_.model_directory)),
      uploads_(options_.max_uploads),
      decoded_clips_(options_.max_decoded_clips),
      index_keeper_(make_index_keeper()),
      inference_(open_engine(), options_.max_queued, options_.max_batch, metrics_,
                 [this](const pipeline::PredictionEngine& engine) {
                   if (index_keeper_ != nullptr) index_keeper_->look_at(engine.index());
                 }),
      readers_(2, kQueuedReads),
      decoders_(options_.num_decoders, options_.max_uploads),
      writer_(1, kQueuedWrites),
      loader_(1, 1) {}

std::unique_ptr<pipeline::IndexKeeper> Backend::make_index_keeper() {
  if (options_.read_only || bank::is_milvus_address(options_.bank_directory)) return nullptr;
  pipeline::IndexKeeper::Options keeping;
  keeping.ready = [this](pipeline::IndexKeeper::IndexPointer index) {
    inference_.offer_index(std::move(index));
  };
  keeping.log = [this](const std::string& line) { log(line); };
  return std::make_unique<pipeline::IndexKeeper>(*bank_, options_.bank_directory,
                                                 std::move(keeping));
}

std::shared_ptr<pipeline::PredictionEngine> Backend::open_engine() const {
  const bool is_here = !bank::is_milvus_address(options_.bank_directory);
  auto engine = std::make_shared<pipeline::PredictionEngine>(
      options_.bank_directory, options_.model_directory, options_.num_threads, options_.precision,
      kNetworkThreads, /*horizon=*/"", is_here ? bank_ : nullptr);
  engine->wait_until_loaded();
  return engine;
}

Backend::OpenedModel Backend::open_model() const {
  const auto& directory = options_.model_directory;
  for (int attempt = 1;; ++attempt) {
    const auto stamp = directory_stamp(directory);
    try {
      OpenedModel model{open_engine(), read_model_card(directory)};
      if (stamp && directory_stamp(directory) == stamp) return model;
    } catch (const Error&) {
      const bool has_stayed = stamp && directory_stamp(directory) == stamp;
      if (has_stayed || attempt == kReadAttempts) throw;
    }
    if (attempt == kReadAttempts) {
      throw Error(ErrorKind::kIo, "the model in " + directory.string() +
                                      " changes while it is read; reload when it is in place");
    }
    std::this_thread::sleep_for(kBetweenAttempts);
  }
}

void Backend::reload() {
  try {
    OpenedModel model = open_model();
    inference_.replace_engine(std::move(model.engine));
    const std::scoped_lock lock(mutex_);
    model_card_ = std::move(model.card);
  } catch (...) {
    metrics_.note_reload(false);
    throw;
  }
  metrics_.note_reload(true);
  log("reloaded the model in " + options_.model_directory.string());
}

void Backend::finish() {
  // In the order in which requests walk, so that what one passes on is still taken by the next.
  decoders_.finish();
  readers_.finish();
  loader_.finish();
  if (index_keeper_ != nullptr) index_keeper_->finish();
  inference_.finish();
  writer_.finish();
}

void Backend::log(const std::string& line) const {
  if (!line.empty() && options_.log) options_.log(line);
}

Problem Backend::too_busy() const { return stopping_ ? stopping() : overloaded(1); }

void Backend::answer_failure(Exchange& exchange) {
  std::string line;
  exchange.respond(to_response(problem_of_current_exception(line)));
  if (!line.empty()) log("a request failed: " + line);
}

void Backend::submit(WorkerPool& pool, const std::shared_ptr<Exchange>& exchange,
                     std::function<void(Exchange&)> task) {
  const bool taken = pool.try_submit([this, exchange, task = std::move(task)] {
    try {
      if (exchange->stop().stop_requested()) return;  // answered: its deadline has passed
      task(*exchange);
    } catch (...) {
      answer_failure(*exchange);
    }
  });
  if (!taken) exchange->respond(to_response(too_busy()));
}

void Backend::submit(const std::shared_ptr<Exchange>& exchange, InferenceJob job) {
  job.stop = exchange->stop();
  job.fail = [this, exchange](const std::exception_ptr& failure) {
    try {
      std::rethrow_exception(failure);
    } catch (...) {
      answer_failure(*exchange);
    }
  };
  if (!inference_.try_submit(std::move(job))) exchange->respond(to_response(too_busy()));
}

bank::Record Backend::find(const std::string& id) const {
  auto record = bank::fault_of_id(id) ? std::nullopt : bank_->find(id);
  if (!record) throw Refusal(no_record(id));
  return std::move(*record);
}

void Backend::check_can_be_asked(const pipeline::Query& query, bool has_video,
                                 bool other_titles) const {
  const pipeline::ForeignFeatures foreign = pipeline::foreign_features(schema().encoders_name);
  const bool is_new = !query.id || other_titles;
  const bool has_text = other_titles || !query.title.empty();
  if (!is_new ||
      !(foreign.retrieval || (foreign.visual && has_video) || (foreign.text && has_text))) {
    return;
  }
  throw Refusal(
      {422, "cannot_be_asked",
       "the bank was made with features from elsewhere, so this cannot be compared with it",
       "ask about a record by its id"});
}

std::shared_ptr<const pipeline::DecodedClip> Backend::decode(const UploadedFile& video,
                                                             const std::stop_token& stop) {
  auto place = decoded_clips_.wait_and_take(stop);
  if (place == nullptr) throw Interrupted();
  const int max_side = inference_.engine()->encoder_traits().max_frame_side_px;
  try {
    auto clip = std::make_unique<pipeline::DecodedClip>(
        pipeline::to_decoded(decoder_.decode(video.path(), schema().num_frames, max_side, stop)));
    // The place is free again when the clip has gone.
    return {clip.release(), [place](const pipeline::DecodedClip* held) { delete held; }};
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kCorruptData) throw;
    metrics_.note_refused_video();
    throw Refusal({422, "invalid_video", error.what(),
                   "send a whole video file of a common format, such as MP4 or WebM"});
  }
}

nlohmann::ordered_json Backend::model_card() const {
  nlohmann::ordered_json card;
  {
    const std::scoped_lock lock(mutex_);
    card = model_card_;
  }
  card["bank"] = describe_bank(bank_->info());
  return card;
}

void Backend::set_connection_counts(std::function<ConnectionCounts()> counts) {
  const std::scoped_lock lock(mutex_);
  connection_counts_ = std::move(counts);
}

std::string Backend::metrics_text() const {
  const bank::BankInfo info = bank_->info();
  std::map<std::string, double> gauges = {
      {"mmra_bank_generation", static_cast<double>(info.generation)},
      {"mmra_bank_labelled", static_cast<double>(info.num_labelled)},
      {"mmra_bank_records", static_cast<double>(info.num_records)},
      {"mmra_decoder_queue", static_cast<double>(decoders_.num_queued())},
      {"mmra_index_joins",
       index_keeper_ == nullptr ? 0.0 : static_cast<double>(index_keeper_->num_joins())},
      {"mmra_index_updates",
       index_keeper_ == nullptr ? 0.0 : static_cast<double>(index_keeper_->num_updates())},
      {"mmra_model_queue", static_cast<double>(inference_.num_queued())},
      {"mmra_reader_queue", static_cast<double>(readers_.num_queued())},
      {"mmra_uploads_free", static_cast<double>(uploads_.num_free())},
      {"mmra_writer_queue", static_cast<double>(writer_.num_queued())}};
  const std::scoped_lock lock(mutex_);
  if (connection_counts_) {
    const ConnectionCounts counts = connection_counts_();
    gauges["mmra_connections_open"] = static_cast<double>(counts.num_open);
    gauges["mmra_connections_accepted"] = static_cast<double>(counts.num_accepted);
    gauges["mmra_connections_evicted"] = static_cast<double>(counts.num_evicted);
    gauges["mmra_connections_refused"] = static_cast<double>(counts.num_refused);
    gauges["mmra_connections_timed_out"] = static_cast<double>(counts.num_timed_out);
  }
  return metrics_.to_text(gauges);
}

}  // namespace mmra::serving
