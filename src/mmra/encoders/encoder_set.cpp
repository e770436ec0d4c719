#include "mmra/encoders/encoder_set.h"

#include <cstddef>
#include <utility>

namespace mmra::encoders {

EncoderSet::EncoderSet(std::string name, std::string fingerprint,
                       std::shared_ptr<const Captioner> captioner,
                       std::shared_ptr<const VisualEncoder> visual,
                       std::shared_ptr<const TextEncoder> text,
                       std::shared_ptr<const RetrievalEncoder> retrieval, EncoderTraits traits)
    : name_(std::move(name)),
      fingerprint_(std::move(fingerprint)),
      captioner_(std::move(captioner)),
      visual_(std::move(visual)),
      text_(std::move(text)),
      retrieval_(std::move(retrieval)),
      traits_(traits) {}

void EncoderSet::load() const {
  if (captioner_) captioner_->load();
  if (visual_) visual_->load();
  if (text_) text_->load();
  if (retrieval_) retrieval_->load();
}

std::vector<Encoding> EncoderSet::encode(std::span<const EncoderInput> items,
                                         const EncodeOptions& options) const {
  std::vector<Encoding> encodings(items.size());
  for (Encoding& encoding : encodings) {
    encoding.visual_tokens.dim = visual_dim();
    encoding.text_tokens.dim = text_dim();
  }
  encode_frames(items, options, encodings);
  encode_texts(items, options, encodings);
  return encodings;
}

Encoding EncoderSet::encode(Clip frames, std::string_view title,
                            const EncodeOptions& options) const {
  const EncoderInput item{frames, title};
  return std::move(encode(std::span(&item, 1), options).front());
}

EncodedClip EncoderSet::encode_clip(Clip frames, const EncodeOptions& options) const {
  const EncoderInput item{frames, {}};
  std::vector<Encoding> encodings(1);
  encodings.front().visual_tokens.dim = visual_dim();
  encode_frames(std::span(&item, 1), options, encodings);
  return {std::move(encodings.front().captions), std::move(encodings.front().visual_tokens)};
}

std::vector<Encoding> EncoderSet::encode_titles(const EncodedClip& clip,
                                                std::span<const std::string_view> titles,
                                                const EncodeOptions& options) const {
  std::vector<EncoderInput> items;
  std::vector<Encoding> encodings(titles.size());
  for (std::size_t i = 0; i < titles.size(); ++i) {
    items.push_back({{}, titles[i]});
    encodings[i].captions = clip.captions;
    encodings[i].visual_tokens = clip.visual_tokens;
    encodings[i].text_tokens.dim = text_dim();
  }
  encode_texts(items, options, encodings);
  return encodings;
}

void EncoderSet::encode_frames(std::span<const EncoderInput> items, const EncodeOptions& options,
                               std::vector<Encoding>& encodings) const {
  std::vector<Clip> clips;
  std::vector<std::size_t> owners;
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (items[i].frames.empty()) continue;
    clips.push_back(items[i].frames);
    owners.push_back(i);
  }
  if (clips.empty()) return;
  if (captioner_) {
    auto captions = captioner_->caption_clips(clips, options);
    for (std::size_t c = 0; c < clips.size(); ++c) {
      encodings[owners[c]].captions = std::move(captions[c]);
    }
  }
  if (visual_) {
    auto tokens = visual_->encode_clips(clips, options);
    for (std::size_t c = 0; c < clips.size(); ++c) {
      encodings[owners[c]].visual_tokens = std::move(tokens[c]);
    }
  }
}

void EncoderSet::encode_texts(std::span<const EncoderInput> items, const EncodeOptions& options,
                              std::vector<Encoding>& encodings) const {
  if (text_) {
    std::vector<std::string_view> titles;
    std::vector<std::size_t> owners;
    for (std::size_t i = 0; i < items.size(); ++i) {
      if (items[i].title.empty()) continue;
      titles.push_back(items[i].title);
      owners.push_back(i);
    }
    auto tokens = text_->encode_titles(titles, options);
    for (std::size_t t = 0; t < titles.size(); ++t) {
      encodings[owners[t]].text_tokens = std::move(tokens[t]);
    }
  }
  if (retrieval_) {
    std::vector<Prompt> prompts;
    prompts.reserve(items.size());
    for (std::size_t i = 0; i < items.size(); ++i) {
      prompts.push_back({encodings[i].captions, items[i].title});
    }
    auto vectors = retrieval_->encode_prompts(prompts, options);
    for (std::size_t i = 0; i < items.size(); ++i) {
      encodings[i].retrieval_vector = std::move(vectors[i]);
    }
  }
}

}  // namespace mmra::encoders
