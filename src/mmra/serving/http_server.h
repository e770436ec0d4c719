#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <stop_token>
#include <string>

#include "mmra/serving/http_message.h"

namespace mmra::serving {

struct HttpServerOptions {
  std::string host = "127.0.0.1";  ///< an address; a name is looked up
  std::uint16_t port = 8080;       ///< 0: one that is free
  int num_threads = 2;             ///< that read and write; idle connections need none
  /// Above it, the connection that has been silent longest between two requests makes room; where
  /// none has been for a moment, the new one is refused with 503.
  std::size_t max_connections = 4096;
  std::uint32_t max_header_bytes = 16 * 1024;
  std::filesystem::path upload_directory;  ///< for bodies on their way

  // A client gets so long …
  std::chrono::milliseconds idle_timeout{60'000};  ///< between two requests
  /// … for a request's line and headers, and to see why a request was refused that it still sends
  std::chrono::milliseconds header_timeout{10'000};
  /// … for a body, and beyond that as long as it sends at least so much:
  std::chrono::milliseconds body_grace{20'000};
  std::int64_t min_body_bytes_per_s = std::int64_t{16} << 10;
  std::chrono::milliseconds write_timeout{30'000};  ///< to take a piece of the answer
  /// To the answer, from the request's last byte.
  std::chrono::milliseconds deadline{60'000};
  /// A server that stops waits so long for what it has taken.
  std::chrono::milliseconds drain_timeout{30'000};
};

/// What the transport counts, for /metrics.
struct ConnectionCounts {
  std::uint64_t num_open = 0;
  std::uint64_t num_accepted = 0;
  std::uint64_t num_evicted = 0;  ///< idle ones that made room
  std::uint64_t num_refused = 0;  ///< 503: too many, none of them idle
  std::uint64_t num_timed_out = 0;
};

/// HTTP/1.1 over TCP in front of an Application. A request is read with limits on every size and
/// time, given to the application, and answered; connections are kept alive.
class HttpServer {
 public:
  /// Binds and listens. Throws Error{kIo} (the address is taken, no permission), {kInvalidInput}
  /// (no such host).
  HttpServer(const HttpServerOptions& options, Application& application);
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;
  ~HttpServer();

  [[nodiscard]] std::uint16_t port() const;
  /// Serves until `stop` asks; then takes nothing new, answers what it has, and returns.
  void run(const std::stop_token& stop);
  [[nodiscard]] ConnectionCounts counts() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace mmra::serving
