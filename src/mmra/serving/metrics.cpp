#include "mmra/serving/metrics.h"

#include <algorithm>
#include <cstdio>

namespace mmra::serving {
namespace {

std::string number(double value) {
  char text[40];
  std::snprintf(text, sizeof text, "%.10g", value);
  return text;
}

void add_header(std::string& text, const std::string& name, const char* type, const char* help) {
  text += "# HELP " + name + " " + help + "\n# TYPE " + name + " " + type + "\n";
}

void add_counter(std::string& text, const std::string& name, std::uint64_t value,
                 const char* help) {
  add_header(text, name, "counter", help);
  text += name + " " + std::to_string(value) + "\n";
}

}  // namespace

void Metrics::note_response(std::string_view route, std::string_view method, int status,
                            double seconds) {
  const std::string labels =
      "route=\"" + std::string(route) + "\",method=\"" + std::string(method) + "\"";
  const auto bin = static_cast<std::size_t>(
      std::lower_bound(kBounds.begin(), kBounds.end(), seconds) - kBounds.begin());
  const std::scoped_lock lock(mutex_);
  ++responses_[{labels, status}];
  Histogram& histogram = durations_[labels];
  ++histogram.counts[bin];
  histogram.sum_s += seconds;
}

std::string Metrics::to_text(const std::map<std::string, double>& gauges) const {
  std::string text;
  {
    const std::scoped_lock lock(mutex_);
    add_header(text, "mmra_http_responses_total", "counter", "Responses by route and status.");
    for (const auto& [key, count] : responses_) {
      text += "mmra_http_responses_total{" + key.first + ",status=\"" + std::to_string(key.second) +
              "\"} " + std::to_string(count) + "\n";
    }
    add_header(text, "mmra_http_response_seconds", "histogram",
               "From a request's last byte to the start of its answer.");
    for (const auto& [labels, histogram] : durations_) {
      std::uint64_t count = 0;
      for (std::size_t i = 0; i < histogram.counts.size(); ++i) {
        count += histogram.counts[i];
        const std::string bound = i < kBounds.size() ? number(kBounds[i]) : "+Inf";
        text.append("mmra_http_response_seconds_bucket{").append(labels).append(",le=\"");
        text.append(bound).append("\"} ").append(std::to_string(count)).append("\n");
      }
      text += "mmra_http_response_seconds_sum{" + labels + "} " + number(histogram.sum_s) + "\n";
      text += "mmra_http_response_seconds_count{" + labels + "} " + std::to_string(count) + "\n";
    }
  }
  add_counter(text, "mmra_encoder_batches_total", num_batches_, "Batches given to the encoders.");
  add_counter(text, "mmra_encoder_batch_items_total", num_batched_, "Queries in those batches.");
  add_counter(text, "mmra_model_reloads_total", num_reloads_, "Models swapped in.");
  add_counter(text, "mmra_model_reloads_failed_total", num_failed_reloads_,
              "Reloads that left the old model in place.");
  add_counter(text, "mmra_videos_refused_total", num_refused_videos_,
              "Uploads that could not be decoded.");
  add_counter(text, "mmra_bank_writes_total", num_writes_, "Acknowledged changes of the bank.");
  for (const auto& [name, value] : gauges) {
    add_header(text, name, "gauge", "See docs/serving.md.");
    text += name + " " + number(value) + "\n";
  }
  return text;
}

}  // namespace mmra::serving
