#pragma once

#include <filesystem>
#include <memory>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "mmra/core/token_matrix.h"
#include "mmra/encoders/pretrained/precision.h"
#include "mmra/media/clip.h"

namespace mmra::encoders {

// The four parts of the paper's sections 2.1 and 2.2.1, each behind an interface that encoders with
// and without pretrained weights fill. Each takes a batch, so that a network sees full matrices,
// and gives for every item what it would give for that item alone. All const members are
// thread-safe and deterministic.

/// How, never what, is computed.
struct EncodeOptions {
  int num_threads = 1;
  std::stop_token stop = {};  ///< throws Interrupted between pieces of a batch
};

/// The sampled frames of one clip.
using Clip = std::span<const media::Frame>;

/// Frames to sentences, one a frame (paper 2.1.1: C_i).
class Captioner {
 public:
  virtual ~Captioner() = default;
  /// Opens what is opened lazily, so that its faults show before the first item; throws them.
  virtual void load() const {}
  /// [clips][frames]
  [[nodiscard]] virtual std::vector<std::vector<std::string>> caption_clips(
      std::span<const Clip> clips, const EncodeOptions& options) const = 0;
};

/// Frames to visual tokens E^v [frames × dim] (paper 2.2.1).
class VisualEncoder {
 public:
  virtual ~VisualEncoder() = default;
  virtual void load() const {}  ///< as Captioner::load
  [[nodiscard]] virtual int dim() const = 0;
  /// [clips]
  [[nodiscard]] virtual std::vector<TokenMatrix> encode_clips(
      std::span<const Clip> clips, const EncodeOptions& options) const = 0;
};

/// A title to text tokens E^t [n × dim] (paper 2.2.1); no tokens for an empty title.
class TextEncoder {
 public:
  virtual ~TextEncoder() = default;
  virtual void load() const {}  ///< as Captioner::load
  [[nodiscard]] virtual int dim() const = 0;
  /// [titles]
  [[nodiscard]] virtual std::vector<TokenMatrix> encode_titles(
      std::span<const std::string_view> titles, const EncodeOptions& options) const = 0;
};

/// P = C ⊕ T of the paper's 2.1.1; either part may be empty.
struct Prompt {
  std::span<const std::string> captions;
  std::string_view title;
};

/// The prompt P = C ⊕ T to the retrieval vector r [dim], unit length (paper 2.1.1). Where both
/// parts are empty, the vector is all zeros (similar to nothing).
class RetrievalEncoder {
 public:
  virtual ~RetrievalEncoder() = default;
  virtual void load() const {}  ///< as Captioner::load
  [[nodiscard]] virtual int dim() const = 0;
  /// [prompts]
  [[nodiscard]] virtual std::vector<std::vector<float>> encode_prompts(
      std::span<const Prompt> prompts, const EncodeOptions& options) const = 0;
};

/// One item to encode. Frames and title may each be empty.
struct EncoderInput {
  Clip frames;
  std::string_view title;
};

/// Everything the pipeline knows of one item once it is encoded.
struct Encoding {
  std::vector<std::string> captions;    ///< one a frame; empty without frames or captioner
  TokenMatrix visual_tokens;            ///< [frames × d_v], 0 tokens without frames
  TokenMatrix text_tokens;              ///< [n × d_t], 0 tokens without title
  std::vector<float> retrieval_vector;  ///< [d_r], unit length
};

/// What a clip gives whatever its title is.
struct EncodedClip {
  std::vector<std::string> captions;  ///< one a frame; empty without frames or captioner
  TokenMatrix visual_tokens;          ///< [frames × d_v]
};

/// What those who feed encoders need to know of them.
struct EncoderTraits {
  /// Longest side of a frame that the encoders make use of, in pixels; 0: as large as it is.
  int max_frame_side_px = 0;
  /// Items with which their matrices are full; fewer are correct too.
  int batch_size = 64;
};

/// A captioner, a visual, a text and a retrieval encoder that belong together, with a name and a
/// fingerprint of everything that decides their output. Any part may be missing (null): its
/// modality is then. Immutable, thread-safe.
class EncoderSet {
 public:
  EncoderSet(std::string name, std::string fingerprint, std::shared_ptr<const Captioner> captioner,
             std::shared_ptr<const VisualEncoder> visual, std::shared_ptr<const TextEncoder> text,
             std::shared_ptr<const RetrievalEncoder> retrieval, EncoderTraits traits = {});

  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] const std::string& fingerprint() const { return fingerprint_; }
  [[nodiscard]] int visual_dim() const { return visual_ ? visual_->dim() : 0; }
  [[nodiscard]] int text_dim() const { return text_ ? text_->dim() : 0; }
  [[nodiscard]] int retrieval_dim() const { return retrieval_ ? retrieval_->dim() : 0; }
  [[nodiscard]] const EncoderTraits& traits() const { return traits_; }

  /// load() of every part.
  void load() const;

  /// [items]; what an item gives does not depend on the others.
  [[nodiscard]] std::vector<Encoding> encode(std::span<const EncoderInput> items,
                                             const EncodeOptions& options) const;
  /// A batch of one.
  [[nodiscard]] Encoding encode(Clip frames, std::string_view title,
                                const EncodeOptions& options = {}) const;

  /// The part of encode() that does not depend on titles, so that one clip can be encoded under
  /// several.
  [[nodiscard]] EncodedClip encode_clip(Clip frames, const EncodeOptions& options = {}) const;
  /// [titles] what encode() gives for the clip under each of them.
  [[nodiscard]] std::vector<Encoding> encode_titles(const EncodedClip& clip,
                                                    std::span<const std::string_view> titles,
                                                    const EncodeOptions& options = {}) const;

 private:
  void encode_frames(std::span<const EncoderInput> items, const EncodeOptions& options,
                     std::vector<Encoding>& encodings) const;
  void encode_texts(std::span<const EncoderInput> items, const EncodeOptions& options,
                    std::vector<Encoding>& encodings) const;

  std::string name_;
  std::string fingerprint_;
  std::shared_ptr<const Captioner> captioner_;
  std::shared_ptr<const VisualEncoder> visual_;
  std::shared_ptr<const TextEncoder> text_;
  std::shared_ptr<const RetrievalEncoder> retrieval_;
  EncoderTraits traits_;
};

/// Fits the encoders that need no weights on `titles` (the train rows of the first manifest) and
/// writes the frozen artefact into `directory` (created; written whole or not at all).
/// Deterministic in the titles and their order. No label is ever seen.
void fit_builtin(std::span<const std::string> titles, const std::filesystem::path& directory);

/// Writes the artefact of the set of pretrained encoders in `set_directory` (captioner/, visual/,
/// text/, retrieval/, each as Hugging Face lays it out) into `directory`: it names the set's files
/// and their checksums, and copies none of them. Every file is read once. Throws as survey_set
/// (pretrained/set_artefact.h) does.
void freeze_pretrained(const std::filesystem::path& set_directory,
                       const std::filesystem::path& directory);

/// The fingerprint that freeze_pretrained would write. Reads every file.
[[nodiscard]] std::string fingerprint_of_set(const std::filesystem::path& set_directory);

/// Opens the artefact in `directory` (its encoders.json says of which kind it is); pretrained
/// weights are opened by the first call that needs them. Throws Error{kNotFound} where there is
/// none, {kCorruptData} where its parts do not fit, {kInvalidInput} where a pretrained model's file
/// is not the one that was frozen, {kUnsupported} for a kind or version that this build does not
/// know.
[[nodiscard]] EncoderSet open_encoder_set(const std::filesystem::path& directory,
                                          Precision precision = Precision::kAuto);

}  // namespace mmra::encoders
