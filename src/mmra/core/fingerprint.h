#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace mmra {

/// XXH3-64 of bytes: the checksum in our file formats.
[[nodiscard]] std::uint64_t checksum64(std::span<const std::byte> bytes) noexcept;
[[nodiscard]] std::uint64_t checksum64(std::string_view bytes) noexcept;

/// XXH3-64 with a seed: the hash behind seeded splits and hashed words; stable for ever.
[[nodiscard]] std::uint64_t seeded_hash(std::string_view bytes, std::uint64_t seed) noexcept;

/// XXH3-128 as 32 hexadecimal digits: identifies contents (encoder artefacts, videos), resists
/// accidents, not attackers.
[[nodiscard]] std::string fingerprint(std::string_view bytes);
/// The same of a whole file, read in pieces. Throws Error{kNotFound|kIo|kInvalidInput}.
[[nodiscard]] std::string fingerprint_file(const std::filesystem::path& path);

}  // namespace mmra
