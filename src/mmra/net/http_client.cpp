#include "mmra/net/http_client.h"

#include <curl/curl.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <condition_variable>
#include <cstdlib>
#include <exception>
#include <mutex>

#include "mmra/core/error.h"

namespace mmra::net {
namespace {

/// An answer's headers together; more is no server's answer.
constexpr std::size_t kMaxHeaderBytes = std::size_t{1} << 18;

using UrlHandle = std::unique_ptr<CURLU, decltype(&curl_url_cleanup)>;

UrlHandle make_url() { return {curl_url(), &curl_url_cleanup}; }

std::string part_of(CURLU* url, CURLUPart part, unsigned flags = 0) {
  char* text = nullptr;
  if (curl_url_get(url, part, &text, flags) != CURLUE_OK) return {};
  std::string copy = text;
  curl_free(text);
  return copy;
}

std::string to_lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

std::string_view trimmed(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(" \t\r\n");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t\r\n") - begin + 1);
}

/// What the callbacks of one transfer share.
struct Transfer {
  HttpHead head;
  std::size_t header_bytes = 0;
  const BodySink* sink = nullptr;
  const std::stop_token* stop = nullptr;
  std::exception_ptr thrown;
  std::chrono::seconds stalled_after{};
  curl_off_t moved_bytes = -1;  ///< in both directions, when they were last looked at
  std::chrono::steady_clock::time_point moved_at;
  bool is_stalled = false;
};

/// "HTTP/1.1 200 OK" begins an answer (a proxy's own may come before the server's).
std::size_t on_header(char* data, std::size_t /*one*/, std::size_t size, void* user) {
  auto& transfer = *static_cast<Transfer*>(user);
  transfer.header_bytes += size;
  if (transfer.header_bytes > kMaxHeaderBytes) return 0;
  const std::string_view line = trimmed({data, size});
  if (line.starts_with("HTTP/")) {
    transfer.head = HttpHead{};
    const std::size_t space = line.find(' ');
    if (space != std::string_view::npos) {
      transfer.head.status = std::atoi(std::string(line.substr(space + 1)).c_str());
    }
  } else if (const std::size_t colon = line.find(':'); colon != std::string_view::npos) {
    transfer.head.headers.emplace_back(to_lower(std::string(trimmed(line.substr(0, colon)))),
                                       trimmed(line.substr(colon + 1)));
  }
  return size;
}

std::size_t on_body(char* data, std::size_t /*one*/, std::size_t size, void* user) {
  auto& transfer = *static_cast<Transfer*>(user);
  try {
    (*transfer.sink)(transfer.head, {data, size});
    return size;
  } catch (...) {  // an exception must not pass through libcurl
    transfer.thrown = std::current_exception();
    return size == 0 ? 1 : 0;
  }
}

/// Called about once a second. libcurl's own limit of speed looks at the mean of some seconds, and
/// so at the request that was sent, too.
int on_progress(void* user, curl_off_t /*total*/, curl_off_t now, curl_off_t /*up_total*/,
                curl_off_t up_now) {
  auto& transfer = *static_cast<Transfer*>(user);
  const auto time = std::chrono::steady_clock::now();
  if (now + up_now != transfer.moved_bytes) {
    transfer.moved_bytes = now + up_now;
    transfer.moved_at = time;
  }
  transfer.is_stalled = time - transfer.moved_at > transfer.stalled_after;
  return transfer.is_stalled || transfer.stop->stop_requested() ? 1 : 0;
}

bool is_passing(CURLcode code) {
  static constexpr std::array kPassing = {CURLE_COULDNT_RESOLVE_PROXY,
                                          CURLE_COULDNT_RESOLVE_HOST,
                                          CURLE_COULDNT_CONNECT,
                                          CURLE_PARTIAL_FILE,
                                          CURLE_OPERATION_TIMEDOUT,
                                          CURLE_SSL_CONNECT_ERROR,
                                          CURLE_GOT_NOTHING,
                                          CURLE_SEND_ERROR,
                                          CURLE_RECV_ERROR,
                                          CURLE_HTTP2,
                                          CURLE_HTTP2_STREAM,
                                          CURLE_WEIRD_SERVER_REPLY};
  return std::find(kPassing.begin(), kPassing.end(), code) != kPassing.end();
}

/// Of a transfer that failed before any answer: whether somebody was there.
bool was_connected(CURL* easy, CURLcode code) {
  if (code == CURLE_GOT_NOTHING || code == CURLE_SEND_ERROR || code == CURLE_RECV_ERROR)
    return true;
  curl_off_t connect_time_us = 0;  // 0 where a connection that was kept was taken
  curl_easy_getinfo(easy, CURLINFO_CONNECT_TIME_T, &connect_time_us);
  return code == CURLE_OPERATION_TIMEDOUT && connect_time_us > 0;
}

void set_certificates(CURL* easy) {
  for (const char* name : {"CURL_CA_BUNDLE", "SSL_CERT_FILE"}) {
    const char* file = std::getenv(name);
    if (file == nullptr || *file == '\0') continue;
    curl_easy_setopt(easy, CURLOPT_CAINFO, file);
    return;
  }
}

void initialise_library() {
  static const CURLcode kResult = curl_global_init(CURL_GLOBAL_DEFAULT);
  if (kResult != CURLE_OK) {
    throw Error(ErrorKind::kInternal,
                std::string("libcurl does not start: ") + curl_easy_strerror(kResult));
  }
}

}  // namespace

std::string_view HttpHead::header(std::string_view name) const {
  const auto found = std::find_if(headers.rbegin(), headers.rend(),
                                  [&](const auto& h) { return h.first == name; });
  return found == headers.rend() ? std::string_view() : std::string_view(found->second);
}

struct HttpClient::Handle {
  CURL* easy = nullptr;
  std::array<char, CURL_ERROR_SIZE> reason{};
};

HttpClient::HttpClient(HttpTimeouts timeouts)
    : timeouts_(timeouts), handle_(std::make_unique<Handle>()) {
  initialise_library();
  handle_->easy = curl_easy_init();
  if (handle_->easy == nullptr) throw Error(ErrorKind::kInternal, "libcurl gives no handle");
}

HttpClient::~HttpClient() { curl_easy_cleanup(handle_->easy); }

HttpAnswer HttpClient::get(const std::string& url, const std::vector<std::string>& headers,
                           const BodySink& sink, const std::stop_token& stop) {
  return send({"GET", url, headers}, sink, stop);
}

HttpAnswer HttpClient::send(const HttpRequest& request, const BodySink& sink,
                            const std::stop_token& stop) {
  if (stop.stop_requested()) throw Interrupted();
  Transfer transfer;
  transfer.sink = &sink;
  transfer.stop = &stop;
  transfer.stalled_after = timeouts_.stalled;
  CURL* easy = handle_->easy;
  curl_easy_reset(easy);  // connections stay
  handle_->reason[0] = '\0';
  curl_slist* list = nullptr;
  for (const std::string& line : request.headers) list = curl_slist_append(list, line.c_str());
  const std::unique_ptr<curl_slist, decltype(&curl_slist_free_all)> lines(list,
                                                                          &curl_slist_free_all);
  curl_easy_setopt(easy, CURLOPT_URL, request.url.c_str());
  if (request.method != "GET" || !request.body.empty()) {
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE,
                     static_cast<curl_off_t>(request.body.size()));
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, request.body.data());
    curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request.method.c_str());
  }
  curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(easy, CURLOPT_HTTPHEADER, lines.get());
  curl_easy_setopt(easy, CURLOPT_USERAGENT, "mmra");
  curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(timeouts_.connect.count()));
  curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, handle_->reason.data());
  curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, &on_header);
  curl_easy_setopt(easy, CURLOPT_HEADERDATA, &transfer);
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, &on_body);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, &transfer);
  curl_easy_setopt(easy, CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(easy, CURLOPT_XFERINFOFUNCTION, &on_progress);
  curl_easy_setopt(easy, CURLOPT_XFERINFODATA, &transfer);
  set_certificates(easy);

  const CURLcode code = curl_easy_perform(easy);
  if (transfer.thrown) std::rethrow_exception(transfer.thrown);
  if (stop.stop_requested()) throw Interrupted();
  HttpAnswer answer;
  answer.head = std::move(transfer.head);
  if (transfer.is_stalled) {
    answer.fault = "nothing came for " + seconds_text(timeouts_.stalled);
    answer.fault_is_passing = true;
    return answer;
  }
  if (code != CURLE_OK) {
    answer.fault = handle_->reason[0] != '\0' ? handle_->reason.data() : curl_easy_strerror(code);
    answer.fault_is_passing = is_passing(code);
    answer.is_reached = answer.head.status != 0 || was_connected(easy, code);
    return answer;
  }
  curl_off_t retry_after_s = 0;
  curl_easy_getinfo(easy, CURLINFO_RETRY_AFTER, &retry_after_s);
  if (retry_after_s > 0) answer.retry_after = std::chrono::seconds(retry_after_s);
  return answer;
}

bool is_passing_status(int status) {
  return status == 408 || status == 425 || status == 429 || status == 500 || status == 502 ||
         status == 503 || status == 504;
}

void wait_for(std::chrono::milliseconds time, const std::stop_token& stop) {
  std::mutex mutex;
  std::condition_variable_any changed;
  std::unique_lock lock(mutex);
  changed.wait_for(lock, stop, time, [] { return false; });
}

std::string seconds_text(std::chrono::milliseconds time) {
  const auto tenths = (time.count() + 50) / 100;
  return std::to_string(tenths / 10) + "." + std::to_string(tenths % 10) + " s";
}

std::string origin_of(const std::string& url) {
  const UrlHandle parsed = make_url();
  if (curl_url_set(parsed.get(), CURLUPART_URL, url.c_str(), 0) != CURLUE_OK) return {};
  const std::string scheme = part_of(parsed.get(), CURLUPART_SCHEME);
  if (scheme != "http" && scheme != "https") return {};
  if (!part_of(parsed.get(), CURLUPART_USER).empty()) return {};
  return scheme + "://" + to_lower(part_of(parsed.get(), CURLUPART_HOST)) + ":" +
         part_of(parsed.get(), CURLUPART_PORT, CURLU_DEFAULT_PORT);
}

std::string resolve_url(const std::string& base, const std::string& location) {
  const UrlHandle parsed = make_url();
  if (curl_url_set(parsed.get(), CURLUPART_URL, base.c_str(), 0) != CURLUE_OK) return {};
  if (curl_url_set(parsed.get(), CURLUPART_URL, location.c_str(), 0) != CURLUE_OK) return {};
  return part_of(parsed.get(), CURLUPART_URL);
}

std::string percent_encode(std::string_view text, bool keep_slashes) {
  static constexpr char kDigits[] = "0123456789ABCDEF";
  std::string encoded;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool is_plain = (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
                          (byte >= '0' && byte <= '9') ||
                          std::string_view("-._~").find(c) != std::string_view::npos;
    if (is_plain || (keep_slashes && c == '/')) {
      encoded += c;
    } else {
      encoded += {'%', kDigits[byte >> 4], kDigits[byte & 15]};
    }
  }
  return encoded;
}

}  // namespace mmra::net
