#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "mmra/bank/popularity_history.h"
#include "mmra/core/timestamp.h"
#include "mmra/core/token_matrix.h"

namespace mmra::bank {

/// Governs training and evaluation only.
enum class Split : std::uint8_t { kTrain = 0, kValid = 1, kTest = 2 };
[[nodiscard]] std::string_view name_of(Split split) noexcept;  ///< "train", "valid", "test"
[[nodiscard]] std::optional<Split> parse_split(std::string_view text) noexcept;
/// For rows without a split: 80/10/10 by a seeded hash of the id, the same for ever.
[[nodiscard]] Split split_of_id(std::string_view id) noexcept;

/// A further column's value; a missing value is a missing key, never zero or "".
using ContextValue = std::variant<double, std::string>;
using Context = std::map<std::string, ContextValue>;

/// The label of the network: log2(popularity), zero counted as one. popularity >= 0.
[[nodiscard]] double log2_popularity(double popularity) noexcept;
/// Its inverse: 2^value.
[[nodiscard]] double popularity_of_log2(double value) noexcept;

/// One micro-video of the bank without its features.
struct Record {
  std::string id;                    ///< 1 to 511 bytes of UTF-8
  std::string title;                 ///< UTF-8, may be empty where there is a video
  std::optional<double> popularity;  ///< in the bank's unit; empty: to be predicted
  std::optional<Timestamp> posted_at;
  Split split = Split::kTrain;
  Context
      context;  ///< the manifest's further columns and what the file says (duration_s, width, …)
  std::string video_path;             ///< as given by the manifest, made absolute; empty: no video
  std::vector<std::string> captions;  ///< one a frame
  std::vector<std::vector<std::uint8_t>> thumbnails;  ///< JPEG, small, one a frame
  /// Identify the inputs, so that a second ingest knows what it has: of everything in the row but
  /// the video, and of the video's bytes (with size and mtime to find out cheaply).
  std::string row_fingerprint;
  std::string video_fingerprint;
  std::int64_t video_size_bytes = 0;
  std::int64_t video_mtime_ns = 0;
};

/// What the encoders made of it.
struct Features {
  HalfTokenMatrix visual_tokens;        ///< [L × d_v], 0 tokens: no video
  HalfTokenMatrix text_tokens;          ///< [n × d_t], 0 tokens: no title
  std::vector<float> retrieval_vector;  ///< [d_r], unit length (zeros where nothing is known)
};

struct StoredRecord {
  Record record;
  Features features;
  /// All of its counts, which the label is then made from; empty: those that the bank has stay.
  std::optional<PopularityHistory> history = std::nullopt;
};

}  // namespace mmra::bank
