#include "mmra/bank/milvus/address.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <optional>
#include <string_view>

#include "mmra/bank/text_checks.h"
#include "mmra/core/error.h"

namespace mmra::bank {
namespace {

constexpr std::string_view kScheme = "milvus://";
constexpr std::string_view kTlsScheme = "milvus+tls://";
/// Milvus allows 255; a collection of values has a longer name.
constexpr std::size_t kMaxNameBytes = 200;

[[noreturn]] void refuse(const std::string& given, const std::string& why) {
  throw Error(ErrorKind::kInvalidInput,
              "the bank " + in_quotes(given) + ": " + why +
                  "; write milvus://HOST:PORT/COLLECTION (milvus+tls:// for HTTPS)");
}

std::optional<int> parse_port(std::string_view text) {
  int port = 0;
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (fault != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return port >= 1 && port <= 65535 ? std::optional(port) : std::nullopt;
}

bool is_host(std::string_view host) {
  const bool in_brackets = host.starts_with('[') && host.ends_with(']');
  return !host.empty() && std::all_of(host.begin(), host.end(), [&](unsigned char c) {
    return std::isalnum(c) != 0 || c == '.' || c == '-' || c == '_' ||
           (in_brackets && (c == ':' || c == '[' || c == ']'));
  });
}

/// What Milvus takes as a name.
bool is_collection(std::string_view name) {
  const auto is_letter = [](unsigned char c) { return std::isalpha(c) != 0 || c == '_'; };
  return !name.empty() && name.size() <= kMaxNameBytes &&
         is_letter(static_cast<unsigned char>(name.front())) &&
         std::all_of(name.begin(), name.end(),
                     [&](unsigned char c) { return is_letter(c) || std::isdigit(c) != 0; });
}

}  // namespace

std::string MilvusAddress::text() const {
  std::string text(uses_tls ? kTlsScheme : kScheme);
  text += host + ":" + std::to_string(port) + "/" + collection;
  if (management_port != kManagementPort) {
    text += "?management=" + std::to_string(management_port);
  }
  return text;
}

std::string MilvusAddress::data_url() const {
  return (uses_tls ? "https://" : "http://") + host + ":" + std::to_string(port);
}

std::string MilvusAddress::management_url() const {
  return (uses_tls ? "https://" : "http://") + host + ":" + std::to_string(management_port);
}

bool is_milvus_address(const std::filesystem::path& bank) {
  const std::string& given = bank.native();
  return given.starts_with(kScheme) || given.starts_with(kTlsScheme);
}

MilvusAddress parse_milvus_address(const std::filesystem::path& bank) {
  const std::string& given = bank.native();
  MilvusAddress address;
  address.uses_tls = given.starts_with(kTlsScheme);
  if (!is_milvus_address(bank)) refuse(given, "it names no server");
  std::string_view rest = given;
  rest.remove_prefix(address.uses_tls ? kTlsScheme.size() : kScheme.size());
  if (rest.find('@') != std::string_view::npos) {
    refuse(given, "an address names no user; set MMRA_MILVUS_TOKEN to the user's token");
  }
  const std::size_t slash = rest.find('/');
  const std::string_view authority = rest.substr(0, slash);
  const std::size_t colon = authority.rfind(':');
  address.host = authority.substr(0, colon);
  const auto port =
      colon == std::string_view::npos ? std::nullopt : parse_port(authority.substr(colon + 1));
  if (!is_host(address.host) || !port) refuse(given, "a host and a port are needed");
  address.port = *port;
  std::string_view name = slash == std::string_view::npos ? "" : rest.substr(slash + 1);
  if (const std::size_t mark = name.find('?'); mark != std::string_view::npos) {
    constexpr std::string_view kManagement = "management=";
    const std::string_view query = name.substr(mark + 1);
    const auto management = query.starts_with(kManagement)
                                ? parse_port(query.substr(kManagement.size()))
                                : std::nullopt;
    if (!management) refuse(given, "after ? only management=PORT may stand");
    address.management_port = *management;
    name = name.substr(0, mark);
  }
  if (!is_collection(name)) {
    refuse(given, "a collection's name is letters, digits and _, not a digit first, at most " +
                      std::to_string(kMaxNameBytes));
  }
  address.collection = name;
  return address;
}

}  // namespace mmra::bank
