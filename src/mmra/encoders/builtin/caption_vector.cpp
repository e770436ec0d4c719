#include "mmra/encoders/builtin/caption_vector.h"

#include <algorithm>
#include <bitset>
#include <cmath>
#include <cstddef>
#include <iterator>
#include <string_view>

#include "mmra/core/fingerprint.h"
#include "mmra/encoders/builtin/captioner.h"

namespace mmra::encoders {
namespace {

constexpr std::string_view kFillers[] = {
    "scene", "mostly", "and", "colours", "light",    "texture", "lines",   "subject", "in",
    "the",   "on",     "at",  "motion",  "drifting", "to",      "another", "picture"};
constexpr std::uint64_t kUnknownWordSeed = 3;

/// Calls body(word) for what lies between spaces and commas.
template <typename Body>
void for_words(std::string_view caption, const Body& body) {
  while (!caption.empty()) {
    const std::size_t end = std::min(caption.find_first_of(" ,"), caption.size());
    if (end > 0) body(caption.substr(0, end));
    caption.remove_prefix(std::min(end + 1, caption.size()));
  }
}

std::size_t element_of(std::string_view word) {
  const auto vocabulary = caption_vocabulary();
  const auto found = std::find(vocabulary.begin(), vocabulary.end(), word);
  if (found != vocabulary.end()) return static_cast<std::size_t>(found - vocabulary.begin());
  const std::size_t num_others = kCaptionVectorDim - vocabulary.size();
  return vocabulary.size() + seeded_hash(word, kUnknownWordSeed) % num_others;
}

}  // namespace

std::array<float, kCaptionVectorDim> encode_captions(std::span<const std::string> captions) {
  std::array<float, kCaptionVectorDim> vector{};
  for (const std::string& caption : captions) {
    std::bitset<kCaptionVectorDim> present;
    for_words(caption, [&](std::string_view word) {
      const bool filler =
          std::find(std::begin(kFillers), std::end(kFillers), word) != std::end(kFillers);
      if (!filler) present.set(element_of(word));
    });
    for (std::size_t i = 0; i < vector.size(); ++i) vector[i] += present[i] ? 1.0F : 0.0F;
  }
  // √count normalised to unit length: the counts' sum is the squared length.
  float total = 0.0F;
  for (const float count : vector) total += count;
  if (total <= 0.0F) return vector;
  for (float& value : vector) value = std::sqrt(value / total);
  return vector;
}

}  // namespace mmra::encoders
