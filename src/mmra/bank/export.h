#pragma once

#include <cstdint>
#include <filesystem>

#include "mmra/bank/memory_bank.h"

namespace mmra::bank {

/// Writes one snapshot of the bank into `out_directory` (created), for other programs and for
/// ingesting again (docs/formats/export.md): videos.csv, captions.jsonl, features.safetensors,
/// bank.json; each whole or not at all, bank.json last. Needs memory for a few numbers a record;
/// the features pass through temporary files in `out_directory`. Returns the number of records.
/// Throws Error{kIo}, {kCorruptData} naming a record that cannot be read.
std::int64_t export_bank(const MemoryBank& bank, const std::filesystem::path& out_directory);

}  // namespace mmra::bank
