#pragma once

#include <cstdint>
#include <filesystem>
#include <mutex>
#include <set>
#include <span>
#include <string>

#include "mmra/retrieval/index/index_files.h"

namespace mmra::retrieval {

/// The segments' files of one bank's index, for several threads of the bank's writer that make
/// segments at the same time: each commits its own, and no one removes a file that another has
/// written and not committed yet. Thread-safe.
class SegmentFiles {
 public:
  explicit SegmentFiles(std::filesystem::path bank);

  [[nodiscard]] const std::filesystem::path& bank() const { return bank_; }
  [[nodiscard]] std::filesystem::path path_of(const std::string& name) const;
  [[nodiscard]] std::int64_t bytes_of(const SegmentList& list) const;

  /// A name for a segment that is about to be written. Its file stays until release().
  [[nodiscard]] std::string new_name();
  /// Names that are in the list by now, or are given up: then the next commit removes their files.
  void release(std::span<const std::string> names);

  /// Replaces the list by what it is now, without `removed` and with `added`, for an index of
  /// `spec`; then removes the files that are of no use. The list as it is then. Throws Error{kIo}.
  SegmentList commit(const std::string& spec, std::span<const std::string> removed,
                     std::span<const std::string> added);

 private:
  [[nodiscard]] SegmentList present_list() const;

  std::filesystem::path bank_;
  std::mutex mutex_;
  std::set<std::string> reserved_;
};

}  // namespace mmra::retrieval
