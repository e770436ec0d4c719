#include "mmra/hub/digest.h"

#include <nettle/sha1.h>
#include <nettle/sha2.h>

#include <algorithm>
#include <array>

#include "mmra/core/binary_text.h"
#include "mmra/core/error.h"
#include "mmra/core/files.h"

namespace mmra::hub {
namespace {

constexpr std::size_t kPieceBytes = std::size_t{1} << 20;

class BothDigests {
 public:
  explicit BothDigests(std::int64_t bytes) : bytes_(bytes) {
    nettle_sha256_init(&sha256_);
    nettle_sha1_init(&sha1_);
    const std::string header = "blob " + std::to_string(bytes) + '\0';
    nettle_sha1_update(&sha1_, header.size(), as_bytes(header.data()));
  }

  void update(const char* data, std::size_t size) {
    nettle_sha256_update(&sha256_, size, as_bytes(data));
    nettle_sha1_update(&sha1_, size, as_bytes(data));
  }

  FileDigest finish() {
    std::array<std::uint8_t, SHA256_DIGEST_SIZE> long_digest{};
    std::array<std::uint8_t, SHA1_DIGEST_SIZE> short_digest{};
    nettle_sha256_digest(&sha256_, long_digest.size(), long_digest.data());
    nettle_sha1_digest(&sha1_, short_digest.size(), short_digest.data());
    return {bytes_, to_hex(long_digest), to_hex(short_digest)};
  }

 private:
  static const std::uint8_t* as_bytes(const char* data) {
    return reinterpret_cast<const std::uint8_t*>(data);
  }

  std::int64_t bytes_;
  sha256_ctx sha256_{};
  sha1_ctx sha1_{};
};

}  // namespace

FileDigest digest_of(std::string_view bytes) {
  BothDigests digests(static_cast<std::int64_t>(bytes.size()));
  digests.update(bytes.data(), bytes.size());
  return digests.finish();
}

FileDigest digest_of_file(const std::filesystem::path& path, const std::stop_token& stop) {
  const MappedFile file(path);
  const std::span<const std::byte> bytes = file.bytes();
  BothDigests digests(static_cast<std::int64_t>(bytes.size()));
  for (std::size_t at = 0; at < bytes.size(); at += kPieceBytes) {
    if (stop.stop_requested()) throw Interrupted();
    const auto piece = bytes.subspan(at, std::min(kPieceBytes, bytes.size() - at));
    digests.update(reinterpret_cast<const char*>(piece.data()), piece.size());
  }
  return digests.finish();
}

bool is_hex(std::string_view text, std::size_t digits) {
  return text.size() == digits &&
         text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

}  // namespace mmra::hub
