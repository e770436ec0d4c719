#pragma once

#include <algorithm>
#include <cstddef>
#include <span>
#include <string>

namespace mmra::bank {

// How much one request to a Milvus server asks for or sends.

inline constexpr int kRowsPerPage = 1000;
/// As many as Milvus gives.
inline constexpr int kMaxCandidates = 16'384;
/// Of reads by key. A row that is there twice (heal_doubled_rows) would else take another's place.
inline constexpr int kNoLimit = kMaxCandidates;
/// Keys and pieces of one request: some megabytes of text.
inline constexpr std::size_t kPiecesPerRequest = 128;
inline constexpr std::size_t kKeysPerRequest = 1000;
inline constexpr std::size_t kFloatsPerRequest = std::size_t{1} << 18;

/// Calls `visit` with the keys of one request after the other's, `most` at a time.
template <typename Visit>
void for_each_part(std::span<const std::string> keys, std::size_t most, const Visit& visit) {
  for (std::size_t begin = 0; begin < keys.size(); begin += most) {
    visit(keys.subspan(begin, std::min(most, keys.size() - begin)));
  }
}

}  // namespace mmra::bank
