#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "mmra/encoders/pretrained/precision.h"
#include "mmra/sandbox/clip_decoder.h"
#include "mmra/serving/http_message.h"
#include "mmra/serving/http_server.h"
#include "mmra/serving/tokens.h"

namespace mmra::serving {

struct ServiceOptions {
  std::filesystem::path bank_directory;
  std::filesystem::path model_directory;
  bool read_only = false;  ///< the bank is not changed, and others may
  TokenList tokens;
  /// Names under which this server is asked (the header Host without its port); empty: any. Against
  /// pages that make a browser ask a server of the user's own machine (DNS rebinding).
  std::vector<std::string> allowed_hosts;
  std::filesystem::path decoder_program;
  sandbox::DecoderLimits decoder_limits;

  int num_threads = 1;  ///< of encoders, search and network together
  int num_decoders = 1;
  encoders::Precision precision = encoders::Precision::kAuto;
  std::size_t max_queued = 64;        ///< requests that wait for the model; more get 429
  std::size_t max_batch = 32;         ///< queries that the encoders get at once
  std::size_t max_uploads = 16;       ///< forms under way or at work; more get 429
  std::size_t max_decoded_clips = 4;  ///< in memory at once
  std::uint64_t max_upload_bytes = std::uint64_t{200} << 20;
  std::function<void(const std::string&)> log;  ///< a line for the operator; any thread
};

/// The HTTP API (docs/serving.md) over one bank and one model, which are opened once and kept.
/// Thread-safe.
class Service final : public Application {
 public:
  /// Throws where bank or model cannot be opened, or do not belong together.
  explicit Service(ServiceOptions options);
  ~Service() override;

  [[nodiscard]] std::variant<BodyPlan, Response> admit(const RequestHead& head) override;
  void answer(std::shared_ptr<Exchange> exchange) override;
  [[nodiscard]] const std::vector<std::pair<std::string, std::string>>& common_headers()
      const override;
  void note_response(const RequestHead& head, int status, double seconds) override;
  void note_failure(const std::string& reason) override;

  /// Opens the model anew, in its own time; requests go on with the old one until then. A failure
  /// is logged, and leaves the old one.
  void reload();
  /// For /metrics.
  void set_connection_counts(std::function<ConnectionCounts()> counts);
  /// From now on /readyz says no, so that whoever shares out requests looks elsewhere.
  void begin_stop();
  /// Answers what is queued and ends the threads; before the transport goes.
  void finish();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace mmra::serving
