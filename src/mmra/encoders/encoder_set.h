#pragma once

#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "mmra/core/token_matrix.h"
#include "mmra/media/clip.h"

namespace mmra::encoders {

// The four parts of the paper's section 2.1 and 2.2.1, each behind an interface that encoders with
// and without pretrained weights fill. All const members are thread-safe and deterministic.

/// Frames to sentences, one a frame (paper 2.1.1: C_i).
class Captioner {
 public:
  virtual ~Captioner() = default;
  [[nodiscard]] virtual std::vector<std::string> caption(
      std::span<const media::Frame> frames) const = 0;
};

/// Frames to visual tokens E^v [frames × dim] (paper 2.2.1).
class VisualEncoder {
 public:
  virtual ~VisualEncoder() = default;
  [[nodiscard]] virtual int dim() const = 0;
  [[nodiscard]] virtual TokenMatrix encode(std::span<const media::Frame> frames) const = 0;
};

/// A title to text tokens E^t [n × dim] (paper 2.2.1); no tokens for an empty title.
class TextEncoder {
 public:
  virtual ~TextEncoder() = default;
  [[nodiscard]] virtual int dim() const = 0;
  [[nodiscard]] virtual TokenMatrix encode(std::string_view title) const = 0;
};

/// The prompt P = C ⊕ T to the retrieval vector r [dim], unit length (paper 2.1.1). Either part may
/// be empty; where both are, the vector is all zeros (similar to nothing).
class RetrievalEncoder {
 public:
  virtual ~RetrievalEncoder() = default;
  [[nodiscard]] virtual int dim() const = 0;
  [[nodiscard]] virtual std::vector<float> encode(std::span<const std::string> captions,
                                                  std::string_view title) const = 0;
};

/// Everything the pipeline knows of one item once it is encoded.
struct Encoding {
  std::vector<std::string> captions;    ///< one a frame; empty without frames or captioner
  TokenMatrix visual_tokens;            ///< [frames × d_v], 0 tokens without frames
  TokenMatrix text_tokens;              ///< [n × d_t], 0 tokens without title
  std::vector<float> retrieval_vector;  ///< [d_r], unit length
};

/// A captioner, a visual, a text and a retrieval encoder that belong together, with a name and a
/// fingerprint of everything that decides their output. Any part may be missing (null): its
/// modality is then. Immutable, thread-safe.
class EncoderSet {
 public:
  EncoderSet(std::string name, std::string fingerprint, std::shared_ptr<const Captioner> captioner,
             std::shared_ptr<const VisualEncoder> visual, std::shared_ptr<const TextEncoder> text,
             std::shared_ptr<const RetrievalEncoder> retrieval, int max_frame_side_px = 0);

  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] const std::string& fingerprint() const { return fingerprint_; }
  [[nodiscard]] int visual_dim() const { return visual_ ? visual_->dim() : 0; }
  [[nodiscard]] int text_dim() const { return text_ ? text_->dim() : 0; }
  [[nodiscard]] int retrieval_dim() const { return retrieval_ ? retrieval_->dim() : 0; }

  /// Longest side of a frame that these encoders make use of, in pixels; 0: as large as it is.
  [[nodiscard]] int max_frame_side_px() const { return max_frame_side_px_; }

  /// Frames and title may each be empty.
  [[nodiscard]] Encoding encode(std::span<const media::Frame> frames, std::string_view title) const;

 private:
  std::string name_;
  std::string fingerprint_;
  std::shared_ptr<const Captioner> captioner_;
  std::shared_ptr<const VisualEncoder> visual_;
  std::shared_ptr<const TextEncoder> text_;
  std::shared_ptr<const RetrievalEncoder> retrieval_;
  int max_frame_side_px_ = 0;
};

/// Fits the encoders that need no weights on `titles` (the train rows of the first manifest) and
/// writes the frozen artefact into `directory` (created; written whole or not at all).
/// Deterministic in the titles and their order. No label is ever seen.
void fit_builtin(std::span<const std::string> titles, const std::filesystem::path& directory);

/// Opens the artefact in `directory` (its encoders.json says of which kind it is). Throws Error
/// {kNotFound} where there is none, {kCorruptData} where its parts do not fit, {kUnsupported} for a
/// kind or version that this build does not know.
[[nodiscard]] EncoderSet open_encoder_set(const std::filesystem::path& directory);

}  // namespace mmra::encoders
