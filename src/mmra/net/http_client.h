#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace mmra::net {

/// Status line and headers of one answer.
struct HttpHead {
  int status = 0;
  std::vector<std::pair<std::string, std::string>> headers;  ///< names in lower case

  /// The last header of that (lower-case) name; empty where there is none.
  [[nodiscard]] std::string_view header(std::string_view name) const;
};

/// One answer to one request, or why there is none.
struct HttpAnswer {
  HttpHead head;
  std::optional<std::chrono::milliseconds> retry_after;  ///< as the server asks
  std::string fault;              ///< why the answer is not whole; empty: it is
  bool fault_is_passing = false;  ///< whether trying again may help
  bool is_reached = true;         ///< false: no connection came about at all
};

/// One request. `headers` are whole lines ("Range: bytes=5-").
struct HttpRequest {
  std::string method = "GET";
  std::string url;
  std::vector<std::string> headers = {};
  std::string body = {};  ///< sent with any method but GET and HEAD, or where it is not empty
};

/// When a server counts as away.
struct HttpTimeouts {
  std::chrono::milliseconds connect = std::chrono::seconds(20);
  /// Without a byte in either direction, waiting for the answer included.
  std::chrono::seconds stalled = std::chrono::seconds(30);
};

/// Gets pieces of the body as they arrive, the head complete. What it throws ends the transfer and
/// is rethrown by send().
using BodySink = std::function<void(const HttpHead& head, std::string_view piece)>;

/// Plain HTTP(S) by libcurl, one request after the other over connections that are kept.
/// Follows no redirect and knows no secret: both are the caller's. Proxies come from the
/// environment (http_proxy, https_proxy, all_proxy, no_proxy), certificates from the system or from
/// CURL_CA_BUNDLE or SSL_CERT_FILE. Not thread-safe.
class HttpClient {
 public:
  explicit HttpClient(HttpTimeouts timeouts = {});
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;
  ~HttpClient();

  /// Throws Interrupted when a stop is asked for, and what `sink` throws; everything that the
  /// network does is in the answer.
  [[nodiscard]] HttpAnswer send(const HttpRequest& request, const BodySink& sink,
                                const std::stop_token& stop);
  [[nodiscard]] HttpAnswer get(const std::string& url, const std::vector<std::string>& headers,
                               const BodySink& sink, const std::stop_token& stop);

 private:
  struct Handle;
  HttpTimeouts timeouts_;
  std::unique_ptr<Handle> handle_;
};

/// Whether a request that was answered so may be answered otherwise a little later.
[[nodiscard]] bool is_passing_status(int status);

/// Returns when `time` is over, or a stop is asked for.
void wait_for(std::chrono::milliseconds time, const std::stop_token& stop);

/// "1.5 s", for messages.
[[nodiscard]] std::string seconds_text(std::chrono::milliseconds time);

/// "https://host:port" of a URL, the port always there, in lower case; empty for what is no http(s)
/// URL or names a user.
[[nodiscard]] std::string origin_of(const std::string& url);

/// `location` (absolute or relative) as seen from `base`; empty where it is no URL.
[[nodiscard]] std::string resolve_url(const std::string& base, const std::string& location);

/// Percent-encodes everything but letters, digits and "-._~"; `keep_slashes` leaves "/" too.
[[nodiscard]] std::string percent_encode(std::string_view text, bool keep_slashes);

}  // namespace mmra::net
