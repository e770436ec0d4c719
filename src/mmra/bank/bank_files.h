#pragma once

#include <cstdint>
#include <filesystem>

#include "mmra/bank/lmdb_environment.h"

namespace mmra::bank {

// The files of a bank's directory (docs/formats/bank.md).

[[nodiscard]] std::filesystem::path records_directory(const std::filesystem::path& bank);
[[nodiscard]] std::filesystem::path derived_directory(const std::filesystem::path& bank);
[[nodiscard]] std::filesystem::path vectors_file(const std::filesystem::path& bank);
/// Where a new records directory is filled before it gets its name.
[[nodiscard]] std::filesystem::path unfinished_directory(const std::filesystem::path& bank);
/// Where compaction fills one, and the old one is until it is gone.
[[nodiscard]] std::filesystem::path compacting_directory(const std::filesystem::path& bank);
/// Where derived files are from the moment on at which nobody is to find them, until they are gone.
[[nodiscard]] std::filesystem::path removed_derived_directory(const std::filesystem::path& bank);

/// The encoder artefact among a bank's files (files_directory()).
[[nodiscard]] std::filesystem::path encoders_below(const std::filesystem::path& files);

/// Throws Error{kInvalidInput} where `directory` holds what a killed ingest, backup or copy did not
/// leave there.
void require_no_other_files(const std::filesystem::path& directory);

[[nodiscard]] std::int64_t disk_bytes_of(const std::filesystem::path& directory);
void sync_directory(const std::filesystem::path& directory);

/// Removes what a killed compaction or writing of derived files left; only by who holds the
/// writer's lock.
void remove_leftovers(const std::filesystem::path& bank);

/// Exchanges two directories, atomically. Throws Error{kUnsupported} where the file system cannot.
void exchange_directories(const std::filesystem::path& a, const std::filesystem::path& b);

/// Writes every value of a snapshot into a new environment in `directory` (made here; what was
/// there goes), key by key, so that its pages hold nothing else. Durable on return.
void copy_records(const Transaction& from, const std::filesystem::path& directory);

}  // namespace mmra::bank
