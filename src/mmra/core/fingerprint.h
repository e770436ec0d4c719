#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>

struct XXH3_state_s;  // of xxhash.h

namespace mmra {

/// XXH3-64 of bytes: the checksum in our file formats.
[[nodiscard]] std::uint64_t checksum64(std::span<const std::byte> bytes) noexcept;
[[nodiscard]] std::uint64_t checksum64(std::string_view bytes) noexcept;

/// checksum64() of bytes that come in pieces. A value: a copy goes on by itself, and so does what
/// it was copied from; one that was moved from can only be assigned to.
class RunningChecksum {
 public:
  RunningChecksum();
  RunningChecksum(const RunningChecksum& other);
  RunningChecksum& operator=(const RunningChecksum& other);
  RunningChecksum(RunningChecksum&& other) noexcept;
  RunningChecksum& operator=(RunningChecksum&& other) noexcept;
  ~RunningChecksum();

  void add(std::span<const std::byte> bytes) noexcept;
  /// Of all bytes so far; more may be added.
  [[nodiscard]] std::uint64_t value() const noexcept;

 private:
  struct Freeing {
    void operator()(XXH3_state_s* state) const noexcept;
  };
  std::unique_ptr<XXH3_state_s, Freeing> state_;
};

/// XXH3-64 with a seed: the hash behind seeded splits and hashed words; stable for ever.
[[nodiscard]] std::uint64_t seeded_hash(std::string_view bytes, std::uint64_t seed) noexcept;

/// XXH3-128 as 32 hexadecimal digits: identifies contents (encoder artefacts, videos), resists
/// accidents, not attackers.
[[nodiscard]] std::string fingerprint(std::string_view bytes);
/// The same of a whole file, read in pieces. Throws Error{kNotFound|kIo|kInvalidInput}.
[[nodiscard]] std::string fingerprint_file(const std::filesystem::path& path);

}  // namespace mmra
