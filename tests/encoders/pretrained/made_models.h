#pragma once

#include <cstdint>
#include <filesystem>
#include <initializer_list>
#include <map>
#include <nlohmann/json.hpp>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "mmra/core/files.h"
#include "mmra/core/safetensors.h"

namespace mmra::encoders::testing {

/// Random weights by name, written as model.safetensors.
class MadeWeights {
 public:
  explicit MadeWeights(unsigned seed) : random_(seed) {}

  void add(const std::string& name, std::initializer_list<std::int64_t> shape, float scale = 0.3F) {
    std::size_t size = 1;
    for (const std::int64_t side : shape) size *= static_cast<std::size_t>(side);
    std::normal_distribution<float> normal(0.0F, scale);
    std::vector<float>& values = values_[name];
    values.resize(size);
    for (float& value : values) value = normal(random_);
    shapes_[name] = shape;
  }
  void add_linear(const std::string& name, std::int64_t out, std::int64_t in) {
    add(name + ".weight", {out, in});
    add(name + ".bias", {out});
  }
  void add_norm(const std::string& name, std::int64_t width) {
    add(name + ".weight", {width}, 0.1F);
    for (float& value : values_[name + ".weight"]) value += 1.0F;
    add(name + ".bias", {width}, 0.1F);
  }
  void write(const std::filesystem::path& file) const {
    std::vector<NamedTensor> tensors;
    for (const auto& [name, values] : values_) {
      tensors.push_back({name, DataType::kFloat32, shapes_.at(name),
                         std::as_bytes(std::span<const float>(values))});
    }
    write_safetensors(file, tensors);
  }

 private:
  std::mt19937 random_;
  std::map<std::string, std::vector<float>> values_;
  std::map<std::string, std::vector<std::int64_t>> shapes_;
};

/// The pieces that the made BERTs know.
inline const std::vector<std::string>& made_vocabulary() {
  static const std::vector<std::string> kPieces = {
      "[PAD]",  "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a",    "the",   "red",
      "blue",   "ball",  "boat",  "cake",  "jump",   "##s",  "##ing", "my",
      "number", ".",     ",",     "#",     "on",     "water"};
  return kPieces;
}

inline constexpr int kMadeWidth = 8;

inline void write_json(const std::filesystem::path& file, const nlohmann::json& document) {
  write_file_atomically(file, document.dump());
}

/// A random BERT of two layers with its vocab.txt. Seeds give different weights.
inline void make_bert(const std::filesystem::path& directory, unsigned seed = 1) {
  make_directories(directory);
  const auto vocabulary = static_cast<std::int64_t>(made_vocabulary().size());
  constexpr std::int64_t kWide = 12;
  constexpr int kNumLayers = 2;
  write_json(directory / "config.json", {{"model_type", "bert"},
                                         {"vocab_size", vocabulary},
                                         {"hidden_size", kMadeWidth},
                                         {"num_hidden_layers", kNumLayers},
                                         {"num_attention_heads", 2},
                                         {"intermediate_size", kWide},
                                         {"max_position_embeddings", 128},
                                         {"type_vocab_size", 2},
                                         {"layer_norm_eps", 1e-12},
                                         {"hidden_act", "gelu"}});
  std::string pieces;
  for (const std::string& piece : made_vocabulary()) pieces += piece + "\n";
  write_file_atomically(directory / "vocab.txt", pieces);
  MadeWeights weights(seed);
  weights.add("embeddings.word_embeddings.weight", {vocabulary, kMadeWidth}, 1.0F);
  weights.add("embeddings.position_embeddings.weight", {128, kMadeWidth});
  weights.add("embeddings.token_type_embeddings.weight", {2, kMadeWidth});
  weights.add_norm("embeddings.LayerNorm", kMadeWidth);
  for (int i = 0; i < kNumLayers; ++i) {
    const std::string layer = "encoder.layer." + std::to_string(i) + ".";
    for (const char* part : {"attention.self.query", "attention.self.key", "attention.self.value",
                             "attention.output.dense"}) {
      weights.add_linear(layer + part, kMadeWidth, kMadeWidth);
    }
    weights.add_norm(layer + "attention.output.LayerNorm", kMadeWidth);
    weights.add_linear(layer + "intermediate.dense", kWide, kMadeWidth);
    weights.add_linear(layer + "output.dense", kMadeWidth, kWide);
    weights.add_norm(layer + "output.LayerNorm", kMadeWidth);
  }
  weights.write(directory / "model.safetensors");
}

/// A random ViT of one layer on pictures of 16 × 16 in patches of 8, with its
/// preprocessor_config.json.
inline void make_vit(const std::filesystem::path& directory, unsigned seed = 2) {
  make_directories(directory);
  constexpr std::int64_t kWide = 12;
  constexpr std::int64_t kSide = 16;
  constexpr std::int64_t kPatch = 8;
  write_json(directory / "config.json", {{"model_type", "vit"},
                                         {"image_size", kSide},
                                         {"patch_size", kPatch},
                                         {"num_channels", 3},
                                         {"hidden_size", kMadeWidth},
                                         {"num_hidden_layers", 1},
                                         {"num_attention_heads", 2},
                                         {"intermediate_size", kWide},
                                         {"layer_norm_eps", 1e-12},
                                         {"hidden_act", "gelu"}});
  write_json(directory / "preprocessor_config.json",
             {{"image_processor_type", "ViTImageProcessor"},
              {"do_resize", true},
              {"size", {{"height", kSide}, {"width", kSide}}},
              {"resample", 2},
              {"do_rescale", true},
              {"rescale_factor", 1.0 / 255.0},
              {"do_normalize", true},
              {"image_mean", {0.5, 0.5, 0.5}},
              {"image_std", {0.5, 0.5, 0.5}}});
  MadeWeights weights(seed);
  weights.add("embeddings.cls_token", {1, 1, kMadeWidth});
  weights.add("embeddings.position_embeddings", {1, 5, kMadeWidth});
  weights.add("embeddings.patch_embeddings.projection.weight", {kMadeWidth, 3, kPatch, kPatch});
  weights.add("embeddings.patch_embeddings.projection.bias", {kMadeWidth});
  const std::string layer = "encoder.layer.0.";
  for (const char* part : {"attention.attention.query", "attention.attention.key",
                           "attention.attention.value", "attention.output.dense"}) {
    weights.add_linear(layer + part, kMadeWidth, kMadeWidth);
  }
  weights.add_norm(layer + "layernorm_before", kMadeWidth);
  weights.add_norm(layer + "layernorm_after", kMadeWidth);
  weights.add_linear(layer + "intermediate.dense", kWide, kMadeWidth);
  weights.add_linear(layer + "output.dense", kMadeWidth, kWide);
  weights.add_norm("layernorm", kMadeWidth);
  weights.write(directory / "model.safetensors");
}

/// visual/, text/ and retrieval/ of a set in `directory`.
inline void make_set(const std::filesystem::path& directory) {
  make_vit(directory / "visual");
  make_bert(directory / "text", 1);
  make_bert(directory / "retrieval", 3);
}

}  // namespace mmra::encoders::testing
