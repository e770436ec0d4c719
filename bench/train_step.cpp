// Seconds for one training step (gather, forward, backward, Adam) of the MMRA network at the
// paper's sizes, on made features. bench/train_step_authors.py times the authors' network alike.
#include <dlfcn.h>
#include <torch/csrc/api/include/torch/version.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <random>
#include <string>
#include <vector>

#include "measured.h"
#include "mmra/core/error.h"
#include "mmra/core/float16.h"
#include "mmra/core/threads.h"
#include "mmra/model/neural/mmra_predictor.h"

namespace mmra::bench {
namespace {

struct Flags {
  std::string variant = "released";
  int frames = 10;
  int text_tokens = 1;
  int dim = 768;
  int width = 0;
  double dropout = 0.0;
  std::string precision = "f32";
  int k = 10;
  int batch = 64;
  int items = 3000;
  int steps = 15;
  int warm_up = 3;
  int threads = available_processors();
};

std::vector<Float16Bits> made_tokens(std::mt19937& random, int tokens, int dim) {
  std::normal_distribution<float> normal;
  std::vector<Float16Bits> values(static_cast<std::size_t>(tokens) * static_cast<std::size_t>(dim));
  for (Float16Bits& value : values) value = float_to_half(0.5F * normal(random));
  return values;
}

bank::FeatureTable made_table(const Flags& flags) {
  std::mt19937 random(1);
  bank::FeatureTable table(flags.dim, flags.dim);
  for (int item = 0; item < flags.items; ++item) {
    const auto visual = made_tokens(random, flags.frames, flags.dim);
    const auto text = made_tokens(random, flags.text_tokens, flags.dim);
    table.append({flags.frames, flags.dim, visual}, {flags.text_tokens, flags.dim, text},
                 1.0 + static_cast<double>(random() % 1000));
  }
  return table;
}

model::Batch made_batch(const bank::FeatureTable& table, const Flags& flags, std::mt19937& random) {
  std::uniform_real_distribution<float> similarity(0.5F, 1.0F);
  const auto any_row = [&] { return static_cast<std::int32_t>(random() % table.num_rows()); };
  model::Batch batch;
  batch.queries = batch.memory = &table;
  batch.k = flags.k;
  for (int query = 0; query < flags.batch; ++query) {
    batch.query_rows.push_back(any_row());
    for (int j = 0; j < flags.k; ++j) {
      batch.instance_rows.push_back(any_row());
      batch.similarities.push_back(similarity(random));
    }
  }
  return batch;
}

model::MmraConfig made_config(const Flags& flags) {
  model::MmraConfig config;
  config.variant = flags.variant == "paper" ? model::Variant::kPaper : model::Variant::kReleased;
  config.visual_dim = config.text_dim = config.width = flags.dim;
  if (flags.width > 0) config.width = flags.width;
  config.precision = flags.precision == "bf16" ? Precision::kBFloat16 : Precision::kFloat32;
  config.dropout_input = config.token_dropout = config.dropout_hidden = flags.dropout;
  if (flags.dropout > 0.0) {  // the settings of `mmra train`
    config.gradient_clip = 1.0;
    config.ema_decay = 0.999;
  }
  config.k = flags.k;
  config.learning_rate = 1e-5;
  config.label_mean = 9.0;
  return config;
}

void print_setting(const Flags& flags, model::neural::MmraPredictor& predictor) {
  std::int64_t weights = 0;
  for (const auto& [name, value] : predictor.network().parameters().all()) weights += value.numel();
  std::printf("mmra %s, %s: %d x %d visual, %d x %d text, k %d, batch %d, %lld weights\n",
              flags.variant.c_str(), flags.precision.c_str(), flags.frames, flags.dim,
              flags.text_tokens, flags.dim, flags.k, flags.batch, static_cast<long long>(weights));
  using NameFunction = char* (*)();
  const auto core_name =
      reinterpret_cast<NameFunction>(::dlsym(RTLD_DEFAULT, "openblas_get_corename"));
  std::printf("threads %d, LibTorch %s, OpenBLAS core %s, %s, %s\n", flags.threads, TORCH_VERSION,
              core_name == nullptr ? "(another BLAS)" : core_name(),
              environment("OPENBLAS_CORETYPE").c_str(), environment("OPENBLAS_L2_SIZE").c_str());
}

void run(const Flags& flags) {
  const bank::FeatureTable table = made_table(flags);
  model::neural::MmraPredictor predictor(made_config(flags), flags.threads);
  print_setting(flags, predictor);
  std::mt19937 random(2);
  std::vector<double> seconds;
  for (int step = 0; step < flags.warm_up + flags.steps; ++step) {
    const model::Batch batch = made_batch(table, flags, random);
    std::vector<float> targets;
    for (const std::int32_t row : batch.query_rows) {
      targets.push_back(table.log2_popularity(static_cast<std::size_t>(row)));
    }
    const Stopwatch watch;
    predictor.train_step(batch, targets);
    if (step >= flags.warm_up) seconds.push_back(watch.seconds());
  }
  print_times("one step", seconds);
  std::printf("peak memory %.0f MiB\n", peak_memory_mib());
}

}  // namespace
}  // namespace mmra::bench

int main(int argc, char** argv) {
  mmra::bench::Flags flags;
  CLI::App app("Times one training step of the MMRA network");
  app.add_option("--variant", flags.variant)->check(CLI::IsMember({"released", "paper"}));
  app.add_option("--frames", flags.frames)->check(CLI::NonNegativeNumber);
  app.add_option("--text-tokens", flags.text_tokens)->check(CLI::PositiveNumber);
  app.add_option("--dim", flags.dim, "Of the features")->check(CLI::PositiveNumber);
  app.add_option("--width", flags.width, "Of the paper variant; --dim unless told")
      ->check(CLI::PositiveNumber);
  app.add_option("--dropout", flags.dropout,
                 "Above 0: as `mmra train`, with a clipped gradient and averages")
      ->check(CLI::Range(0.0, 0.9));
  app.add_option("--precision", flags.precision)->check(CLI::IsMember({"f32", "bf16"}));
  app.add_option("-k", flags.k)->check(CLI::PositiveNumber);
  app.add_option("--batch", flags.batch)->check(CLI::PositiveNumber);
  app.add_option("--items", flags.items)->check(CLI::PositiveNumber);
  app.add_option("--steps", flags.steps)->check(CLI::PositiveNumber);
  app.add_option("--warm-up", flags.warm_up)->check(CLI::NonNegativeNumber);
  app.add_option("--threads", flags.threads)->check(CLI::PositiveNumber);
  CLI11_PARSE(app, argc, argv);
  try {
    mmra::bench::run(flags);
  } catch (const mmra::Error& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 1;
  }
  return 0;
}
