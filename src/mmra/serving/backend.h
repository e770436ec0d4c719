#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string>

#include "mmra/bank/memory_bank.h"
#include "mmra/pipeline/index_keeper.h"
#include "mmra/sandbox/clip_decoder.h"
#include "mmra/serving/bank_listing.h"
#include "mmra/serving/http_message.h"
#include "mmra/serving/http_server.h"
#include "mmra/serving/inference.h"
#include "mmra/serving/metrics.h"
#include "mmra/serving/service.h"
#include "mmra/serving/slots.h"
#include "mmra/serving/worker_pool.h"

namespace mmra::serving {

/// What the endpoints share: the bank, the model, and the threads before each of them.
class Backend {
 public:
  explicit Backend(ServiceOptions options);
  Backend(const Backend&) = delete;
  Backend& operator=(const Backend&) = delete;
  ~Backend() { finish(); }  // before any of the parts goes: their threads know each other

  /// Runs on one of the pool's threads; a failure is answered as a problem, a full queue as 429.
  void submit(WorkerPool& pool, const std::shared_ptr<Exchange>& exchange,
              std::function<void(Exchange&)> task);
  /// The same for the model.
  void submit(const std::shared_ptr<Exchange>& exchange, InferenceJob job);
  /// Answers what is being thrown.
  void answer_failure(Exchange& exchange);
  void log(const std::string& line) const;
  [[nodiscard]] bool is_stopping() const { return stopping_; }
  void begin_stop() { stopping_ = true; }
  /// Does what is queued; nothing is taken any more. May be called twice.
  void finish();

  /// Opens bank and model anew and swaps them in. Throws why that cannot be; the old ones stay.
  void reload();

  /// The record; throws Refusal{404}.
  [[nodiscard]] bank::Record find(const std::string& id) const;
  /// Throws Refusal{422} where the bank was made with features from elsewhere, so that nothing new
  /// of this kind can be compared with it.
  void check_can_be_asked(const pipeline::Query& query, bool has_video, bool other_titles) const;
  /// The video of a form as the encoders want it; holds one of few places in memory. Throws
  /// Refusal{422} where it cannot be decoded.
  [[nodiscard]] std::shared_ptr<const pipeline::DecodedClip> decode(const UploadedFile& video,
                                                                    const std::stop_token& stop);
  [[nodiscard]] bank::BankSchema schema() const { return bank_->info().schema; }
  [[nodiscard]] nlohmann::ordered_json model_card() const;
  [[nodiscard]] std::string metrics_text() const;

  [[nodiscard]] const ServiceOptions& options() const { return options_; }
  [[nodiscard]] bank::MemoryBank& bank() { return *bank_; }
  [[nodiscard]] BankListing& listing() { return listing_; }
  [[nodiscard]] Metrics& metrics() { return metrics_; }
  [[nodiscard]] Slots& uploads() { return uploads_; }
  [[nodiscard]] WorkerPool& readers() { return readers_; }
  [[nodiscard]] WorkerPool& decoders() { return decoders_; }
  [[nodiscard]] WorkerPool& writer() { return writer_; }
  [[nodiscard]] WorkerPool& loader() { return loader_; }
  void set_connection_counts(std::function<ConnectionCounts()> counts);

 private:
  struct OpenedModel {
    std::shared_ptr<pipeline::PredictionEngine> engine;
    nlohmann::ordered_json card;
  };
  /// Null where nobody writes here, or the bank is on a server.
  [[nodiscard]] std::unique_ptr<pipeline::IndexKeeper> make_index_keeper();
  [[nodiscard]] std::shared_ptr<pipeline::PredictionEngine> open_engine() const;
  /// Of one state of the model's directory, whatever happens to it meanwhile.
  [[nodiscard]] OpenedModel open_model() const;
  [[nodiscard]] Problem too_busy() const;

  ServiceOptions options_;
  Metrics metrics_;
  std::shared_ptr<bank::MemoryBank> bank_;
  BankListing listing_;
  sandbox::ClipDecoder decoder_;
  mutable std::mutex mutex_;  ///< of the next two
  nlohmann::ordered_json model_card_;
  std::function<ConnectionCounts()> connection_counts_;
  std::atomic<bool> stopping_ = false;
  Slots uploads_;
  Slots decoded_clips_;
  std::unique_ptr<pipeline::IndexKeeper> index_keeper_;
  Inference inference_;
  WorkerPool readers_;
  WorkerPool decoders_;
  WorkerPool writer_;
  WorkerPool loader_;
};

}  // namespace mmra::serving
