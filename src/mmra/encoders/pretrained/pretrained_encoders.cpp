#include "mmra/encoders/pretrained/pretrained_encoders.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <map>
#include <utility>

#include "mmra/core/error.h"
#include "mmra/core/threads.h"
#include "mmra/encoders/pretrained/parallel_rows.h"

namespace mmra::encoders {
namespace {

namespace fs = std::filesystem;

// Full enough for the matrix products, small enough for the caches and for Ctrl-C.
constexpr std::size_t kTokensPerBatch = 2048;
constexpr std::size_t kImagesPerBatch = 16;
/// 384 pixels are the most that any of the models sees; frames of five times that lose nothing that
/// they could see, and ten of them are 62 MB.
constexpr int kMaxFrameSidePx = 1920;
constexpr int kItemsPerBatch = 64;

void check_stop(const EncodeOptions& options) {
  if (options.stop.stop_requested()) throw Interrupted();
}

Pooling to_pooling(hub::Pooling pooling) {
  switch (pooling) {
    case hub::Pooling::kCls:
      return Pooling::kCls;
    case hub::Pooling::kMean:
      return Pooling::kMean;
    case hub::Pooling::kClsAvg:
      break;
  }
  return Pooling::kClsAverage;
}

/// The smaller of what the part asks for and what the model can take.
int max_tokens(const Bert& bert, const hub::PartSettings& settings) {
  const auto limit = static_cast<int>(bert.config().max_tokens);
  return settings.max_tokens > 0 ? std::min(settings.max_tokens, limit) : limit;
}

/// Calls body(begin, end) on runs of texts that together have about kTokensPerBatch tokens.
template <typename Body>
void for_batches(const std::vector<TokenIds>& texts, const EncodeOptions& options,
                 const Body& body) {
  use_parallel_threads(options.num_threads);
  for (std::size_t begin = 0; begin < texts.size();) {
    check_stop(options);
    std::size_t end = begin;
    for (std::size_t num_tokens = 0; end < texts.size() && num_tokens < kTokensPerBatch; ++end) {
      num_tokens += texts[end].size();
    }
    body(begin, end);
    begin = end;
  }
}

/// Where there is no text there is no direction: all zeros are similar to nothing.
void normalise(std::vector<float>& vector) {
  double squares = 0.0;
  for (const float value : vector) squares += static_cast<double>(value) * value;
  if (squares <= 0.0) return;
  const auto factor = static_cast<float>(1.0 / std::sqrt(squares));
  for (float& value : vector) value *= factor;
}

std::string fill_in(const std::string& prompt, const std::string& text) {
  std::string filled = prompt;
  const std::size_t place = filled.find(hub::kPromptPlace);
  return filled.replace(place, hub::kPromptPlace.size(), text);
}

/// Models of two parts that are the same files (a text part linked to the retrieval part) are
/// loaded once.
class SharedBerts {
 public:
  explicit SharedBerts(Precision precision) : precision_(precision) {}

  SharedBert model_of(const SetPart& part) {
    std::error_code ignored;
    const fs::path directory = fs::canonical(part.directory, ignored);
    SharedBert& model = models_[directory];
    if (!model) {
      model = std::make_shared<const Lazy<TokenizedBert>>(
          [directory = part.directory, precision = precision_] {
            return TokenizedBert::open(directory, precision);
          });
    }
    return model;
  }

 private:
  Precision precision_;
  std::map<fs::path, SharedBert> models_;
};

}  // namespace

TokenizedBert TokenizedBert::open(const fs::path& directory, Precision precision) {
  TokenizedBert model{text::WordPieceTokenizer::open(directory), Bert::open(directory, precision)};
  const std::int64_t known = model.tokenizer.vocabulary_size();
  if (known > model.bert.config().vocab_size) {
    throw Error(ErrorKind::kCorruptData, directory.string() + " has a tokenizer of " +
                                             std::to_string(known) + " tokens and a model for " +
                                             std::to_string(model.bert.config().vocab_size) +
                                             "; they are not of one model");
  }
  return model;
}

std::vector<TokenMatrix> PretrainedTextEncoder::encode_titles(
    std::span<const std::string_view> titles, const EncodeOptions& options) const {
  const TokenizedBert& model = model_->get();
  const int limit = std::min(max_tokens(model.bert, settings_), kMaxTitleTokens);
  const auto texts = parallel_map(titles, options.num_threads, [&](std::string_view title) {
    return model.tokenizer.encode(title, limit);
  });
  std::vector<TokenMatrix> encoded;
  encoded.reserve(titles.size());
  for_batches(texts, options, [&](std::size_t begin, std::size_t end) {
    auto states = model.bert.hidden_states(std::span(texts).subspan(begin, end - begin));
    std::move(states.begin(), states.end(), std::back_inserter(encoded));
  });
  return encoded;
}

std::string join_prompt(const Prompt& prompt) {
  std::vector<std::string_view> parts;
  for (const std::string& caption : prompt.captions) {
    const bool repeats = std::find(parts.begin(), parts.end(), caption) != parts.end();
    if (!caption.empty() && !repeats) parts.emplace_back(caption);
  }
  if (!prompt.title.empty()) parts.push_back(prompt.title);
  std::string text;
  for (const std::string_view part : parts) {
    if (!text.empty()) text += ". ";
    text += part;
  }
  return text;
}

std::vector<std::vector<float>> PretrainedRetrievalEncoder::encode_prompts(
    std::span<const Prompt> prompts, const EncodeOptions& options) const {
  const TokenizedBert& model = model_->get();
  const int limit = max_tokens(model.bert, settings_);
  std::vector<std::vector<float>> vectors(prompts.size(),
                                          std::vector<float>(static_cast<std::size_t>(dim_), 0.0F));
  std::vector<std::string> contents;
  std::vector<std::size_t> owners;
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    std::string text = join_prompt(prompts[i]);
    if (text.empty()) continue;
    contents.push_back(fill_in(settings_.prompt, text));
    owners.push_back(i);
  }
  const auto texts =
      parallel_map(std::span<const std::string>(contents), options.num_threads,
                   [&](const std::string& text) { return model.tokenizer.encode(text, limit); });
  for_batches(texts, options, [&](std::size_t begin, std::size_t end) {
    const std::vector<float> pooled =
        model.bert.embed(std::span(texts).subspan(begin, end - begin),
                         to_pooling(settings_.pooling), /*normalise=*/false);
    const auto dim = static_cast<std::ptrdiff_t>(dim_);
    for (std::size_t i = begin; i < end; ++i) {
      const auto from = pooled.begin() + static_cast<std::ptrdiff_t>(i - begin) * dim;
      std::vector<float>& vector = vectors[owners[i]];
      vector.assign(from, from + dim);
      normalise(vector);
    }
  });
  return vectors;
}

VisualModel VisualModel::open(const fs::path& directory, Precision precision) {
  VisualModel model{ImageProcessor::open(directory), VisionTransformer::open(directory, precision)};
  const std::int64_t size = model.transformer.config().image_size;
  if (model.processor.width() != size || model.processor.height() != size) {
    throw Error(ErrorKind::kCorruptData, directory.string() + " makes pictures of " +
                                             std::to_string(model.processor.width()) + " × " +
                                             std::to_string(model.processor.height()) +
                                             " pixels for a model that takes " +
                                             std::to_string(size) + " × " + std::to_string(size));
  }
  return model;
}

std::vector<TokenMatrix> PretrainedVisualEncoder::encode_clips(std::span<const Clip> clips,
                                                               const EncodeOptions& options) const {
  const VisualModel& model = model_.get();
  std::vector<const media::Frame*> frames;
  for (const Clip& clip : clips) {
    for (const media::Frame& frame : clip) frames.push_back(&frame);
  }
  const auto num_floats = static_cast<std::size_t>(model.transformer.config().image_floats());
  std::vector<float> states;
  std::vector<float> images;
  for (std::size_t begin = 0; begin < frames.size(); begin += kImagesPerBatch) {
    check_stop(options);
    const std::size_t count = std::min(kImagesPerBatch, frames.size() - begin);
    images.resize(count * num_floats);
    parallel_for(count, 1, options.num_threads, [&](std::size_t first, std::size_t last) {
      for (std::size_t i = first; i < last; ++i) {
        model.processor.process(*frames[begin + i],
                                std::span(images).subspan(i * num_floats, num_floats));
      }
    });
    use_parallel_threads(options.num_threads);
    const std::vector<float> batch = model.transformer.class_states(images);
    states.insert(states.end(), batch.begin(), batch.end());
  }
  std::vector<TokenMatrix> encoded;
  encoded.reserve(clips.size());
  auto from = states.begin();
  for (const Clip& clip : clips) {
    const auto to = from + static_cast<std::ptrdiff_t>(clip.size()) * dim_;
    encoded.push_back({static_cast<int>(clip.size()), dim_, {from, to}});
    from = to;
  }
  return encoded;
}

std::vector<std::vector<std::string>> PretrainedCaptioner::caption_clips(
    std::span<const Clip> clips, const EncodeOptions& options) const {
  return model_.get().caption_clips(clips, options);
}

EncoderSet open_pretrained(const fs::path& directory, Precision precision) {
  const SetArtefact artefact = read_set_artefact(directory);
  SharedBerts berts(precision);
  std::shared_ptr<const Captioner> captioner;
  std::shared_ptr<const VisualEncoder> visual;
  std::shared_ptr<const TextEncoder> text;
  std::shared_ptr<const RetrievalEncoder> retrieval;
  if (const SetPart* part = artefact.find(hub::Role::kCaptioner)) {
    captioner = std::make_shared<const PretrainedCaptioner>([folder = part->directory, precision] {
      BlipCaptionerOptions options;
      options.precision = precision;
      return BlipCaptioner::open(folder, options);
    });
  }
  if (const SetPart* part = artefact.find(hub::Role::kVisual)) {
    visual = std::make_shared<const PretrainedVisualEncoder>(
        [folder = part->directory, precision] { return VisualModel::open(folder, precision); },
        artefact.visual_dim);
  }
  if (const SetPart* part = artefact.find(hub::Role::kText)) {
    text = std::make_shared<const PretrainedTextEncoder>(berts.model_of(*part), artefact.text_dim,
                                                         part->settings);
  }
  if (const SetPart* part = artefact.find(hub::Role::kRetrieval)) {
    retrieval = std::make_shared<const PretrainedRetrievalEncoder>(
        berts.model_of(*part), artefact.retrieval_dim, part->settings);
  }
  return {artefact.name,
          artefact.fingerprint,
          std::move(captioner),
          std::move(visual),
          std::move(text),
          std::move(retrieval),
          EncoderTraits{kMaxFrameSidePx, kItemsPerBatch}};
}

}  // namespace mmra::encoders
