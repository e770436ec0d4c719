#include "mmra/encoders/pretrained/generation_config.h"

#include <limits>
#include <string>
#include <system_error>
#include <utility>

#include "mmra/core/error.h"

namespace mmra::encoders {
namespace {

constexpr std::int64_t kLongest = 1 << 20;
constexpr std::int64_t kMostBeams = 1 << 10;
constexpr double kLargest = std::numeric_limits<float>::max();
constexpr double kSmallestPenalty = 1e-6;
constexpr std::int64_t kLargestId = std::numeric_limits<std::int32_t>::max();
constexpr std::int32_t kStartId = 30522;  // BlipTextConfig's defaults
constexpr std::int32_t kSeparatorId = 102;

// Settings that would change what is generated in a way that is not here, unless they have these
// values, or are not there.
constexpr std::pair<const char*, double> kNumbers[] = {{"num_beam_groups", 1.0},
                                                       {"num_return_sequences", 1.0},
                                                       {"diversity_penalty", 0.0},
                                                       {"penalty_alpha", 0.0},
                                                       {"encoder_repetition_penalty", 1.0},
                                                       {"encoder_no_repeat_ngram_size", 0.0},
                                                       {"guidance_scale", 1.0}};
constexpr const char* kSwitches[] = {"do_sample", "renormalize_logits"};
constexpr const char* kOthers[] = {"bad_words_ids",
                                   "force_words_ids",
                                   "forced_bos_token_id",
                                   "forced_eos_token_id",
                                   "forced_decoder_ids",
                                   "suppress_tokens",
                                   "begin_suppress_tokens",
                                   "sequence_bias",
                                   "exponential_decay_length_penalty",
                                   "constraints",
                                   "prompt_lookup_num_tokens",
                                   "stop_strings",
                                   "max_time"};

[[noreturn]] void refuse(const ModelConfig& config, const std::string& key) {
  throw Error(ErrorKind::kUnsupported,
              config.origin() + ": \"" + key +
                  "\" asks for a way of generating that is not here; greedy and beam search are "
                  "(take the key out)");
}

void refuse_other_settings(const ModelConfig& config) {
  for (const auto& [key, neutral] : kNumbers) {
    if (config.number(key, -kLargest, kLargest, neutral) != neutral) refuse(config, key);
  }
  for (const char* key : kSwitches) {
    if (config.boolean(key, false)) refuse(config, key);
  }
  for (const char* key : kOthers) {
    if (config.has(key)) refuse(config, key);
  }
}

/// Sets what `config` says and leaves the rest.
void read_lengths(const ModelConfig& config, GenerationOptions& options) {
  const auto length = [&](const std::string& key, std::int64_t fallback) {
    return static_cast<int>(config.integer(key, 0, kLongest, fallback));
  };
  options.max_length = length("max_length", options.max_length);
  options.min_length = length("min_length", options.min_length);
  // Those of new tokens win, as in transformers; the start token is the one that is not new.
  options.max_length = 1 + length("max_new_tokens", options.max_length - 1);
  options.min_length = 1 + length("min_new_tokens", options.min_length - 1);
}

EarlyStopping read_early_stopping(const ModelConfig& config, EarlyStopping fallback) {
  const std::string key = "early_stopping";
  if (!config.has(key)) return fallback;
  if (config.has_text(key)) {
    if (config.text(key) == "never") return EarlyStopping::kNever;
    throw Error(ErrorKind::kCorruptData, config.origin() + ": \"" + key + "\" is \"" +
                                             config.text(key) +
                                             "\"; expected true, false or \"never\"");
  }
  return config.boolean(key) ? EarlyStopping::kFirst : EarlyStopping::kLikely;
}

/// Sets what `config` says and leaves the rest.
void read_settings(const ModelConfig& config, GenerationOptions& options) {
  refuse_other_settings(config);
  read_lengths(config, options);
  options.num_beams =
      static_cast<int>(config.integer("num_beams", 1, kMostBeams, options.num_beams));
  options.length_penalty =
      config.number("length_penalty", -kLargest, kLargest, options.length_penalty);
  options.early_stopping = read_early_stopping(config, options.early_stopping);
  options.repetition_penalty = static_cast<float>(
      config.number("repetition_penalty", kSmallestPenalty, kLargest, options.repetition_penalty));
  options.no_repeat_ngram_size = static_cast<int>(
      config.integer("no_repeat_ngram_size", 0, kLongest, options.no_repeat_ngram_size));
}

}  // namespace

GenerationOptions read_generation_options(const std::filesystem::path& directory,
                                          const ModelConfig& text_config) {
  GenerationOptions options;
  const auto id = [&](const std::string& key, std::int64_t fallback) {
    return static_cast<std::int32_t>(text_config.integer(key, 0, kLargestId, fallback));
  };
  options.start_id = id("bos_token_id", kStartId);
  options.end_ids = {id("sep_token_id", kSeparatorId)};
  read_settings(text_config, options);
  const std::filesystem::path file = directory / "generation_config.json";
  std::error_code unreadable;  // then ModelConfig::read says why
  const auto status = std::filesystem::status(file, unreadable);
  if (status.type() != std::filesystem::file_type::not_found)
    read_settings(ModelConfig::read(file), options);
  return options;
}

}  // namespace mmra::encoders
