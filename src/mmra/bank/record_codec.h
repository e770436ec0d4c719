#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "mmra/bank/popularity_history.h"
#include "mmra/bank/record.h"

namespace mmra::bank {

// How the values of a bank lie on disk (docs/formats/bank.md). Each is an envelope of 16 bytes
// (magic, kind, version, checksum) and a payload, little endian, without alignment. The checksum is
// seeded by the key, so that a value under another's key is noticed.
//
// The decode functions take any bytes. They throw Error{kCorruptData} that names the id where those
// are not what encode made, and {kUnsupported} for a newer version.

using Bytes = std::string;
using ByteView = std::span<const std::byte>;

/// Without id (the key), thumbnails (a value of their own) and features.
[[nodiscard]] Bytes encode_record(const Record& record);
[[nodiscard]] Record decode_record(std::string_view id, ByteView value);

[[nodiscard]] Bytes encode_thumbnails(std::string_view id,
                                      std::span<const std::vector<std::uint8_t>> thumbnails);
[[nodiscard]] std::vector<std::vector<std::uint8_t>> decode_thumbnails(std::string_view id,
                                                                       ByteView value);

[[nodiscard]] Bytes encode_features(std::string_view id, const Features& features);
[[nodiscard]] Features decode_features(std::string_view id, ByteView value);

/// The sizes at the head of encoded features, and where the retrieval vector lies: for readers that
/// need no more.
struct FeaturesHeader {
  int visual_tokens = 0;
  int visual_dim = 0;
  int text_tokens = 0;
  int text_dim = 0;
  ByteView retrieval_vector;  ///< float32, unaligned; lives as long as the value
};
/// `check`: compare the checksum, which covers all of the value.
[[nodiscard]] FeaturesHeader read_features_header(std::string_view id, ByteView value, bool check);

[[nodiscard]] Bytes encode_history(std::string_view id, const PopularityHistory& history);
[[nodiscard]] PopularityHistory decode_history(std::string_view id, ByteView value);

/// Text under a key of the bank's own (its schema, its state).
[[nodiscard]] Bytes encode_text(std::string_view key, std::string_view text);
[[nodiscard]] std::string decode_text(std::string_view key, ByteView value);

}  // namespace mmra::bank
