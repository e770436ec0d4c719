#pragma once

#include <filesystem>
#include <string>

namespace mmra::bank {

/// Where a bank on a Milvus server is: milvus://HOST:PORT/COLLECTION, or milvus+tls:// for HTTPS.
/// PORT serves the RESTful API of version 1 (Milvus: 19530); "?management=PORT" names the one of
/// the management API where that is not 9091.
struct MilvusAddress {
  std::string host;  ///< a name, an IPv4 address, or an IPv6 address in brackets
  int port = 0;
  int management_port = kManagementPort;
  std::string collection;
  bool uses_tls = false;

  static constexpr int kManagementPort = 9091;

  /// "milvus://HOST:PORT/COLLECTION", as given.
  [[nodiscard]] std::string text() const;
  /// Without a slash at the end.
  [[nodiscard]] std::string data_url() const;
  [[nodiscard]] std::string management_url() const;
};

/// Whether what was given as a bank names a server, not a directory.
[[nodiscard]] bool is_milvus_address(const std::filesystem::path& bank);

/// Throws Error{kInvalidInput} that shows the form.
[[nodiscard]] MilvusAddress parse_milvus_address(const std::filesystem::path& bank);

}  // namespace mmra::bank
