#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mmra/serving/routes.h"

namespace mmra::serving {

/// Who may ask for what: bearer tokens, of which the configuration has the SHA-256 alone. A token
/// is 256 random bits, so that its plain hash cannot be reversed. Immutable, thread-safe.
class TokenList {
 public:
  /// Everybody may do everything.
  TokenList() = default;

  /// Lines "read HASH" and "write HASH" (64 hexadecimal digits), what follows is a remark; "#"
  /// begins a comment. Throws Error{kInvalidInput} naming file and line, and where there is none.
  [[nodiscard]] static TokenList load(const std::filesystem::path& file);
  [[nodiscard]] static TokenList parse(std::string_view text, const std::string& origin);

  [[nodiscard]] bool empty() const { return tokens_.empty(); }
  /// What the header Authorization ("Bearer TOKEN") gives; nothing for none or an unknown one.
  /// Takes the same time for every token.
  [[nodiscard]] std::optional<Access> access_of(std::string_view authorization) const;

 private:
  using Hash = std::array<std::uint8_t, 32>;
  struct Token {
    Access access;
    Hash hash;
  };
  std::vector<Token> tokens_;
};

struct NewToken {
  std::string token;  ///< for the one who asks; shown once
  std::string line;   ///< for the file of tokens
};

/// From the system's random numbers. Throws Error{kIo} where it gives none.
[[nodiscard]] NewToken make_token(Access access);

}  // namespace mmra::serving
