#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "mmra/core/progress.h"
#include "mmra/hub/repository_listing.h"
#include "mmra/net/http_client.h"

namespace mmra::hub {

/// How often and after which waits a passing fault is tried again. The wait doubles each time; a
/// server's Retry-After is kept to. The count begins anew whenever a file has come further than
/// ever.
struct RetryPolicy {
  int max_attempts = 5;
  std::chrono::milliseconds first_wait{1000};
  std::chrono::milliseconds max_wait{30'000};
  std::chrono::milliseconds max_retry_after{300'000};
};

/// Where the hub is and who asks.
struct HubOptions {
  std::string endpoint = "https://huggingface.co";
  std::string token;  ///< sent to the endpoint's own host and port alone; may be empty
  RetryPolicy retry;
  /// Waits, and ends early when a stop is asked for; tests replace it.
  std::function<void(std::chrono::milliseconds, const std::stop_token&)> wait;
};

/// HF_ENDPOINT and HF_TOKEN (or HUGGING_FACE_HUB_TOKEN) from the environment over the defaults.
[[nodiscard]] HubOptions hub_options_from_environment();

/// Called with the number of bytes that have just arrived; negative where earlier ones do not
/// count.
using OnBytes = std::function<void(std::int64_t)>;

/// Asks a hub that speaks Hugging Face's protocol. Every member throws Error that says what of
/// which repository failed and what to do ({kNotFound} for 404, {kInvalidInput} for 401 and 403,
/// {kIo} for the network), and Interrupted. Not thread-safe.
class HubClient {
 public:
  /// Throws Error{kInvalidInput} where the endpoint is no http(s) URL.
  HubClient(HubOptions options, ProgressSink& progress, std::stop_token stop);

  [[nodiscard]] const std::string& endpoint() const { return options_.endpoint; }

  /// The repository at a branch, tag, commit or "refs/pr/N".
  [[nodiscard]] RepositoryListing list(const std::string& repository, const std::string& revision);

  /// "refs/pr/N" where the hub's own service offers safetensors of a repository without them.
  [[nodiscard]] std::optional<std::string> find_conversion(const std::string& repository);

  /// A small file of a listing, verified.
  [[nodiscard]] std::string read(const RepositoryListing& listing, const HubFile& file);

  /// Brings a file of a listing to `path`: into `path`.part first, going on where an earlier
  /// attempt has stopped; renamed when it is whole and has the digest that the hub states. A wrong
  /// digest removes the part and throws Error{kCorruptData}. Gives the digests.
  FileRecord download(const RepositoryListing& listing, const HubFile& file,
                      const std::filesystem::path& path, const OnBytes& on_bytes);

 private:
  struct Failure {
    std::string reason;
    bool is_passing = false;
    bool made_progress = false;
    bool is_reached = true;
    std::optional<std::chrono::milliseconds> retry_after;
  };

  /// One GET with redirects followed by hand; the token goes to the endpoint's origin alone.
  net::HttpAnswer follow(const std::string& url, const std::vector<std::string>& headers,
                         const net::BodySink& sink);
  std::optional<Failure> attempt_download(const std::string& url, const HubFile& file,
                                          const std::filesystem::path& part,
                                          const OnBytes& on_bytes, const std::string& what,
                                          std::int64_t& furthest);
  std::string get_text(const std::string& url, std::size_t max_bytes, const std::string& what);
  /// Runs `attempt` until it gives no failure; throws when it is no use any more.
  void with_retries(const std::string& what,
                    const std::function<std::optional<Failure>()>& attempt);
  [[noreturn]] void give_up(const std::string& what, const Failure& failure) const;
  void note_retry(const std::string& what, const std::string& reason,
                  std::chrono::milliseconds pause);
  /// What an answer other than a success means: throws, or gives the failure to retry.
  Failure failure_of(const net::HttpAnswer& answer, const std::string& what) const;
  std::string url_of(const RepositoryListing& listing, const HubFile& file) const;

  HubOptions options_;
  std::string origin_;
  ProgressSink& progress_;
  std::stop_token stop_;
  net::HttpClient http_;
  bool has_answered_ = false;
};

/// Compares what was found with what the hub states. Empty: equal; else "… expected, … found".
[[nodiscard]] std::string digest_fault(const HubFile& file, std::int64_t bytes,
                                       const std::string& sha256, const std::string& git_blob_sha1);

}  // namespace mmra::hub
