#include "mmra/serving/tokens.h"

#include <nettle/memops.h>
#include <nettle/sha2.h>
#include <sys/random.h>

#include <algorithm>
#include <cerrno>
#include <sstream>

#include "mmra/core/binary_text.h"
#include "mmra/core/error.h"
#include "mmra/core/files.h"

namespace mmra::serving {
namespace {

constexpr std::size_t kTokenBytes = 32;
constexpr std::size_t kMaxTokenLength = 256;
constexpr std::string_view kPrefix = "mmra_";

std::array<std::uint8_t, 32> hash_of(std::string_view token) {
  std::array<std::uint8_t, 32> hash{};
  sha256_ctx context;
  sha256_init(&context);
  sha256_update(&context, token.size(), reinterpret_cast<const std::uint8_t*>(token.data()));
  sha256_digest(&context, hash.size(), hash.data());
  return hash;
}

std::optional<std::array<std::uint8_t, 32>> hash_from(std::string_view text) {
  std::array<std::uint8_t, 32> hash{};
  const auto bytes = from_hex(text);
  if (!bytes || bytes->size() != hash.size()) return std::nullopt;
  std::copy(bytes->begin(), bytes->end(), hash.begin());
  return hash;
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
    const auto bytes = hash_from(hash);
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
  made.token = std::string(kPrefix) + to_hex(bytes);
  const auto hash = hash_of(made.token);
  made.line = std::string(access == Access::kWrite ? "write " : "read ") + to_hex(hash);
  return made;
}

}  // namespace mmra::serving
