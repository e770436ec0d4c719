// BLIP's captions from pixels to token ids: seconds of the vision tower and of the decoder, and the
// decoder's rate as a share of oneDNN's bare products of the same shapes, each over weights of its
// own as in the model, taken in turns. The model is a folder; captions_peer.py makes one.
#include <dnnl.h>
#include <omp.h>

#include <CLI/CLI.hpp>
#include <array>
#include <iostream>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "measured.h"
#include "mmra/core/threads.h"
#include "mmra/encoders/pretrained/blip_text_decoder.h"
#include "mmra/encoders/pretrained/generation_config.h"
#include "mmra/encoders/pretrained/vision_transformer.h"

namespace mmra::bench {
namespace {

using encoders::BlipTextConfig;
using encoders::BlipTextDecoder;
using encoders::GenerationOptions;
using encoders::Matrix;
using encoders::ModelFiles;
using encoders::Precision;
using encoders::VisionTransformer;

struct Captions {
  double vision_s = 0.0;
  double decoder_s = 0.0;
  std::size_t tokens = 0;
};

class Captioning {
 public:
  Captioning(const std::string& folder, Precision precision, int num_frames, int num_beams)
      : files_(std::make_shared<const ModelFiles>(folder)),
        vision_(VisionTransformer::blip(files_, precision)),
        decoder_(files_, vision_.config().hidden_size, precision),
        options_(read_generation_options(folder, files_->config().section("text_config"))),
        num_frames_(num_frames),
        images_(static_cast<std::size_t>(num_frames * vision_.config().image_floats())) {
    options_.num_beams = num_beams;
    options_.min_length = options_.max_length;  // every caption is of full length
    std::mt19937 random(3);
    for (float& value : images_) value = static_cast<float>(random() >> 8) / 8388608.0F - 1.0F;
  }

  [[nodiscard]] Captions run() const {
    Captions result;
    const Stopwatch vision;
    const Matrix states = vision_.hidden_states(images_);
    result.vision_s = vision.seconds();
    const Stopwatch decoding;
    const auto sentences = decoder_.begin(states.view(), num_frames_, options_.max_length);
    for (const auto& ids : generate(*sentences, num_frames_, options_)) result.tokens += ids.size();
    result.decoder_s = decoding.seconds();
    return result;
  }

  [[nodiscard]] const BlipTextConfig& config() const { return decoder_.config(); }
  [[nodiscard]] std::int64_t image_tokens() const {
    return num_frames_ * vision_.config().num_tokens();
  }
  [[nodiscard]] std::int64_t steps() const { return options_.max_length - 1; }

 private:
  std::shared_ptr<const ModelFiles> files_;
  VisionTransformer vision_;
  BlipTextDecoder decoder_;
  GenerationOptions options_;
  int num_frames_;
  std::vector<float> images_;
};

/// The linear layers of one decoding, float32: keys and values of the images once, the rest a step.
class BareProducts {
 public:
  BareProducts(const BlipTextConfig& config, std::int64_t image_tokens, std::int64_t rows,
               std::int64_t steps)
      : steps_(steps) {
    const std::int64_t h = config.hidden_size;
    for (std::int64_t i = 0; i < config.num_layers; ++i) {
      for (int part = 0; part < 2; ++part) once_.push_back({image_tokens, h, h});
      for (int part = 0; part < 6; ++part) step_.push_back({rows, h, h});
      step_.push_back({rows, config.intermediate_size, h});
      step_.push_back({rows, h, config.intermediate_size});
    }
    step_.push_back({rows, h, h});
    step_.push_back({rows, config.vocab_size, h});
    std::int64_t largest_x = 0;
    std::int64_t largest_y = 0;
    std::int64_t weights = 0;
    for (const auto& all : {once_, step_}) {
      for (const auto& [m, n, k] : all) {
        largest_x = std::max(largest_x, m * k);
        largest_y = std::max(largest_y, m * n);
        weights += n * k;
      }
    }
    x_.assign(static_cast<std::size_t>(largest_x), 0.01F);
    y_.assign(static_cast<std::size_t>(largest_y), 0.0F);
    weights_.assign(static_cast<std::size_t>(weights), 0.01F);
  }

  [[nodiscard]] double flops() const {
    return flops_of(once_) + static_cast<double>(steps_) * flops_of(step_);
  }
  void run() {
    const float* weight = multiply(once_, weights_.data());
    for (std::int64_t i = 0; i < steps_; ++i) multiply(step_, weight);
  }

 private:
  using Shape = std::array<std::int64_t, 3>;  // rows, out, in

  static double flops_of(const std::vector<Shape>& shapes) {
    double flops = 0.0;
    for (const auto& [m, n, k] : shapes) flops += 2.0 * static_cast<double>(m * n * k);
    return flops;
  }
  const float* multiply(const std::vector<Shape>& shapes, const float* weight) {
    for (const auto& [m, n, k] : shapes) {
      dnnl_sgemm('N', 'T', m, n, k, 1.0F, x_.data(), k, weight, k, 0.0F, y_.data(), n);
      weight += n * k;
    }
    return weight;
  }

  std::int64_t steps_;
  std::vector<Shape> once_;
  std::vector<Shape> step_;
  std::vector<float> x_;
  std::vector<float> y_;
  std::vector<float> weights_;
};

void measure(const Captioning& captioning, int num_rows, int rounds) {
  const Captions first = captioning.run();
  const double memory_mib = peak_memory_mib();
  BareProducts products(captioning.config(), captioning.image_tokens(), num_rows,
                        captioning.steps());
  products.run();
  std::vector<double> vision;
  std::vector<double> decoder;
  std::vector<double> bare;
  std::vector<double> shares;
  for (int i = 0; i < rounds; ++i) {
    const Captions captions = captioning.run();
    vision.push_back(captions.vision_s);
    decoder.push_back(captions.decoder_s);
    const Stopwatch watch;
    products.run();
    bare.push_back(watch.seconds());
    shares.push_back(bare.back() / decoder.back());
  }
  const double gflop = products.flops() / 1e9;
  print_times("vision tower", vision);
  print_times("decoder", decoder);
  std::printf("decoder's linear layers %.1f GFLOP: %.1f GFLOP/s, bare products %.1f, share %.2f\n",
              gflop, gflop / median(decoder), gflop / median(bare), median(shares));
  std::printf("%zu tokens; peak memory of model and captions %.0f MiB\n", first.tokens, memory_mib);
}

/// For captions_peer.py: captions for every line read, their seconds on a line.
void serve(const Captioning& captioning) {
  static_cast<void>(captioning.run());
  std::printf("ready\n");
  std::fflush(stdout);
  for (std::string line; std::getline(std::cin, line);) {
    const Captions captions = captioning.run();
    std::printf("%.6f\n", captions.vision_s + captions.decoder_s);
    std::fflush(stdout);
  }
}

int run(int argc, char** argv) {
  std::string folder;
  std::string precision_name = "f32";
  int rounds = 5;
  int threads = available_processors();
  int num_frames = 10;
  int num_beams = 1;
  bool serves = false;
  CLI::App app("BLIP's captions beside oneDNN's bare products");
  app.add_option("MODEL", folder, "a folder; captions_peer.py --keep makes one")->required();
  app.add_option("--rounds", rounds)->check(CLI::Range(1, 1000));
  app.add_option("--threads", threads)->check(CLI::Range(1, 1024));
  app.add_option("--frames", num_frames)->check(CLI::Range(1, 100));
  app.add_option("--beams", num_beams)->check(CLI::Range(1, 16));
  app.add_option("--precision", precision_name)->check(CLI::IsMember({"auto", "f32", "bf16"}));
  app.add_flag("--serve", serves, "captions for every line of input");
  CLI11_PARSE(app, argc, argv);
  const Precision precision = encoders::resolve(precision_name == "f32"    ? Precision::kFloat32
                                                : precision_name == "bf16" ? Precision::kBFloat16
                                                                           : Precision::kAuto);
  omp_set_num_threads(threads);
  const Captioning captioning(folder, precision, num_frames, num_beams);
  if (serves) {
    serve(captioning);
    return 0;
  }
  const dnnl_version_t* version = dnnl_version();
  std::printf("oneDNN %d.%d.%d, %d threads, %s, %d frames, %d beams\n", version->major,
              version->minor, version->patch, threads,
              std::string(encoders::name_of(precision)).c_str(), num_frames, num_beams);
  measure(captioning, num_frames * num_beams, rounds);
  return 0;
}

}  // namespace
}  // namespace mmra::bench

int main(int argc, char** argv) { return mmra::bench::run_main(mmra::bench::run, argc, argv); }
