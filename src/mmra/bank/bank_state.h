#pragma once

#include <cstdint>
#include <string>

#include "mmra/bank/memory_bank.h"

namespace mmra::bank {

/// A bank has this format version from the first count with a time on; 1 before.
inline constexpr int kFormatVersionWithHistories = 2;

/// What a bank knows of itself beside its schema; written with every commit.
struct BankState {
  std::uint64_t generation = 0;  ///< counts commits
  /// Random, new with every commit: tells whether a derived file belongs to these very records,
  /// even after a restored backup counted to the same generation again.
  std::uint64_t commit_id = 0;
  std::int64_t num_labelled = 0;
  std::int64_t num_with_video = 0;
  std::int64_t num_with_time = 0;
  std::int64_t num_in_split[3] = {0, 0, 0};
  std::int64_t num_visual_tokens = 0;
  std::int64_t num_text_tokens = 0;

  /// Counts a record in (+1) or out (-1).
  void count(const Record& record, int sign);
  void count_tokens(std::int64_t visual_tokens, std::int64_t text_tokens, int sign);
  [[nodiscard]] bool same_counts(const BankState& other) const;
  /// All of `info` that is here: generation and counts.
  void tell(BankInfo& info) const;
};

/// As JSON text. The parsers throw Error{kCorruptData} (and {kUnsupported} for a newer format
/// version) naming `bank`.
[[nodiscard]] std::string to_json_text(const BankState& state);
[[nodiscard]] BankState parse_state(const std::string& text, const std::string& bank);
[[nodiscard]] std::string to_json_text(const BankSchema& schema, int indent = -1);
[[nodiscard]] BankSchema parse_schema(const std::string& text, const std::string& bank);

}  // namespace mmra::bank
