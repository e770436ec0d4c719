#include "mmra/model/neural_baseline_config.h"

#include <array>
#include <nlohmann/json.hpp>

#include "mmra/core/error.h"
#include "mmra/core/files.h"
#include "mmra/model/config_file.h"
#include "mmra/model/strict_reader.h"

namespace mmra::model {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kFormatVersion = 1;
constexpr std::array kKinds = {NeuralBaseline::kClstm, NeuralBaseline::kTmall,
                               NeuralBaseline::kMassl, NeuralBaseline::kCban,
                               NeuralBaseline::kHmmved};
/// Of MASSL's latent vector: below, its convolutions leave nothing.
constexpr int kMinMasslWidth = 64;

template <typename Value>
void check(const char* field, Value value, Value low, Value high) {
  check_range(std::string("the baseline's ") + field, value, low, high);
}

/// The one list of fields, for reading and writing alike: all kinds' and those of the kind.
template <typename Config, typename Visitor>
void visit_fields(Config& config, Visitor&& visit) {
  visit("visual_dim", config.visual_dim);
  visit("text_dim", config.text_dim);
  visit("num_frames", config.num_frames);
  visit("k", config.k);
  visit("without_visual", config.without_visual);
  visit("without_text", config.without_text);
  visit("width", config.width);
  if (config.kind == NeuralBaseline::kMassl || config.kind == NeuralBaseline::kHmmved) {
    visit("kld_weight", config.kld_weight);
  }
  if (config.kind == NeuralBaseline::kTmall) {
    visit("smoothness", config.smoothness);
    visit("disagreement", config.disagreement);
  }
  visit("dropout_input", config.dropout_input);
  visit("dropout_hidden", config.dropout_hidden);
  visit("learning_rate", config.learning_rate);
  visit("weight_decay", config.weight_decay);
  visit("gradient_clip", config.gradient_clip);
  visit("ema_decay", config.ema_decay);
  visit("seed", config.seed);
  visit("label_mean", config.label_mean);
  visit("label_std", config.label_std);
}

NeuralBaselineConfig released_config(NeuralBaseline kind) {
  NeuralBaselineConfig config;
  config.kind = kind;
  config.variant = Variant::kReleased;
  switch (kind) {
    case NeuralBaseline::kClstm:
    case NeuralBaseline::kHmmved:
      config.width = 50;
      break;
    case NeuralBaseline::kTmall:
      config.width = 256;
      config.learning_rate = 1e-3;
      break;
    case NeuralBaseline::kMassl:
      config.width = 256;
      break;
    case NeuralBaseline::kCban:
      break;
  }
  return config;
}

}  // namespace

std::span<const NeuralBaseline> all_neural_baselines() noexcept { return kKinds; }

std::string_view name_of(NeuralBaseline kind) noexcept {
  switch (kind) {
    case NeuralBaseline::kClstm:
      return "clstm";
    case NeuralBaseline::kTmall:
      return "tmall";
    case NeuralBaseline::kMassl:
      return "massl";
    case NeuralBaseline::kCban:
      return "cban";
    case NeuralBaseline::kHmmved:
      return "hmmved";
  }
  return "";
}

std::optional<NeuralBaseline> parse_neural_baseline(std::string_view name) noexcept {
  for (const NeuralBaseline kind : kKinds) {
    if (name == name_of(kind)) return kind;
  }
  return std::nullopt;
}

NeuralBaselineConfig default_config(NeuralBaseline kind, Variant variant) {
  NeuralBaselineConfig config = released_config(kind);
  if (variant == Variant::kReleased) return config;
  config.variant = Variant::kPaper;
  config.learning_rate = 5e-4;
  config.gradient_clip = 1.0;
  config.ema_decay = 0.999;
  config.dropout_input = 0.2;
  config.dropout_hidden = 0.3;
  config.weight_decay = 0.6;
  if (kind == NeuralBaseline::kCban) config.width = 128;
  if (kind == NeuralBaseline::kTmall) {
    config.smoothness = 0.03;
    config.disagreement = 1000.0;
  }
  if (kind == NeuralBaseline::kMassl) {
    // With the authors' 0.05 its decoder learns nothing but the mean: z carries too little.
    config.kld_weight = 0.0005;
    config.learning_rate = 1e-3;
  }
  return config;
}

void validate_config(const NeuralBaselineConfig& config) {
  constexpr int kMaxDim = 1 << 16;
  constexpr double kBelowOne = 0.999999;
  check_precision(config.precision);
  check("visual_dim", config.visual_dim, 0, kMaxDim);
  check("text_dim", config.text_dim, 0, kMaxDim);
  check("num_frames", config.num_frames, 1, 10000);
  check("k", config.k, 1, 10000);
  check("width", config.width, config.kind == NeuralBaseline::kMassl ? kMinMasslWidth : 1, kMaxDim);
  check("kld_weight", config.kld_weight, 0.0, 1.0);
  check("smoothness", config.smoothness, 0.0, 1e30);
  check("disagreement", config.disagreement, 0.0, 1e30);
  check("dropout_input", config.dropout_input, 0.0, kBelowOne);
  check("dropout_hidden", config.dropout_hidden, 0.0, kBelowOne);
  check("learning_rate", config.learning_rate, 0.0, 1e3);
  check("weight_decay", config.weight_decay, 0.0, 1e6);
  check("gradient_clip", config.gradient_clip, 0.0, 1e30);
  check("ema_decay", config.ema_decay, 0.0, kBelowOne);
  check("label_mean", config.label_mean, -1e30, 1e30);
  check("label_std", config.label_std, 1e-12, 1e30);
  if (!config.has_visual() && !config.has_text()) {
    throw Error(ErrorKind::kInvalidInput,
                "a baseline without visual and without text has no input; leave one of them in, "
                "and use a bank that has it");
  }
}

std::string config_to_json(const NeuralBaselineConfig& config) {
  Json json;
  json["model"] = name_of(config.kind);
  json["format_version"] = kFormatVersion;
  json["variant"] = name_of(config.variant);
  json["precision"] = mmra::name_of(config.precision);
  visit_fields(config, [&](const char* key, const auto& value) { json[key] = value; });
  return json.dump(2) + "\n";
}

NeuralBaselineConfig neural_baseline_config_from_json(std::string_view text,
                                                      const std::string& origin) {
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  StrictReader reader(json, origin);
  std::string name;
  reader.read("model", name);
  const auto kind = parse_neural_baseline(name);
  if (!kind) reader.fail("is of the model \"" + name + "\", expected a neural baseline");
  expect_format_version(reader, kFormatVersion);
  NeuralBaselineConfig config;
  config.kind = *kind;
  config.variant = read_variant(reader);
  config.precision = read_precision(reader);
  visit_fields(config, [&](const char* key, auto& value) { reader.read(key, value); });
  reader.expect_nothing_else();
  return config;
}

void save_config(const NeuralBaselineConfig& config, const std::filesystem::path& file) {
  write_file_atomically(file, config_to_json(config));
}

NeuralBaselineConfig load_neural_baseline_config(const std::filesystem::path& file) {
  return load_checked(file, neural_baseline_config_from_json);
}

}  // namespace mmra::model
