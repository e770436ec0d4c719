#pragma once

#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "mmra/serving/backend.h"
#include "mmra/serving/http_message.h"

namespace mmra::serving {

/// The bank's records: listed, shown, added, changed, removed. A change is answered when it is on
/// disk; all changes happen one after the other on one thread.
class VideosApi {
 public:
  explicit VideosApi(Backend& backend) : backend_(backend) {}

  void list(const std::shared_ptr<Exchange>& exchange);
  void get(const std::shared_ptr<Exchange>& exchange);
  void thumbnail(const std::shared_ptr<Exchange>& exchange);
  void add(const std::shared_ptr<Exchange>& exchange);
  void change(const std::shared_ptr<Exchange>& exchange);
  void remove(const std::shared_ptr<Exchange>& exchange);

 private:
  struct Change;
  /// On the writer's thread; `features` where the title has changed.
  void apply(Exchange& exchange, const std::string& id, const Change& change,
             const std::optional<pipeline::EncodedQuery>& retitled);
  void check_writable() const;
  /// The record as it is on disk. Throws Refusal{404}.
  [[nodiscard]] nlohmann::ordered_json stored_json(const std::string& id) const;

  Backend& backend_;
};

}  // namespace mmra::serving
