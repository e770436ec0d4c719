#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

namespace mmra::bank {

/// LMDB trusts the pages it follows: one changed byte in them can end a process with a signal.
/// These functions read the same pages (format version 1 of LMDB 0.9, 64 bit, little endian) with
/// every number checked before it is used, so that a damaged file can be refused before LMDB
/// follows it. They never read outside `file`, whatever it holds.

enum class PageCheck {
  kForReading,   ///< what LMDB follows while it reads: meta, branch and leaf pages
  kForChanging,  ///< and what it follows while it writes: overflow pages' headers, free pages
};

/// What is wrong with the two meta pages at the beginning of a data file, nothing where they are
/// sound. `beginning`: at least the first 128 KiB, or all of a shorter file.
[[nodiscard]] std::optional<std::string> find_meta_fault(std::span<const std::byte> beginning);

/// The first fault in the trees of the commit `transaction_id` of a data file, nothing where there
/// is none. A commit's pages stay as they are for as long as a read transaction has it open.
[[nodiscard]] std::optional<std::string> find_page_fault(std::span<const std::byte> file,
                                                         std::uint64_t transaction_id,
                                                         PageCheck check);

}  // namespace mmra::bank
