#pragma once

#include <filesystem>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace mmra::retrieval {

// The files of a bank's index (docs/formats/index.md). What the bank is to have is a setting beside
// its records; what there is of it is derived and can be made again.

/// The bank's setting BANK/index.json: FAISS's factory string; empty where the bank has none (and
/// search is exact). Throws Error{kCorruptData|kUnsupported} that names the file.
[[nodiscard]] std::optional<std::string> read_index_spec(const std::filesystem::path& bank);
/// Empty: removes the setting. Throws Error{kIo}.
void write_index_spec(const std::filesystem::path& bank, const std::optional<std::string>& spec);

/// Which segments make up the index, BANK/derived/index/segments.json.
struct SegmentList {
  std::string spec;
  std::vector<std::string> files;  ///< names within that directory, oldest first
};

/// Of the two files' contents; `name` is for messages. Parsing throws
/// Error{kCorruptData|kUnsupported}.
[[nodiscard]] std::string parse_index_spec(std::string_view text, const std::string& name);
[[nodiscard]] std::string index_spec_to_json(const std::string& spec);
[[nodiscard]] SegmentList parse_segment_list(std::string_view text, const std::string& name);
[[nodiscard]] std::string segment_list_to_json(const SegmentList& list);

[[nodiscard]] std::filesystem::path index_directory(const std::filesystem::path& bank);
/// Empty where there is none. Throws Error{kCorruptData|kUnsupported}.
[[nodiscard]] std::optional<SegmentList> read_segment_list(const std::filesystem::path& bank);
void write_segment_list(const std::filesystem::path& bank, const SegmentList& list);
/// Removes every file there that is not in the list; only by who holds the bank's writer's lock.
/// What begins with one of `reserved` stays: a segment that is written just now, and its temporary
/// file.
void remove_other_segments(const std::filesystem::path& bank, const SegmentList& list,
                           const std::set<std::string>& reserved = {});

}  // namespace mmra::retrieval
