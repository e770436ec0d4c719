#include "mmra/pipeline/experiment_files.h"

#include <limits>
#include <nlohmann/json.hpp>

#include "mmra/core/error.h"
#include "mmra/model/strict_reader.h"

namespace mmra::pipeline {
namespace {

using Json = nlohmann::ordered_json;
using model::StrictReader;

constexpr int kFormatVersion = 1;

Json to_json(const ExperimentIdentity& identity) {
  return {{"format_version", kFormatVersion},
          {"bank", identity.bank},
          {"generation", identity.generation},
          {"encoders_fingerprint", identity.encoders_fingerprint},
          {"protocol", identity.protocol},
          {"near_duplicates_dropped", identity.near_duplicates_dropped},
          {"epochs", identity.epochs}};
}

/// A value of somebody's file for a message: what is nested, perhaps without end, by its type
/// alone.
std::string shown(const Json& object, const std::string& key) {
  const auto found = object.find(key);
  if (found == object.end()) return "missing";
  return found->is_structured() ? found->type_name() : found->dump();
}

[[noreturn]] void refuse(const std::string& directory, const std::string& key,
                         const std::string& found, const std::string& wanted) {
  throw Error(ErrorKind::kInvalidInput, directory + " holds another experiment: its " + key +
                                            " is " + found + ", now it is " + wanted +
                                            "; name another directory with --out");
}

}  // namespace

std::string experiment_to_json(const ExperimentIdentity& identity) {
  return to_json(identity).dump(2) + "\n";
}

void check_same_experiment(const ExperimentIdentity& expected, std::string_view text,
                           const std::string& directory) {
  const Json found = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!found.is_object()) {
    throw Error(ErrorKind::kCorruptData,
                directory +
                    "/experiment.json is not a JSON object; name another directory with "
                    "--out");
  }
  const Json wanted = to_json(expected);
  for (const auto& [key, value] : wanted.items()) {
    if (found.contains(key) && found.at(key) == value) continue;
    refuse(directory, key, shown(found, key), value.dump());
  }
}

std::string cost_to_json(const evaluation::Cost& cost) {
  const Json json = {{"seconds", cost.seconds},
                     {"processor_seconds", cost.processor_seconds},
                     {"peak_bytes", cost.peak_bytes},
                     {"resumed", cost.resumed}};
  return json.dump(2) + "\n";
}

evaluation::Cost cost_from_json(std::string_view text, const std::string& origin) {
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  StrictReader reader(json, origin, "remove it, and the cost is shown as unknown");
  evaluation::Cost cost;
  reader.read("seconds", cost.seconds);
  reader.read("processor_seconds", cost.processor_seconds);
  reader.read("peak_bytes", cost.peak_bytes);
  reader.read("resumed", cost.resumed);
  if (cost.seconds < 0.0 || cost.processor_seconds < 0.0 || cost.peak_bytes < 0) {
    reader.fail("has a number below 0");
  }
  return cost;
}

evaluation::Metrics valid_metrics_from_json(std::string_view text, const std::string& origin) {
  constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  StrictReader reader(json, origin, "remove the model, and it is trained again");
  StrictReader valid = reader.below("valid");
  std::int64_t n = 0;
  valid.read("n", n);
  if (n < 0) valid.fail("has a number below 0 under \"n\"");
  evaluation::Metrics metrics;
  metrics.n = static_cast<std::size_t>(n);
  valid.read_number_or_null("nmse", kNaN, metrics.nmse);
  valid.read_number_or_null("mae", kNaN, metrics.mae);
  valid.read_number_or_null("src", kNaN, metrics.src);
  return metrics;
}

}  // namespace mmra::pipeline
