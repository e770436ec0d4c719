// The pretrained encoders at the paper's sizes, with random weights: seconds of a pass, and its
// rate as a share of oneDNN's bare matrix products of the same shapes, taken in turns.
#include <omp.h>
#include <time.h>

#include <CLI/CLI.hpp>
#include <dnnl.hpp>
#include <filesystem>
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "measured.h"
#include "mmra/core/files.h"
#include "mmra/core/safetensors.h"
#include "mmra/core/scratch_directory.h"
#include "mmra/core/threads.h"
#include "mmra/encoders/pretrained/bert.h"
#include "mmra/encoders/pretrained/vision_transformer.h"

namespace mmra::bench {
namespace {

namespace fs = std::filesystem;
using encoders::Precision;

/// A model's tensors by name and shape; values are small random numbers, norms' weights among them.
class RandomModel {
 public:
  void add(const std::string& name, std::vector<std::int64_t> shape) {
    std::int64_t size = 1;
    for (const std::int64_t dimension : shape) size *= dimension;
    largest_ = std::max(largest_, static_cast<std::size_t>(size));
    tensors_.push_back({name, DataType::kFloat32, std::move(shape), {}});
    sizes_.push_back(static_cast<std::size_t>(size));
  }
  void add_linear(const std::string& name, std::int64_t out, std::int64_t in) {
    add(name + ".weight", {out, in});
    add(name + ".bias", {out});
  }
  void add_norm(const std::string& name, std::int64_t width) {
    add(name + ".weight", {width});
    add(name + ".bias", {width});
  }
  void write(const fs::path& folder, const nlohmann::json& config) {
    std::vector<float> values(largest_);
    std::mt19937 random(1);
    for (float& value : values) value = static_cast<float>(random() >> 8) / 1.7e8F - 0.05F;
    for (std::size_t i = 0; i < tensors_.size(); ++i) {
      tensors_[i].bytes = std::as_bytes(std::span(values).first(sizes_[i]));
    }
    fs::create_directories(folder);
    write_file_atomically(folder / "config.json", config.dump());
    write_safetensors(folder / "model.safetensors", tensors_);
  }

 private:
  std::vector<NamedTensor> tensors_;
  std::vector<std::size_t> sizes_;
  std::size_t largest_ = 0;
};

struct Sizes {
  std::int64_t hidden = 0;
  std::int64_t layers = 0;
  std::int64_t heads = 0;
  std::int64_t wide = 0;
  std::int64_t sequences = 0;  // of a pass
  std::int64_t tokens = 0;     // of a sequence
  std::int64_t image = 0;      // side; 0: texts
};

// The paper's encoders (and the small one that tests use).
const std::map<std::string, Sizes> kCases = {
    {"vit", {768, 12, 12, 3072, 10, 197, 224}},  // ViT-B/16, a video's 10 frames
    {"blip", {768, 12, 12, 3072, 4, 577, 384}},  // BLIP's vision tower, 4 frames
    {"bert", {1024, 24, 16, 4096, 4, 128, 0}},   // BERT-large (UAE-Large), 4 prompts
    {"minilm", {384, 6, 12, 1536, 32, 24, 0}}};  // MiniLM, 32 titles
constexpr std::int64_t kPatch = 16;
constexpr std::int64_t kVocabulary = 1000;  // looked up, not multiplied: its size does not matter

nlohmann::json config_of(const Sizes& s, const std::string& type) {
  return {{"model_type", type},
          {"hidden_size", s.hidden},
          {"num_hidden_layers", s.layers},
          {"num_attention_heads", s.heads},
          {"intermediate_size", s.wide},
          {"vocab_size", kVocabulary},
          {"max_position_embeddings", 512},
          {"image_size", s.image},
          {"patch_size", kPatch}};
}

void write_bert(const Sizes& s, const fs::path& folder) {
  RandomModel model;
  model.add("embeddings.word_embeddings.weight", {kVocabulary, s.hidden});
  model.add("embeddings.position_embeddings.weight", {512, s.hidden});
  model.add("embeddings.token_type_embeddings.weight", {2, s.hidden});
  model.add_norm("embeddings.LayerNorm", s.hidden);
  for (std::int64_t i = 0; i < s.layers; ++i) {
    const std::string layer = "encoder.layer." + std::to_string(i) + ".";
    for (const char* part : {"self.query", "self.key", "self.value", "output.dense"}) {
      model.add_linear(layer + "attention." + part, s.hidden, s.hidden);
    }
    model.add_norm(layer + "attention.output.LayerNorm", s.hidden);
    model.add_linear(layer + "intermediate.dense", s.wide, s.hidden);
    model.add_linear(layer + "output.dense", s.hidden, s.wide);
    model.add_norm(layer + "output.LayerNorm", s.hidden);
  }
  model.write(folder, config_of(s, "bert"));
}

void write_vit(const Sizes& s, const fs::path& folder) {
  RandomModel model;
  model.add("embeddings.cls_token", {1, 1, s.hidden});
  model.add("embeddings.position_embeddings", {1, s.tokens, s.hidden});
  model.add("embeddings.patch_embeddings.projection.weight", {s.hidden, 3, kPatch, kPatch});
  model.add("embeddings.patch_embeddings.projection.bias", {s.hidden});
  for (std::int64_t i = 0; i < s.layers; ++i) {
    const std::string layer = "encoder.layer." + std::to_string(i) + ".";
    for (const char* part : {"query", "key", "value"}) {
      model.add_linear(layer + "attention.attention." + part, s.hidden, s.hidden);
    }
    model.add_linear(layer + "attention.output.dense", s.hidden, s.hidden);
    model.add_linear(layer + "intermediate.dense", s.wide, s.hidden);
    model.add_linear(layer + "output.dense", s.hidden, s.wide);
    model.add_norm(layer + "layernorm_before", s.hidden);
    model.add_norm(layer + "layernorm_after", s.hidden);
  }
  model.add_norm("layernorm", s.hidden);
  model.write(folder, config_of(s, "vit"));
}

void write_blip(const Sizes& s, const fs::path& folder) {
  RandomModel model;
  const std::string root = "vision_model.";
  model.add(root + "embeddings.class_embedding", {1, 1, s.hidden});
  model.add(root + "embeddings.position_embedding", {1, s.tokens, s.hidden});
  model.add(root + "embeddings.patch_embedding.weight", {s.hidden, 3, kPatch, kPatch});
  model.add(root + "embeddings.patch_embedding.bias", {s.hidden});
  for (std::int64_t i = 0; i < s.layers; ++i) {
    const std::string layer = root + "encoder.layers." + std::to_string(i) + ".";
    model.add_linear(layer + "self_attn.qkv", 3 * s.hidden, s.hidden);
    model.add_linear(layer + "self_attn.projection", s.hidden, s.hidden);
    model.add_linear(layer + "mlp.fc1", s.wide, s.hidden);
    model.add_linear(layer + "mlp.fc2", s.hidden, s.wide);
    model.add_norm(layer + "layer_norm1", s.hidden);
    model.add_norm(layer + "layer_norm2", s.hidden);
  }
  model.add_norm(root + "post_layernorm", s.hidden);
  model.write(folder,
              {{"model_type", "blip"}, {"vision_config", config_of(s, "blip_vision_model")}});
}

/// One pass of a case's model over its input.
std::function<void()> open_pass(const std::string& name, const Sizes& s, Precision precision,
                                const fs::path& folder) {
  if (s.image == 0) {
    write_bert(s, folder);
    auto bert = std::make_shared<const encoders::Bert>(encoders::Bert::open(folder, precision));
    std::vector<encoders::TokenIds> texts(static_cast<std::size_t>(s.sequences));
    std::mt19937 random(2);
    for (auto& ids : texts) {
      for (std::int64_t i = 0; i < s.tokens; ++i) {
        ids.push_back(static_cast<std::int32_t>(random() % kVocabulary));
      }
    }
    return [bert, texts] {
      static_cast<void>(bert->embed(texts, encoders::Pooling::kCls, /*normalise=*/true));
    };
  }
  std::vector<float> images(static_cast<std::size_t>(s.sequences * 3 * s.image * s.image));
  std::mt19937 random(3);
  for (float& value : images) value = static_cast<float>(random() >> 8) / 8388608.0F - 1.0F;
  name == "blip" ? write_blip(s, folder) : write_vit(s, folder);
  auto files = std::make_shared<const encoders::ModelFiles>(folder);
  auto vit = std::make_shared<const encoders::VisionTransformer>(
      name == "blip" ? encoders::VisionTransformer::blip(files, precision)
                     : encoders::VisionTransformer::vit(files, precision));
  return [vit, images = std::move(images)] { static_cast<void>(vit->class_states(images)); };
}

/// oneDNN's product x Wᵀ of one shape, without bias or anything else, and how often a pass has it.
class BareProduct {
 public:
  BareProduct(std::int64_t m, std::int64_t n, std::int64_t k, std::int64_t count, bool bfloat16)
      : flops_(2.0 * static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k)),
        count_(count) {
    using Type = dnnl::memory::data_type;
    using Tag = dnnl::memory::format_tag;
    const Type type = bfloat16 ? Type::bf16 : Type::f32;
    const dnnl::memory::desc x({m, k}, type, Tag::ab);
    const dnnl::memory::desc w({k, n}, type, bfloat16 ? Tag::any : Tag::ba);
    const dnnl::memory::desc y({m, n}, Type::f32, Tag::ab);
    const dnnl::matmul::primitive_desc description(dnnl::matmul::desc(x, w, y), engine_);
    product_ = dnnl::matmul(description);
    for (const auto& [name, desc] : {std::pair{DNNL_ARG_SRC, description.src_desc()},
                                     std::pair{DNNL_ARG_WEIGHTS, description.weights_desc()},
                                     std::pair{DNNL_ARG_DST, description.dst_desc()}}) {
      dnnl::memory memory(desc, engine_);
      std::fill_n(static_cast<char*>(memory.get_data_handle()), desc.get_size(), 0);
      arguments_.emplace(name, memory);
    }
  }
  [[nodiscard]] double flops() const { return flops_ * static_cast<double>(count_); }
  void run() {
    for (std::int64_t i = 0; i < count_; ++i) product_.execute(stream_, arguments_);
    stream_.wait();
  }

 private:
  dnnl::engine engine_{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream_{engine_};
  dnnl::matmul product_;
  std::unordered_map<int, dnnl::memory> arguments_;
  double flops_;
  std::int64_t count_;
};

/// The linear layers of a pass.
std::vector<BareProduct> products_of(const std::string& name, const Sizes& s, bool bfloat16) {
  const std::int64_t m = s.sequences * s.tokens;
  std::vector<BareProduct> products;
  if (name == "blip") {
    products.emplace_back(m, 3 * s.hidden, s.hidden, s.layers, bfloat16);
    products.emplace_back(m, s.hidden, s.hidden, s.layers, bfloat16);
  } else {
    products.emplace_back(m, s.hidden, s.hidden, 4 * s.layers, bfloat16);
  }
  products.emplace_back(m, s.wide, s.hidden, s.layers, bfloat16);
  products.emplace_back(m, s.hidden, s.wide, s.layers, bfloat16);
  if (s.image > 0) products.emplace_back(m, s.hidden, 3 * kPatch * kPatch, 1, bfloat16);
  return products;
}

/// The two products of attention: 2 · tokens² · hidden multiply-adds a sequence and layer.
double attention_flops(const Sizes& s) {
  return 4.0 * static_cast<double>(s.sequences * s.layers * s.tokens * s.tokens * s.hidden);
}

/// What seconds are of: the clock's, or on one thread the processor's, which other programs disturb
/// less.
bool is_processor_time = false;

double now_s() {
  timespec time{};
  ::clock_gettime(is_processor_time ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

double seconds_of(const std::function<void()>& action) {
  const double start = now_s();
  action();
  return now_s() - start;
}

void measure(const std::string& name, const Sizes& s, Precision precision, int rounds) {
  const ScratchDirectory scratch("bench");
  const auto pass = open_pass(name, s, precision, scratch.path());
  auto products =
      products_of(name, s, precision == Precision::kBFloat16 && encoders::has_bfloat16_products());
  double product_flops = 0.0;
  for (const BareProduct& product : products) product_flops += product.flops();
  const auto all_products = [&] {
    for (BareProduct& product : products) product.run();
  };
  pass();
  all_products();
  std::vector<double> pass_seconds;
  std::vector<double> product_seconds;
  std::vector<double> shares;
  const double flops = product_flops + attention_flops(s);
  for (int i = 0; i < rounds; ++i) {
    pass_seconds.push_back(seconds_of(pass));
    product_seconds.push_back(seconds_of(all_products));
    shares.push_back(flops / pass_seconds.back() / (product_flops / product_seconds.back()));
  }
  std::printf("| %-6s | %3lld x %3lld | %7.1f | %8.4f s | %7.1f | %7.1f | %5.2f |\n", name.c_str(),
              static_cast<long long>(s.sequences), static_cast<long long>(s.tokens), flops / 1e9,
              median(pass_seconds), flops / 1e9 / median(pass_seconds),
              product_flops / 1e9 / median(product_seconds), median(shares));
  std::fflush(stdout);
}

/// For encoders_peers.py: a pass for every line read, its seconds on a line.
void serve(const std::string& name, const Sizes& s, Precision precision) {
  const ScratchDirectory scratch("bench");
  const auto pass = open_pass(name, s, precision, scratch.path());
  pass();
  std::printf("ready\n");
  std::fflush(stdout);
  for (std::string line; std::getline(std::cin, line);) {
    std::printf("%.6f\n", seconds_of(pass));
    std::fflush(stdout);
  }
}

int run(int argc, char** argv) {
  int rounds = 9;
  int threads = available_processors();
  std::string precision_name = "auto";
  std::vector<std::string> names = {"vit", "blip", "bert", "minilm"};
  std::string served;
  CLI::App app("The pretrained encoders beside oneDNN's bare products");
  app.add_option("--rounds", rounds, "turns of each")->check(CLI::Range(1, 1000));
  app.add_option("--threads", threads)->check(CLI::Range(1, 1024));
  app.add_option("--precision", precision_name)->check(CLI::IsMember({"auto", "f32", "bf16"}));
  app.add_option("--case", names)->check(CLI::IsMember(names));
  app.add_flag("--processor-time", is_processor_time, "the processor's seconds, not the clock's");
  app.add_option("--serve", served, "a pass of this case for every line of input")
      ->check(CLI::IsMember(names));
  CLI11_PARSE(app, argc, argv);
  const Precision precision = encoders::resolve(precision_name == "f32"    ? Precision::kFloat32
                                                : precision_name == "bf16" ? Precision::kBFloat16
                                                                           : Precision::kAuto);
  omp_set_num_threads(threads);
  if (!served.empty()) {
    serve(served, kCases.at(served), precision);
    return 0;
  }
  const dnnl_version_t* version = dnnl_version();
  std::printf("oneDNN %d.%d.%d, instruction set 0x%x, %d threads, %s%s, %s, medians of %d%s\n\n",
              version->major, version->minor, version->patch,
              static_cast<unsigned>(dnnl::get_effective_cpu_isa()), threads,
              std::string(encoders::name_of(precision)).c_str(),
              precision == Precision::kBFloat16 && !encoders::has_bfloat16_products()
                  ? " (widened for each product)"
                  : "",
              environment("DNNL_MAX_CPU_ISA").c_str(), rounds,
              is_processor_time ? ", processor time" : "");
  std::printf("| case   | tokens    | GFLOP   | a pass     | GFLOP/s | product | share |\n");
  std::printf("| ------ | --------- | ------- | ---------- | ------- | ------- | ----- |\n");
  for (const std::string& name : names) measure(name, kCases.at(name), precision, rounds);
  std::printf("\npeak memory %.0f MiB\n", peak_memory_mib());
  return 0;
}

}  // namespace
}  // namespace mmra::bench

int main(int argc, char** argv) { return mmra::bench::run_main(mmra::bench::run, argc, argv); }
