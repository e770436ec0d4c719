#include "mmra/serving/tokens.h"

#include <nettle/memops.h>
#include <nettle/sha2.h>
#include <sys/random.h>

#include <cerrno>
#include <sstream>

#include "mmra/core/error.h"
#include "mmra/core/files.h"

namespace mmra::serving {
namespace {

constexpr std::size_t kTokenBytes = 32;
constexpr std::size_t kMaxTokenLength = 256;
constexpr std::string_view kPrefix = "mmra_";

std::string to_hex(const std::uint8_t* bytes, std::size_t size) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (std::size_t i = 0; i < size; ++i) {
    text += kDigits[bytes[i] >> 4U];
    text += kDigits[bytes[i] & 15U];
  }
  return text;
}

std::array<std::uint8_t, 32> hash_of(std::string_view token) {
  std::array<std::uint8_t, 32> hash{};
  sha256_ctx context;
  sha256_init(&context);
  sha256_update(&context, token.size(), reinterpret_cast<const std::uint8_t*>(token.data()));
  sha256_digest(&context, hash.size(), hash.data());
  return hash;
}

std::optional<std::array<std::uint8_t, 32>> from_hex(std::string_view text) {
  std::array<std::uint8_t, 32> bytes{};
  if (text.size() != 2 * bytes.size()) return std::nullopt;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    int value = -1;
    if (c >= '0' && c <= '9') value = c - '0';
    if (c >= 'a' && c <= 'f') value = c - 'a' + 10;
    if (c >= 'A' && c <= 'F') value = c - 'A' + 10;
    if (value < 0) return std::nullopt;
    bytes[i / 2] = static_cast<std::uint8_t>(bytes[i / 2] * 16 + value);
  }
  return bytes;
}

}  // namespace

TokenList TokenList::load(const std::filesystem::path& file) {
  return parse(read_file(file), file.string());
}

TokenList TokenList::parse(std::string_view text, const std::string& origin) {
  TokenList list;
  std::istringstream lines{std::string(text)};
  std::string line;
  for (int number = 1; std::getline(lines, line); ++number) {
    std::istringstream words(line);
    std::string access;
    std::string hash;
    if (!(words >> access) || access.front() == '#') continue;
    words >> hash;
    const auto bytes = from_hex(hash);
    if ((access != "read" && access != "write") || !bytes) {
      throw Error(ErrorKind::kInvalidInput,
                  origin + ", line " + std::to_string(number) +
                      ": expected \"read\" or \"write\" and a hash of 64 hexadecimal digits, as "
                      "`mmra serve --make-token read` prints them");
    }
    list.tokens_.push_back({access == "read" ? Access::kRead : Access::kWrite, *bytes});
  }
  if (list.empty()) {
    throw Error(ErrorKind::kInvalidInput, origin +
                                              " has no tokens, so nobody could ask; make one "
                                              "with `mmra serve --make-token read`");
  }
  return list;
}

std::optional<Access> TokenList::access_of(std::string_view authorization) const {
  constexpr std::string_view kScheme = "Bearer ";
  if (authorization.size() <= kScheme.size() ||
      authorization.size() > kScheme.size() + kMaxTokenLength ||
      authorization.substr(0, kScheme.size()) != kScheme) {
    return std::nullopt;
  }
  const Hash hash = hash_of(authorization.substr(kScheme.size()));
  std::optional<Access> access;
  for (const Token& token : tokens_) {  // all of them, whichever it is
    const bool same = nettle_memeql_sec(hash.data(), token.hash.data(), hash.size()) != 0;
    if (same && access != Access::kWrite) access = token.access;
  }
  return access;
}

NewToken make_token(Access access) {
  std::array<std::uint8_t, kTokenBytes> bytes{};
  if (::getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) {
    throw system_error("get random numbers from", "the system", errno);
  }
  NewToken made;
  made.token = std::string(kPrefix) + to_hex(bytes.data(), bytes.size());
  const auto hash = hash_of(made.token);
  made.line =
      std::string(access == Access::kWrite ? "write " : "read ") + to_hex(hash.data(), hash.size());
  return made;
}

}  // namespace mmra::serving
