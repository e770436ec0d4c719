#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "mmra/encoders/encoder_set.h"
#include "mmra/encoders/pretrained/bert.h"
#include "mmra/encoders/pretrained/blip_captioner.h"
#include "mmra/encoders/pretrained/image_processor.h"
#include "mmra/encoders/pretrained/set_artefact.h"
#include "mmra/encoders/pretrained/vision_transformer.h"
#include "mmra/text/word_piece.h"

namespace mmra::encoders {

/// A model that the first call opens: a bank is often opened by who never encodes. Thread-safe; a
/// failed opening is tried again by the next call.
template <typename Model>
class Lazy {
 public:
  explicit Lazy(std::function<Model()> open) : open_(std::move(open)) {}

  [[nodiscard]] const Model& get() const {
    const std::scoped_lock lock(mutex_);
    if (!model_) model_.emplace(open_());
    return *model_;
  }

 private:
  std::function<Model()> open_;
  mutable std::mutex mutex_;
  mutable std::optional<Model> model_;
};

/// A BERT and the tokenizer it was trained with, which have been seen to fit.
struct TokenizedBert {
  text::WordPieceTokenizer tokenizer;
  Bert bert;

  /// Throws what both throw, and Error{kCorruptData} where the tokenizer knows tokens that the
  /// model has no embedding for.
  [[nodiscard]] static TokenizedBert open(const std::filesystem::path& directory,
                                          Precision precision);
};
using SharedBert = std::shared_ptr<const Lazy<TokenizedBert>>;

/// E^t (paper 2.2.1): the last hidden states of a title, those of [CLS] and [SEP] among them and
/// [CLS] first: so (first + mean) / 2, AnglE's pooling, is what the network's variant `released`
/// makes of a record. At most kMaxTitleTokens.
class PretrainedTextEncoder final : public TextEncoder {
 public:
  /// What a record keeps of a title grows with this: 64 states of 768 float16 are 96 KiB.
  static constexpr int kMaxTitleTokens = 64;

  PretrainedTextEncoder(SharedBert model, int dim, hub::PartSettings settings)
      : model_(std::move(model)), dim_(dim), settings_(std::move(settings)) {}
  void load() const override { (void)model_->get(); }
  [[nodiscard]] int dim() const override { return dim_; }
  [[nodiscard]] std::vector<TokenMatrix> encode_titles(std::span<const std::string_view> titles,
                                                       const EncodeOptions& options) const override;

 private:
  SharedBert model_;
  int dim_;
  hub::PartSettings settings_;
};

/// r (paper 2.1.1) of P = C ⊕ T: the different captions in their order, then the title, in the
/// part's prompt; the pooled state, always of unit length, since instances are ranked by inner
/// products.
class PretrainedRetrievalEncoder final : public RetrievalEncoder {
 public:
  PretrainedRetrievalEncoder(SharedBert model, int dim, hub::PartSettings settings)
      : model_(std::move(model)), dim_(dim), settings_(std::move(settings)) {}
  void load() const override { (void)model_->get(); }
  [[nodiscard]] int dim() const override { return dim_; }
  [[nodiscard]] std::vector<std::vector<float>> encode_prompts(
      std::span<const Prompt> prompts, const EncodeOptions& options) const override;

 private:
  SharedBert model_;
  int dim_;
  hub::PartSettings settings_;
};

/// P as one text: "a man rides a wave. a beach with people. Best surf of the year". Captions that
/// repeat are left out. Empty where both are.
[[nodiscard]] std::string join_prompt(const Prompt& prompt);

/// A vision transformer and how its pictures are made.
struct VisualModel {
  ImageProcessor processor;
  VisionTransformer transformer;

  /// Throws what both throw, and Error{kCorruptData} where their sizes differ.
  [[nodiscard]] static VisualModel open(const std::filesystem::path& directory,
                                        Precision precision);
};

/// E^v (paper 2.2.1): the class token's state of each frame.
class PretrainedVisualEncoder final : public VisualEncoder {
 public:
  PretrainedVisualEncoder(std::function<VisualModel()> open, int dim)
      : model_(std::move(open)), dim_(dim) {}
  void load() const override { (void)model_.get(); }
  [[nodiscard]] int dim() const override { return dim_; }
  [[nodiscard]] std::vector<TokenMatrix> encode_clips(std::span<const Clip> clips,
                                                      const EncodeOptions& options) const override;

 private:
  Lazy<VisualModel> model_;
  int dim_;
};

/// C (paper 2.1.1): frames of all clips side by side, near-identical ones of a clip once.
class PretrainedCaptioner final : public Captioner {
 public:
  explicit PretrainedCaptioner(std::function<BlipCaptioner()> open) : model_(std::move(open)) {}
  void load() const override { (void)model_.get(); }
  [[nodiscard]] std::vector<std::vector<std::string>> caption_clips(
      std::span<const Clip> clips, const EncodeOptions& options) const override;

 private:
  Lazy<BlipCaptioner> model_;
};

/// The whole set that the artefact in `directory` names.
[[nodiscard]] EncoderSet open_pretrained(const std::filesystem::path& directory,
                                         Precision precision);

}  // namespace mmra::encoders
