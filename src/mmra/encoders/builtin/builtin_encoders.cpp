#include "mmra/encoders/builtin/builtin_encoders.h"

#include <algorithm>
#include <array>
#include <utility>

#include "mmra/core/threads.h"
#include "mmra/encoders/builtin/caption_vector.h"
#include "mmra/encoders/builtin/captioner.h"
#include "mmra/encoders/builtin/title_encoder.h"
#include "mmra/encoders/builtin/visual_encoder.h"

namespace mmra::encoders {
namespace {

constexpr float kTitleWeight = 0.8F;
constexpr float kCaptionWeight = 0.6F;
/// Frames are measured on a grid of 64; four times that leaves nothing to be gained by more pixels.
constexpr int kMaxFrameSidePx = 256;
/// Enough that starting threads for a batch costs nothing beside it.
constexpr int kBatchSize = 64;

template <std::size_t kSize>
bool is_zero(const std::array<float, kSize>& values) {
  return std::all_of(values.begin(), values.end(), [](float value) { return value == 0.0F; });
}

}  // namespace

std::vector<TokenMatrix> BuiltinTextEncoder::encode_titles(std::span<const std::string_view> titles,
                                                           const EncodeOptions& options) const {
  return parallel_map(titles, options.num_threads, [this](std::string_view title) {
    return encode_title_tokens(extract_terms(title), artefact_->model());
  });
}

int BuiltinRetrievalEncoder::dim() const { return kTitleVectorDim + kCaptionVectorDim; }

std::vector<std::vector<float>> BuiltinRetrievalEncoder::encode_prompts(
    std::span<const Prompt> prompts, const EncodeOptions& options) const {
  return parallel_map(prompts, options.num_threads,
                      [this](const Prompt& prompt) { return encode(prompt); });
}

std::vector<float> BuiltinRetrievalEncoder::encode(const Prompt& prompt) const {
  const auto title_part = encode_title_vector(extract_terms(prompt.title), artefact_->model());
  const auto caption_part = encode_captions(prompt.captions);
  const bool both = !is_zero(title_part) && !is_zero(caption_part);
  const float title_weight = both ? kTitleWeight : 1.0F;
  const float caption_weight = both ? kCaptionWeight : 1.0F;
  std::vector<float> vector;
  vector.reserve(title_part.size() + caption_part.size());
  for (const float value : title_part) vector.push_back(title_weight * value);
  for (const float value : caption_part) vector.push_back(caption_weight * value);
  return vector;
}

EncoderSet open_builtin(const std::filesystem::path& directory) {
  auto artefact = std::make_shared<const BuiltinArtefact>(directory);
  std::string fingerprint = artefact->fingerprint();
  auto text = std::make_shared<const BuiltinTextEncoder>(artefact);
  auto retrieval = std::make_shared<const BuiltinRetrievalEncoder>(std::move(artefact));
  return {"builtin",
          std::move(fingerprint),
          std::make_shared<const BuiltinCaptioner>(),
          std::make_shared<const BuiltinVisualEncoder>(),
          std::move(text),
          std::move(retrieval),
          EncoderTraits{kMaxFrameSidePx, kBatchSize}};
}

void fit_builtin(std::span<const std::string> titles, const std::filesystem::path& directory) {
  write_builtin_artefact(fit_text(titles, available_processors()), directory);
}

}  // namespace mmra::encoders
