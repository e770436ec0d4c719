#pragma once

#include <memory>

#include "mmra/encoders/builtin/artefact.h"
#include "mmra/encoders/encoder_set.h"

namespace mmra::encoders {

/// E^t without weights: see encode_title_tokens.
class BuiltinTextEncoder final : public TextEncoder {
 public:
  explicit BuiltinTextEncoder(std::shared_ptr<const BuiltinArtefact> artefact)
      : artefact_(std::move(artefact)) {}
  [[nodiscard]] int dim() const override { return kTextDim; }
  [[nodiscard]] TokenMatrix encode(std::string_view title) const override;

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
  [[nodiscard]] std::vector<float> encode(std::span<const std::string> captions,
                                          std::string_view title) const override;

 private:
  std::shared_ptr<const BuiltinArtefact> artefact_;
};

/// The whole set from the artefact in `directory`.
[[nodiscard]] EncoderSet open_builtin(const std::filesystem::path& directory);

}  // namespace mmra::encoders
