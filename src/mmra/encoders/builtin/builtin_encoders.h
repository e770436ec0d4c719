#pragma once

#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "mmra/encoders/builtin/artefact.h"
#include "mmra/encoders/encoder_set.h"

namespace mmra::encoders {

/// E^t without weights: see encode_title_tokens.
class BuiltinTextEncoder final : public TextEncoder {
 public:
  explicit BuiltinTextEncoder(std::shared_ptr<const BuiltinArtefact> artefact)
      : artefact_(std::move(artefact)) {}
  [[nodiscard]] int dim() const override { return kTextDim; }
  [[nodiscard]] std::vector<TokenMatrix> encode_titles(std::span<const std::string_view> titles,
                                                       const EncodeOptions& options) const override;

 private:
  std::shared_ptr<const BuiltinArtefact> artefact_;
};

/// r = [0.8 · title part, 0.6 · caption part], both of unit length, in elements of their own; a
/// part alone has weight 1. So two items without video compare by their titles as they always
/// would, and where there is video the title still decides before the picture does.
class BuiltinRetrievalEncoder final : public RetrievalEncoder {
 public:
  explicit BuiltinRetrievalEncoder(std::shared_ptr<const BuiltinArtefact> artefact)
      : artefact_(std::move(artefact)) {}
  [[nodiscard]] int dim() const override;
  [[nodiscard]] std::vector<std::vector<float>> encode_prompts(
      std::span<const Prompt> prompts, const EncodeOptions& options) const override;

 private:
  [[nodiscard]] std::vector<float> encode(const Prompt& prompt) const;

  std::shared_ptr<const BuiltinArtefact> artefact_;
};

/// The whole set from the artefact in `directory`.
[[nodiscard]] EncoderSet open_builtin(const std::filesystem::path& directory);

}  // namespace mmra::encoders
