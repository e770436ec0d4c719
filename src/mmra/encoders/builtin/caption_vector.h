#pragma once

#include <array>
#include <span>
#include <string>

namespace mmra::encoders {

inline constexpr int kCaptionVectorDim = 64;

/// The captions' part of the retrieval vector: element i belongs to caption_vocabulary()[i] and is
/// √(share of the captions that have the word); filler words ("scene", "and") do not count. Words
/// of neither list land, by hash, on one of the elements behind the vocabulary. Unit length; all
/// zeros without captions.
[[nodiscard]] std::array<float, kCaptionVectorDim> encode_captions(
    std::span<const std::string> captions);

}  // namespace mmra::encoders
