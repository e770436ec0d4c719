#pragma once

#include <string>

#include "mmra/bank/bank_state.h"
#include "mmra/bank/milvus/client.h"
#include "mmra/bank/milvus/collections.h"

namespace mmra::bank {

// What a bank on a server knows of itself, under keys of its own among the values.

/// A state, and what else there is to know.
struct BankHead {
  BankState state;
  bool is_writing = false;  ///< a commit is under way, or its writer was killed at it
  /// Not all is flushed since the last commit, and what it replaced is still there.
  bool is_settled = true;
};

/// As JSON text. Throws Error{kCorruptData} naming `bank`.
[[nodiscard]] std::string to_json_text(const BankHead& head);
[[nodiscard]] BankHead parse_head(const std::string& text, const std::string& bank);

// Each throws Error{kCorruptData} where it is missing or damaged, and {kUnsupported} for a newer
// format version.
[[nodiscard]] BankSchema read_schema(const MilvusCollections& collections, MilvusMoment moment);
[[nodiscard]] BankHead read_head(const MilvusCollections& collections, MilvusMoment moment);
void write_schema(const BankSchema& schema, MilvusCollections& collections);
void write_head(const BankHead& head, MilvusCollections& collections);

/// The next generation, with an id of its own.
void begin_generation(BankState& state);

}  // namespace mmra::bank
