#pragma once

#include <filesystem>

#include "mmra/bank/milvus/address.h"
#include "mmra/bank/milvus/client.h"
#include "mmra/bank/milvus/stored_row.h"

namespace mmra::bank {

// What a bank on a server needs on this machine: its encoders as files, the table of its last
// commit, and the failures of an ingest that ran here. All of it can be made again.

/// $MMRA_BANKS, else $XDG_CACHE_HOME/mmra/banks, else ~/.cache/mmra/banks, with a folder for the
/// bank. Throws Error{kInvalidInput} where none of the variables is set.
[[nodiscard]] std::filesystem::path local_directory(const MilvusAddress& address);

/// Writes the files below `directory` into the bank; none where there is no such directory. Throws
/// Error{kIo}.
void upload_encoders(MilvusClient& client, const std::string& values,
                     const std::filesystem::path& directory);

/// Puts the bank's files into `directory`, where they are not there already: whole, or not at all.
/// Throws Error{kCorruptData} where one is damaged on the server.
void download_encoders(MilvusClient& client, const std::string& values,
                       const std::filesystem::path& directory, MilvusMoment seen);

/// A value's bytes; empty where a piece of it is missing.
[[nodiscard]] std::optional<Bytes> read_value(MilvusClient& client, const std::string& values,
                                              const ValueName& name, std::string_view id,
                                              MilvusMoment seen);

}  // namespace mmra::bank
