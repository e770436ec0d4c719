#include "mmra/hub/hub_client.h"

#include <algorithm>
#include <cstdlib>

#include "mmra/core/environment.h"
#include "mmra/core/error.h"
#include "mmra/hub/digest.h"
#include "mmra/hub/part_file.h"

namespace mmra::hub {
namespace {

namespace fs = std::filesystem;
using net::BodySink;
using net::HttpAnswer;
using net::HttpHead;
using net::origin_of;
using net::percent_encode;
using net::seconds_text;
using std::chrono::milliseconds;

constexpr int kMaxRedirects = 10;
/// Listings and small files are read into memory; a hub's longest listing is some hundred
/// kilobytes.
constexpr std::size_t kMaxTextBytes = std::size_t{64} << 20;

bool is_redirect(int status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

/// An ETag that "If-Range" may name: a strong one.
std::string strong_etag(const HttpHead& head) {
  const std::string_view etag = head.header("etag");
  return etag.starts_with('"') ? std::string(etag) : std::string();
}

/// The first byte of a 206 answer, from "Content-Range: bytes 5-9/10"; -1 where it says none.
std::int64_t range_begin(const HttpHead& head) {
  std::string_view range = head.header("content-range");
  if (!range.starts_with("bytes ")) return -1;
  range.remove_prefix(6);
  const std::size_t digits = range.find_first_not_of("0123456789");
  constexpr std::size_t kMaxDigits = 18;
  if (digits == 0 || digits > kMaxDigits) return -1;
  return std::stoll(std::string(range.substr(0, digits)));
}

/// The body of a download on its way into the part file.
class PartWriter {
 public:
  PartWriter(PartFile& part, std::int64_t expected_bytes, const OnBytes& on_bytes)
      : part_(part), expected_bytes_(expected_bytes), on_bytes_(on_bytes) {}

  void write(const HttpHead& head, std::string_view piece) {
    if (head.status != 200 && head.status != 206) return;  // an error page
    if (!has_begun_) begin(head);
    if (is_other_version_) return;
    if (part_.bytes() + static_cast<std::int64_t>(piece.size()) > expected_bytes_) {
      is_too_long_ = true;
      piece = piece.substr(0, static_cast<std::size_t>(expected_bytes_ - part_.bytes()));
    }
    part_.append(piece);
    on_bytes_(static_cast<std::int64_t>(piece.size()));
  }

  [[nodiscard]] bool is_too_long() const { return is_too_long_; }
  [[nodiscard]] bool is_other_version() const { return is_other_version_; }

 private:
  /// The server may go on where it was asked to, or send everything (it knows no ranges, or the
  /// file is another version than the one that was begun). A piece of another version is of no use.
  void begin(const HttpHead& head) {
    has_begun_ = true;
    const std::string etag = strong_etag(head);
    const bool goes_on = head.status == 206 && range_begin(head) == part_.bytes() &&
                         (etag.empty() || part_.etag().empty() || etag == part_.etag());
    if (goes_on) return;
    is_other_version_ = head.status == 206;
    on_bytes_(-part_.bytes());
    part_.restart(is_other_version_ ? "" : etag);
  }

  PartFile& part_;
  std::int64_t expected_bytes_;
  const OnBytes& on_bytes_;
  bool has_begun_ = false;
  bool is_too_long_ = false;
  bool is_other_version_ = false;
};

}  // namespace

HubOptions hub_options_from_environment() {
  HubOptions options;
  if (const std::string endpoint = environment_variable("HF_ENDPOINT"); !endpoint.empty()) {
    options.endpoint = endpoint;
  }
  options.token = environment_variable("HF_TOKEN");
  if (options.token.empty()) options.token = environment_variable("HUGGING_FACE_HUB_TOKEN");
  return options;
}

std::string digest_fault(const HubFile& file, std::int64_t bytes, const std::string& sha256,
                         const std::string& git_blob_sha1) {
  if (bytes != file.bytes) {
    return std::to_string(file.bytes) + " bytes expected, " + std::to_string(bytes) + " found";
  }
  if (!file.sha256.empty()) {
    return sha256 == file.sha256 ? ""
                                 : "SHA-256 " + file.sha256 + " expected, " + sha256 + " found";
  }
  if (file.git_blob_sha1.empty() || git_blob_sha1 == file.git_blob_sha1) return "";
  return "Git SHA-1 " + file.git_blob_sha1 + " expected, " + git_blob_sha1 + " found";
}

HubClient::HubClient(HubOptions options, ProgressSink& progress, std::stop_token stop)
    : options_(std::move(options)), progress_(progress), stop_(std::move(stop)) {
  while (options_.endpoint.ends_with('/')) options_.endpoint.pop_back();
  origin_ = origin_of(options_.endpoint);
  if (origin_.empty()) {
    throw Error(ErrorKind::kInvalidInput,
                "the hub's address must be an http or https URL without "
                "a user, such as https://huggingface.co, not \"" +
                    options_.endpoint + "\" (HF_ENDPOINT)");
  }
  const auto is_control = [](unsigned char c) { return c <= 0x20 || c >= 0x7F; };
  if (std::any_of(options_.token.begin(), options_.token.end(), is_control)) {
    throw Error(ErrorKind::kInvalidInput,
                "HF_TOKEN holds a blank, a line end or another character that no token has");
  }
  if (!options_.wait) options_.wait = net::wait_for;
}

HttpAnswer HubClient::follow(const std::string& first_url, const std::vector<std::string>& headers,
                             const BodySink& sink) {
  std::string url = first_url;
  for (int hop = 0; hop <= kMaxRedirects; ++hop) {
    std::vector<std::string> lines = headers;
    if (!options_.token.empty() && origin_of(url) == origin_) {
      lines.push_back("Authorization: Bearer " + options_.token);
    }
    HttpAnswer answer = http_.get(
        url, lines,
        [&](const HttpHead& head, std::string_view piece) {
          if (!is_redirect(head.status)) sink(head, piece);
        },
        stop_);
    has_answered_ = has_answered_ || answer.head.status != 0;
    if (!answer.fault.empty() || !is_redirect(answer.head.status)) return answer;
    const std::string next = net::resolve_url(url, std::string(answer.head.header("location")));
    if (origin_of(next).empty()) {
      answer.fault = "redirected to what is no http or https URL";
      return answer;
    }
    if (url.starts_with("https:") && !next.starts_with("https:")) {
      answer.fault = "redirected from https to http, which is refused";
      return answer;
    }
    url = next;
  }
  HttpAnswer answer;
  answer.fault = "redirected more than " + std::to_string(kMaxRedirects) + " times";
  return answer;
}

HubClient::Failure HubClient::failure_of(const HttpAnswer& answer, const std::string& what) const {
  if (!answer.fault.empty()) {
    return {answer.fault, answer.fault_is_passing, false, answer.is_reached, {}};
  }
  const int status = answer.head.status;
  const std::string code(answer.head.header("x-error-code"));
  const std::string answered = "the hub answers " + std::to_string(status) +
                               (code.empty() ? "" : " (" + code + ")") + " for " + what;
  if (status == 401 || status == 403) {
    const bool has_token = !options_.token.empty();
    throw Error(ErrorKind::kInvalidInput,
                answered + ": it does not exist, is private, or asks you to accept its licence; " +
                    "check the name, accept the licence on its page at " + options_.endpoint +
                    (has_token ? ", and see that HF_TOKEN is a token that may read it"
                               : ", and set HF_TOKEN to a token of yours"));
  }
  if (status == 404) {
    throw Error(ErrorKind::kNotFound, "there is no " + what + " at " + options_.endpoint + " (404" +
                                          (code.empty() ? "" : ", " + code) +
                                          "); check its name and revision");
  }
  return {answered, net::is_passing_status(status), false, true, answer.retry_after};
}

void HubClient::give_up(const std::string& what, const Failure& failure) const {
  std::string advice = "; the same command goes on where this one has stopped";
  if (!failure.is_reached && !has_answered_) {
    advice =
        "; check the network, the proxy (https_proxy) and certificates (SSL_CERT_FILE), or "
        "HF_ENDPOINT";
  } else if (failure.retry_after && *failure.retry_after > options_.retry.max_retry_after) {
    advice.insert(0, "; it asks to wait " + seconds_text(*failure.retry_after));
  }
  throw Error(ErrorKind::kIo,
              "cannot get " + what + " from " + options_.endpoint + ": " + failure.reason + advice);
}

void HubClient::with_retries(const std::string& what,
                             const std::function<std::optional<Failure>()>& attempt) {
  const RetryPolicy& policy = options_.retry;
  int attempts = 0;
  milliseconds wait = policy.first_wait;
  for (;;) {
    const std::optional<Failure> failure = attempt();
    if (!failure) return;
    if (stop_.stop_requested()) throw Interrupted();
    if (failure->made_progress) {
      attempts = 0;
      wait = policy.first_wait;
    }
    ++attempts;
    // Without any answer so far there is probably no network at all: say so soon.
    const int max_attempts = failure->is_reached || has_answered_
                                 ? policy.max_attempts
                                 : std::min(policy.max_attempts, 2);
    const milliseconds pause = failure->retry_after.value_or(wait);
    if (!failure->is_passing || attempts >= max_attempts ||
        (failure->retry_after && pause > policy.max_retry_after)) {
      give_up(what, *failure);
    }
    note_retry(what, failure->reason, pause);
    options_.wait(pause, stop_);
    if (stop_.stop_requested()) throw Interrupted();
    wait = std::min(wait * 2, policy.max_wait);
  }
}

void HubClient::note_retry(const std::string& what, const std::string& reason, milliseconds pause) {
  progress_.note(what + ": " + reason + "; trying again in " + seconds_text(pause));
}

std::string HubClient::get_text(const std::string& url, std::size_t max_bytes,
                                const std::string& what) {
  std::string text;
  with_retries(what, [&]() -> std::optional<Failure> {
    text.clear();
    const HttpAnswer answer = follow(url, {}, [&](const HttpHead& head, std::string_view piece) {
      if (head.status != 200) return;
      if (text.size() + piece.size() > max_bytes) {
        throw Error(ErrorKind::kCorruptData, what + " is longer than the " +
                                                 std::to_string(max_bytes) + " bytes it may have");
      }
      text += piece;
    });
    if (answer.fault.empty() && answer.head.status == 200) return std::nullopt;
    return failure_of(answer, what);
  });
  return text;
}

RepositoryListing HubClient::list(const std::string& repository, const std::string& revision) {
  const std::string what =
      "repository " + repository + (revision == "main" ? "" : " at revision " + revision);
  const std::string text = get_text(options_.endpoint + "/api/models/" + repository + "/revision/" +
                                        percent_encode(revision, false) + "?blobs=true",
                                    kMaxTextBytes, what);
  return parse_listing(text, repository, "the hub's list of " + repository);
}

std::optional<std::string> HubClient::find_conversion(const std::string& repository) {
  const std::string text =
      get_text(options_.endpoint + "/api/models/" + repository +
                   "/discussions?p=0&type=pull_request&status=all&author=SFconvertbot",
               kMaxTextBytes, "list of pull requests of " + repository);
  return parse_conversion(text, "the hub's pull requests of " + repository);
}

std::string HubClient::url_of(const RepositoryListing& listing, const HubFile& file) const {
  return options_.endpoint + "/" + listing.repository + "/resolve/" + listing.revision + "/" +
         percent_encode(file.name, true);
}

std::string HubClient::read(const RepositoryListing& listing, const HubFile& file) {
  const std::string what = "file " + file.name + " of " + listing.repository;
  std::string text = get_text(url_of(listing, file), kMaxTextBytes, what);
  const FileDigest digest = digest_of(text);
  const std::string fault = digest_fault(file, digest.bytes, digest.sha256, digest.git_blob_sha1);
  if (!fault.empty()) throw Error(ErrorKind::kCorruptData, what + " has wrong bytes: " + fault);
  return text;
}

std::optional<HubClient::Failure> HubClient::attempt_download(
    const std::string& url, const HubFile& file, const fs::path& path, const OnBytes& on_bytes,
    const std::string& what, std::int64_t& furthest) {
  PartFile part(path);
  furthest = std::max(furthest, part.bytes());
  if (part.bytes() > file.bytes) {
    on_bytes(-part.bytes());
    part.restart("");
  }
  if (part.bytes() == file.bytes && file.bytes > 0) return std::nullopt;
  std::vector<std::string> headers;
  if (part.bytes() > 0) {
    headers.push_back("Range: bytes=" + std::to_string(part.bytes()) + "-");
    if (!part.etag().empty()) headers.push_back("If-Range: " + part.etag());
  }
  PartWriter writer(part, file.bytes, on_bytes);
  const HttpAnswer answer = follow(url, headers, [&](const HttpHead& head, std::string_view piece) {
    writer.write(head, piece);
  });
  if (answer.fault.empty() && answer.head.status == 416) {  // the file is shorter than our part
    on_bytes(-part.bytes());
    part.restart("");
    return Failure{"the server has no such piece", true, false, true, {}};
  }
  if (writer.is_other_version()) {
    return Failure{"the server has another version than the one begun", true, false, true, {}};
  }
  if (!answer.fault.empty() || (answer.head.status != 200 && answer.head.status != 206)) {
    Failure failure = failure_of(answer, what);
    failure.made_progress = part.bytes() > furthest;
    furthest = std::max(furthest, part.bytes());
    return failure;
  }
  if (writer.is_too_long() || part.bytes() != file.bytes) {
    const std::string fault = std::to_string(file.bytes) + " bytes expected, " +
                              (writer.is_too_long() ? "more" : std::to_string(part.bytes())) +
                              " found";
    part.remove();
    throw Error(ErrorKind::kCorruptData,
                what + " has wrong bytes: " + fault + "; what was got is removed, try again");
  }
  return std::nullopt;
}

FileRecord HubClient::download(const RepositoryListing& listing, const HubFile& file,
                               const fs::path& path, const OnBytes& on_bytes) {
  const std::string what = "file " + file.name + " of " + listing.repository;
  std::int64_t furthest = 0;
  with_retries(what, [&] {
    return attempt_download(url_of(listing, file), file, path, on_bytes, what, furthest);
  });
  PartFile part(path);
  const FileDigest digest = digest_of_file(part.path(), stop_);
  const std::string fault = digest_fault(file, digest.bytes, digest.sha256, digest.git_blob_sha1);
  if (!fault.empty()) {
    part.remove();
    throw Error(ErrorKind::kCorruptData,
                what + " has wrong bytes: " + fault + "; what was got is removed, try again");
  }
  part.commit();
  return {file.name, digest.bytes, digest.sha256};
}

}  // namespace mmra::hub
