#include "mmra/encoders/pretrained/blip_captioner.h"

#include <algorithm>
#include <utility>

#include "mmra/core/error.h"
#include "mmra/core/threads.h"
#include "mmra/encoders/pretrained/blip_text_decoder.h"
#include "mmra/encoders/pretrained/generation_config.h"
#include "mmra/encoders/pretrained/image_processor.h"
#include "mmra/encoders/pretrained/parallel_rows.h"
#include "mmra/encoders/pretrained/vision_transformer.h"
#include "mmra/text/word_piece.h"

namespace mmra::encoders {
namespace {

std::shared_ptr<const ModelFiles> open_files(const std::filesystem::path& directory) {
  auto files = std::make_shared<const ModelFiles>(directory);
  const std::string type = files->config().text("model_type");
  if (type != "blip") {
    throw Error(ErrorKind::kUnsupported, files->config().origin() + ": \"model_type\" is \"" +
                                             type + "\"; captioners of type \"blip\" are read");
  }
  return files;
}

}  // namespace

struct BlipCaptioner::Model {
  Model(const std::filesystem::path& directory, const BlipCaptionerOptions& wanted)
      : Model(open_files(directory), wanted) {}

  Model(const std::shared_ptr<const ModelFiles>& files, const BlipCaptionerOptions& wanted)
      : options(wanted),
        processor(ImageProcessor::open(files->directory())),
        tokenizer(text::WordPieceTokenizer::open(files->directory())),
        vision(VisionTransformer::blip(files, wanted.precision)),
        decoder(files, vision.config().hidden_size, wanted.precision),
        generation(wanted.generation
                       ? *wanted.generation
                       : read_generation_options(files->directory(),
                                                 files->config().section("text_config"))) {
    check_parts(files->directory().string());
    mmra::encoders::check(generation, static_cast<int>(decoder.config().vocab_size));
    // Says now, not at the first caption, that sentences would be too long.
    (void)decoder.begin({}, 0, generation.max_length);
    const std::size_t bytes_per_frame =
        decoder.bytes_per_image(vision.config().num_tokens()) +
        static_cast<std::size_t>(vision.config().image_floats() +
                                 vision.config().num_tokens() * vision.config().hidden_size) *
            sizeof(float);
    batch_size = std::max<std::size_t>(1, options.batch_bytes / bytes_per_frame);
  }

  void check_parts(const std::string& directory) const {
    const std::int64_t side = vision.config().image_size;
    if (processor.width() != side || processor.height() != side) {
      throw Error(ErrorKind::kCorruptData,
                  directory + ": preprocessor_config.json makes images of " +
                      std::to_string(processor.width()) + " × " +
                      std::to_string(processor.height()) + " pixels, config.json takes " +
                      std::to_string(side) + " × " + std::to_string(side));
    }
    if (tokenizer.vocabulary_size() > decoder.config().vocab_size) {
      throw Error(ErrorKind::kCorruptData,
                  directory + ": the tokenizer has " + std::to_string(tokenizer.vocabulary_size()) +
                      " words, the model " + std::to_string(decoder.config().vocab_size) +
                      "; they belong to different models");
    }
  }

  [[nodiscard]] std::vector<std::vector<std::int32_t>> generate_ids(std::span<const float> images,
                                                                    int num_threads) const {
    use_parallel_threads(num_threads);
    const Matrix states = vision.hidden_states(images);
    const auto num_images =
        static_cast<std::int64_t>(images.size()) / vision.config().image_floats();
    const auto sentences = decoder.begin(states.view(), num_images, generation.max_length);
    return generate(*sentences, static_cast<int>(num_images), generation);
  }

  /// Captions of frames that are one batch.
  void caption_batch(std::span<const media::Frame* const> frames, std::span<std::string> captions,
                     int num_threads) const {
    const auto image_floats = static_cast<std::size_t>(vision.config().image_floats());
    std::vector<float> images(frames.size() * image_floats);
    parallel_for(frames.size(), 1, num_threads, [&](std::size_t begin, std::size_t end) {
      for (std::size_t i = begin; i < end; ++i) {
        processor.process(*frames[i], std::span(images).subspan(i * image_floats, image_floats));
      }
    });
    const auto ids = generate_ids(images, num_threads);
    for (std::size_t i = 0; i < ids.size(); ++i) {
      // Without the start id: only some tokenizers know it for a special token.
      captions[i] = tokenizer.decode(std::span(ids[i]).subspan(1));
    }
  }

  BlipCaptionerOptions options;
  ImageProcessor processor;
  text::WordPieceTokenizer tokenizer;
  VisionTransformer vision;
  BlipTextDecoder decoder;
  GenerationOptions generation;
  std::size_t batch_size = 1;
};

BlipCaptioner BlipCaptioner::open(const std::filesystem::path& directory,
                                  const BlipCaptionerOptions& options) {
  return BlipCaptioner(std::make_unique<const Model>(directory, options));
}

BlipCaptioner::BlipCaptioner(std::unique_ptr<const Model> model) : model_(std::move(model)) {}
BlipCaptioner::BlipCaptioner(BlipCaptioner&&) noexcept = default;
BlipCaptioner& BlipCaptioner::operator=(BlipCaptioner&&) noexcept = default;
BlipCaptioner::~BlipCaptioner() = default;

const GenerationOptions& BlipCaptioner::generation() const { return model_->generation; }
Precision BlipCaptioner::precision() const { return model_->vision.precision(); }
std::size_t BlipCaptioner::batch_size() const { return model_->batch_size; }

std::vector<std::string> BlipCaptioner::caption(std::span<const media::Frame* const> frames,
                                                const EncodeOptions& how) const {
  std::vector<std::string> captions(frames.size());
  for (std::size_t first = 0; first < frames.size(); first += model_->batch_size) {
    const std::size_t count = std::min(model_->batch_size, frames.size() - first);
    if (how.stop.stop_requested()) throw Interrupted();
    model_->caption_batch(frames.subspan(first, count), std::span(captions).subspan(first, count),
                          how.num_threads);
  }
  return captions;
}

std::vector<std::vector<std::string>> BlipCaptioner::caption_clips(std::span<const Clip> clips,
                                                                   const EncodeOptions& how) const {
  std::vector<std::vector<std::size_t>> groups;
  std::vector<const media::Frame*> representatives;
  for (const Clip clip : clips) {
    groups.push_back(group_similar_frames(clip, model_->options.grouping));
    for (std::size_t i = 0; i < clip.size(); ++i) {
      if (groups.back()[i] == i) representatives.push_back(&clip[i]);
    }
  }
  const std::vector<std::string> captions = caption(representatives, how);
  std::vector<std::vector<std::string>> result;
  std::size_t next = 0;
  for (const std::vector<std::size_t>& group : groups) {
    std::vector<std::string>& of_clip = result.emplace_back();
    // A representative comes before those that it speaks for.
    for (std::size_t i = 0; i < group.size(); ++i) {
      of_clip.push_back(group[i] == i ? captions[next++] : of_clip[group[i]]);
    }
  }
  return result;
}

std::vector<std::vector<std::int32_t>> BlipCaptioner::generate_ids(std::span<const float> images,
                                                                   int num_threads) const {
  return model_->generate_ids(images, num_threads);
}

}  // namespace mmra::encoders
