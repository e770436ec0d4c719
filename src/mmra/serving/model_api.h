#pragma once

#include <memory>

#include "mmra/serving/backend.h"
#include "mmra/serving/http_message.h"

namespace mmra::serving {

/// What the model is asked: predictions, comparisons, searches. Each answers its exchange, now or
/// later, and throws Refusal where the request cannot be right.
class ModelApi {
 public:
  explicit ModelApi(Backend& backend) : backend_(backend) {}

  void predict(const std::shared_ptr<Exchange>& exchange);
  void compare(const std::shared_ptr<Exchange>& exchange);
  void search(const std::shared_ptr<Exchange>& exchange);
  void search_by_form(const std::shared_ptr<Exchange>& exchange);

 private:
  struct Question;
  /// Decodes the video, if there is one, and passes the question on to the model.
  void ask(const std::shared_ptr<Exchange>& exchange, Question question);
  void search_for(const std::shared_ptr<Exchange>& exchange, pipeline::Query query, int k);

  Backend& backend_;
};

}  // namespace mmra::serving
