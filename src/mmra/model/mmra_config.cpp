#include "mmra/model/mmra_config.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "mmra/core/error.h"
#include "mmra/core/files.h"
#include "mmra/model/config_file.h"
#include "mmra/model/strict_reader.h"

namespace mmra::model {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kFormatVersion = 1;
constexpr std::string_view kModelName = "mmra";

[[noreturn]] void refuse(const std::string& field, const std::string& value,
                         const std::string& allowed) {
  throw Error(ErrorKind::kInvalidInput,
              "the network's " + field + " is " + value + ", it must be " + allowed);
}

void check_integer(const std::string& field, int value, int low, int high) {
  if (value < low || value > high) {
    refuse(field, std::to_string(value),
           "from " + std::to_string(low) + " to " + std::to_string(high));
  }
}

/// `high` itself is not allowed where `open` is.
void check_number(const std::string& field, double value, double low, double high, bool open) {
  const bool below_high = open ? value < high : value <= high;
  if (!std::isfinite(value) || value < low || !below_high) {
    refuse(field, std::to_string(value),
           "from " + std::to_string(low) + (open ? " to below " : " to ") + std::to_string(high));
  }
}

/// The one list of fields, for reading and writing alike.
template <typename Config, typename Visitor>
void visit_numbers(Config& config, Visitor&& visit) {
  visit("visual_dim", config.visual_dim);
  visit("text_dim", config.text_dim);
  visit("width", config.width);
  visit("mlp_hidden", config.mlp_hidden);
  visit("k", config.k);
  visit("alpha", config.alpha);
  visit("similarity_scale", config.similarity_scale);
  visit("scaled_interactions", config.scaled_interactions);
  visit("learning_rate", config.learning_rate);
  visit("weight_decay", config.weight_decay);
  visit("dropout_input", config.dropout_input);
  visit("dropout_hidden", config.dropout_hidden);
  visit("token_dropout", config.token_dropout);
  visit("gradient_clip", config.gradient_clip);
  visit("ema_decay", config.ema_decay);
  visit("seed", config.seed);
  visit("label_mean", config.label_mean);
  visit("label_std", config.label_std);
}

template <typename Config, typename Visitor>
void visit_without(Config& without, Visitor&& visit) {
  visit("retrieval", without.retrieval);
  visit("positive_attention", without.positive_attention);
  visit("negative_attention", without.negative_attention);
  visit("visual", without.visual);
  visit("text", without.text);
}

}  // namespace

std::string_view name_of(Variant variant) noexcept {
  return variant == Variant::kPaper ? "paper" : "released";
}

void validate_config(const MmraConfig& config) {
  constexpr int kMaxDim = 1 << 16;
  check_precision(config.precision);
  check_integer("visual_dim", config.visual_dim, 0, kMaxDim);
  check_integer("text_dim", config.text_dim, 0, kMaxDim);
  check_integer("width", config.width, 1, kMaxDim);
  for (const int size : config.mlp_hidden) check_integer("mlp_hidden", size, 1, kMaxDim);
  check_integer("k", config.k, 1, 10000);
  check_number("alpha", config.alpha, 0.0, 1.0, /*open=*/false);
  check_number("similarity_scale", config.similarity_scale, 0.0, 1e6, /*open=*/false);
  check_number("learning_rate", config.learning_rate, 0.0, 1e3, /*open=*/false);
  check_number("weight_decay", config.weight_decay, 0.0, 1e6, /*open=*/false);
  check_number("dropout_input", config.dropout_input, 0.0, 1.0, /*open=*/true);
  check_number("dropout_hidden", config.dropout_hidden, 0.0, 1.0, /*open=*/true);
  check_number("token_dropout", config.token_dropout, 0.0, 1.0, /*open=*/true);
  check_number("gradient_clip", config.gradient_clip, 0.0, 1e30, /*open=*/false);
  check_number("ema_decay", config.ema_decay, 0.0, 1.0, /*open=*/true);
  check_number("label_mean", config.label_mean, -1e30, 1e30, /*open=*/false);
  check_number("label_std", config.label_std, 1e-12, 1e30, /*open=*/false);
  if (config.without.visual && config.without.text) {
    throw Error(ErrorKind::kInvalidInput,
                "a network without visual and without text has no input; leave one of them in");
  }
  if (config.variant == Variant::kReleased && config.visual_dim == 0 && config.text_dim == 0) {
    throw Error(ErrorKind::kInvalidInput,
                "the released network takes its width from the features, which have no dimensions");
  }
}

std::vector<int> hidden_sizes(const MmraConfig& config) {
  if (!config.mlp_hidden.empty()) return config.mlp_hidden;
  if (config.variant == Variant::kReleased) return {800, 200};
  return {config.width};
}

std::string config_to_json(const MmraConfig& config) {
  Json json;
  json["model"] = kModelName;
  json["format_version"] = kFormatVersion;
  json["variant"] = name_of(config.variant);
  json["precision"] = mmra::name_of(config.precision);
  visit_numbers(config, [&](const char* key, const auto& value) { json[key] = value; });
  visit_without(config.without,
                [&](const char* key, const auto& value) { json["without"][key] = value; });
  return json.dump(2) + "\n";
}

MmraConfig config_from_json(std::string_view text, const std::string& origin) {
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  StrictReader reader(json, origin);
  MmraConfig config;
  std::string name;
  reader.read("model", name);
  if (name != kModelName) reader.fail("is of the model \"" + name + "\", expected \"mmra\"");
  expect_format_version(reader, kFormatVersion);
  config.variant = read_variant(reader);
  config.precision = read_precision(reader);
  visit_numbers(config, [&](const char* key, auto& value) { reader.read(key, value); });
  StrictReader without = reader.below("without");
  visit_without(config.without, [&](const char* key, auto& value) { without.read(key, value); });
  without.expect_nothing_else();
  reader.expect_nothing_else();
  return config;
}

void save_config(const MmraConfig& config, const std::filesystem::path& file) {
  write_file_atomically(file, config_to_json(config));
}

MmraConfig load_config(const std::filesystem::path& file) {
  return load_checked(file, config_from_json);
}

}  // namespace mmra::model
