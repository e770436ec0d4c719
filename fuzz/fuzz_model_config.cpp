// config.json, generation_config.json and model.safetensors.index.json of any bytes, as every
// pretrained encoder reads them.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "mmra/encoders/pretrained/bert.h"
#include "mmra/encoders/pretrained/generation_config.h"
#include "mmra/encoders/pretrained/model_config.h"
#include "mmra/encoders/pretrained/model_files.h"
#include "mmra/encoders/pretrained/vision_transformer.h"
#include "outcome.h"

namespace {

using mmra::encoders::ModelConfig;
using mmra::fuzz::outcome_of;
using mmra::fuzz::require;

void read_bert(const ModelConfig& config) {
  static_cast<void>(outcome_of([&] {
    const auto sizes = mmra::encoders::BertConfig::from(config);
    require(sizes.hidden_size > 0 && sizes.num_heads > 0 &&
                sizes.hidden_size % sizes.num_heads == 0 && sizes.max_tokens > 0 &&
                sizes.vocab_size > 0 && sizes.num_layers > 0,
            "sizes of a text encoder that cannot be");
    return std::string();
  }));
}

void read_vision(const ModelConfig& config, bool is_blip) {
  static_cast<void>(outcome_of([&] {
    const auto sizes =
        is_blip ? mmra::encoders::VisionConfig::from_blip(config.section("vision_config"))
                : mmra::encoders::VisionConfig::from_vit(config);
    require(sizes.num_tokens() > 1 && sizes.image_floats() > 0 &&
                sizes.image_size % sizes.patch_size == 0 && sizes.hidden_size > 0,
            "sizes of a visual encoder that cannot be");
    return std::string();
  }));
}

/// generation_config.json has the keys that `text_config` may have and goes through the same
/// reader.
void read_generation(const ModelConfig& config) {
  static_cast<void>(outcome_of([&] {
    const auto options = mmra::encoders::read_generation_options("/nowhere", config);
    constexpr int kWords = 30524;
    mmra::encoders::check(options, kWords);
    require(options.num_beams > 0 && options.max_length > 1 && options.start_id < kWords &&
                options.repetition_penalty > 0.0F,
            "generation that cannot be");
    return std::string();
  }));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  static_cast<void>(outcome_of([&] {
    const ModelConfig config = ModelConfig::parse(text, "f");
    read_bert(config);
    read_vision(config, /*is_blip=*/false);
    read_vision(config, /*is_blip=*/true);
    read_generation(config);
    return std::string();
  }));
  static_cast<void>(outcome_of([&] {
    for (const auto& [tensor, file] : mmra::encoders::parse_shard_index(text, "f")) {
      require(!file.empty() && file.find('/') == std::string::npos && file != "..",
              "a shard outside of its folder");
    }
    return std::string();
  }));
  return 0;
}
