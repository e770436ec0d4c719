#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace mmra::bank {

/// A row of a manifest that could not be taken in, and why.
struct IngestFailure {
  std::string id;
  std::int64_t line = 0;  ///< in the manifest
  std::string video;      ///< empty: the row has none
  std::string what;       ///< one line
};

/// Replaces `file` (failures_file() of a bank): JSON Lines, one object a failure; none: an empty
/// file. Throws Error{kIo}.
void write_failures(const std::filesystem::path& file, std::span<const IngestFailure> failures);

/// Empty where there is no such file. Throws Error{kCorruptData} naming the line.
[[nodiscard]] std::vector<IngestFailure> read_failures(const std::filesystem::path& file);

}  // namespace mmra::bank
