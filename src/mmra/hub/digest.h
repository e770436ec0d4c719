#pragma once

#include <cstdint>
#include <filesystem>
#include <stop_token>
#include <string>
#include <string_view>

namespace mmra::hub {

/// How a hub names a file's content: SHA-256 of its bytes for large files (Git LFS), SHA-1 of a
/// header and its bytes for what lies in Git itself. 64 or 40 lower-case hexadecimal digits.
struct FileDigest {
  std::int64_t bytes = 0;
  std::string sha256;
  std::string git_blob_sha1;
};

/// Both digests of bytes in memory.
[[nodiscard]] FileDigest digest_of(std::string_view bytes);

/// Both digests of a file, read once in pieces. Throws Error{kNotFound|kIo|kInvalidInput},
/// Interrupted when a stop is asked for.
[[nodiscard]] FileDigest digest_of_file(const std::filesystem::path& path,
                                        const std::stop_token& stop = {});

/// Whether `text` is `digits` lower-case hexadecimal digits.
[[nodiscard]] bool is_hex(std::string_view text, std::size_t digits);

}  // namespace mmra::hub
