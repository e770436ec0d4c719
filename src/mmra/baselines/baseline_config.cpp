#include "mmra/baselines/baseline_config.h"

#include <array>
#include <cmath>
#include <nlohmann/json.hpp>

#include "mmra/core/error.h"
#include "mmra/core/files.h"
#include "mmra/model/config_file.h"
#include "mmra/model/strict_reader.h"

namespace mmra::baselines {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kFormatVersion = 1;
constexpr std::array kKinds = {Kind::kMean, Kind::kKnn, Kind::kRidge, Kind::kSvr, Kind::kHyfea};

template <typename Value>
void check(const char* field, Value value, Value low, Value high) {
  model::check_range(std::string("the baseline's ") + field, value, low, high);
}

/// The one list of fields that all kinds have, for reading and writing alike.
template <typename Config, typename Visitor>
void visit_common(Config& config, Visitor&& visit) {
  visit("visual_dim", config.visual_dim);
  visit("text_dim", config.text_dim);
  visit("k", config.k);
  visit("seed", config.seed);
  visit("without_visual", config.without_visual);
  visit("without_text", config.without_text);
  visit("label_mean", config.label_mean);
}

template <typename Config, typename Visitor>
void visit_settings(Config& config, Visitor&& visit) {
  switch (config.kind) {
    case Kind::kMean:
      return;
    case Kind::kKnn:
      return visit("similarity_scale", config.similarity_scale);
    case Kind::kRidge:
      return visit("lambda", config.lambda);
    case Kind::kSvr:
      visit("c", config.svr.c);
      visit("epsilon", config.svr.epsilon);
      return visit("gamma", config.svr.gamma);
    case Kind::kHyfea:
      visit("num_rounds", config.hyfea.num_rounds);
      visit("max_depth", config.hyfea.max_depth);
      visit("learning_rate", config.hyfea.learning_rate);
      visit("patience", config.hyfea.patience);
      visit("num_frames", config.hyfea.num_frames);
      visit("best_rounds", config.hyfea.best_rounds);
      return visit("trees_fingerprint", config.hyfea.trees_fingerprint);
  }
}

}  // namespace

std::span<const Kind> all_kinds() noexcept { return kKinds; }

std::string_view name_of(Kind kind) noexcept {
  switch (kind) {
    case Kind::kMean:
      return "mean";
    case Kind::kKnn:
      return "knn";
    case Kind::kRidge:
      return "ridge";
    case Kind::kSvr:
      return "svr";
    case Kind::kHyfea:
      return "hyfea";
  }
  return "";
}

std::optional<Kind> parse_kind(std::string_view name) noexcept {
  for (const Kind kind : kKinds) {
    if (name == name_of(kind)) return kind;
  }
  return std::nullopt;
}

bool uses_instances(Kind kind) noexcept { return kind == Kind::kKnn; }

void validate_config(const BaselineConfig& config) {
  constexpr int kMaxDim = 1 << 16;
  check("visual_dim", config.visual_dim, 0, kMaxDim);
  check("text_dim", config.text_dim, 0, kMaxDim);
  check("k", config.k, 1, 10000);
  check("label_mean", config.label_mean, -1e30, 1e30);
  check("similarity_scale", config.similarity_scale, 0.0, 1e6);
  check("lambda", config.lambda, 0.0, 1e30);
  check("c", config.svr.c, 1e-30, 1e30);
  check("epsilon", config.svr.epsilon, 0.0, 1e30);
  check("gamma", config.svr.gamma, 0.0, 1e30);
  check("num_rounds", config.hyfea.num_rounds, 1, 100000);
  check("max_depth", config.hyfea.max_depth, 1, 16);
  check("learning_rate", config.hyfea.learning_rate, 0.0, 1.0);
  check("patience", config.hyfea.patience, 1, 100000);
  check("num_frames", config.hyfea.num_frames, 0, 10000);
  check("best_rounds", config.hyfea.best_rounds, 0, 100000);
  if (config.without_visual && config.without_text) {
    throw Error(ErrorKind::kInvalidInput,
                "a baseline without visual and without text has no input; leave one of them in");
  }
}

std::string config_to_json(const BaselineConfig& config) {
  Json json;
  const auto write = [&](const char* key, const auto& value) { json[key] = value; };
  write("model", name_of(config.kind));
  write("format_version", kFormatVersion);
  visit_common(config, write);
  visit_settings(config, write);
  return json.dump(2) + "\n";
}

BaselineConfig config_from_json(std::string_view text, const std::string& origin) {
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  model::StrictReader reader(json, origin);
  std::string name;
  reader.read("model", name);
  const auto kind = parse_kind(name);
  if (!kind) reader.fail("is of the model \"" + name + "\", expected a baseline");
  model::expect_format_version(reader, kFormatVersion);
  BaselineConfig config;
  config.kind = *kind;
  const auto read = [&](const char* key, auto& value) { reader.read(key, value); };
  visit_common(config, read);
  visit_settings(config, read);
  reader.expect_nothing_else();
  return config;
}

void save_config(const BaselineConfig& config, const std::filesystem::path& file) {
  write_file_atomically(file, config_to_json(config));
}

BaselineConfig load_config(const std::filesystem::path& file) {
  return model::load_checked(file, config_from_json);
}

}  // namespace mmra::baselines
