#include "mmra/encoders/encoder_set.h"

#include <utility>

namespace mmra::encoders {

EncoderSet::EncoderSet(std::string name, std::string fingerprint,
                       std::shared_ptr<const Captioner> captioner,
                       std::shared_ptr<const VisualEncoder> visual,
                       std::shared_ptr<const TextEncoder> text,
                       std::shared_ptr<const RetrievalEncoder> retrieval, int max_frame_side_px)
    : name_(std::move(name)),
      fingerprint_(std::move(fingerprint)),
      captioner_(std::move(captioner)),
      visual_(std::move(visual)),
      text_(std::move(text)),
      retrieval_(std::move(retrieval)),
      max_frame_side_px_(max_frame_side_px) {}

Encoding EncoderSet::encode(std::span<const media::Frame> frames, std::string_view title) const {
  Encoding encoding;
  encoding.visual_tokens.dim = visual_dim();
  encoding.text_tokens.dim = text_dim();
  if (captioner_ && !frames.empty()) encoding.captions = captioner_->caption(frames);
  if (visual_ && !frames.empty()) encoding.visual_tokens = visual_->encode(frames);
  if (text_ && !title.empty()) encoding.text_tokens = text_->encode(title);
  if (retrieval_) encoding.retrieval_vector = retrieval_->encode(encoding.captions, title);
  return encoding;
}

}  // namespace mmra::encoders
