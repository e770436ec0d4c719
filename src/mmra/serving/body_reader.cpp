#include "mmra/serving/body_reader.h"

#include <utility>

namespace mmra::serving {

BodyReader::BodyReader(const BodyPlan& plan, const std::string& content_type,
                       std::filesystem::path upload_directory)
    : plan_(plan) {
  if (plan.kind == BodyPlan::Kind::kForm) {
    form_.emplace(boundary_of(content_type), FormLimits{plan.max_fields, plan.max_field_bytes},
                  std::move(upload_directory));
  }
}

void BodyReader::append(std::string_view bytes) {
  num_bytes_ += bytes.size();
  if (num_bytes_ > plan_.max_bytes) throw Refusal(body_too_large(plan_.max_bytes));
  if (form_) {
    form_->append(bytes);
  } else {
    text_ += bytes;
  }
}

void BodyReader::finish(Request& request) {
  request.slot = std::move(plan_.slot);
  if (form_) {
    request.form = form_->finish();
  } else {
    request.body = std::move(text_);
  }
}

}  // namespace mmra::serving
