#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "mmra/encoders/pretrained/precision.h"
#include "mmra/serving/http_message.h"

namespace mmra::serving {

struct ServiceOptions {
  std::filesystem::path bank_directory;
  std::filesystem::path model_directory;
  int num_threads = 1;  ///< of encoders, search and network together
  encoders::Precision precision = encoders::Precision::kAuto;
  std::size_t max_queued = 64;                  ///< requests that wait for the model; more get 429
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

  /// From now on /readyz says no, so that whoever shares out requests looks elsewhere.
  void begin_stop();
  /// Answers what is queued and ends the threads; before the transport goes.
  void finish();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace mmra::serving
