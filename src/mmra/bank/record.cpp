#include "mmra/bank/record.h"

#include <cmath>

#include "mmra/core/fingerprint.h"

namespace mmra::bank {
namespace {

// Never changes: rows without a split would move between training and test.
constexpr std::uint64_t kSplitSeed = 0x73706c6974;  // "split"

}  // namespace

std::string_view name_of(Split split) noexcept {
  switch (split) {
    case Split::kTrain:
      return "train";
    case Split::kValid:
      return "valid";
    case Split::kTest:
      return "test";
  }
  return "?";
}

std::optional<Split> parse_split(std::string_view text) noexcept {
  for (const Split split : {Split::kTrain, Split::kValid, Split::kTest}) {
    if (text == name_of(split)) return split;
  }
  return std::nullopt;
}

Split split_of_id(std::string_view id) noexcept {
  const std::uint64_t tenth = seeded_hash(id, kSplitSeed) % 10;
  if (tenth < 8) return Split::kTrain;
  return tenth == 8 ? Split::kValid : Split::kTest;
}

double log2_popularity(double popularity) noexcept {
  return popularity > 0.0 ? std::log2(popularity) : 0.0;
}

double popularity_of_log2(double value) noexcept { return std::exp2(value); }

}  // namespace mmra::bank
