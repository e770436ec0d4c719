#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "net/fake_server.h"

namespace mmra::testing {

/// A hub with Hugging Face's protocol, and the store on another port that it sends large files to.
class FakeHub {
 public:
  /// How the store answers one request for a large file, instead of well.
  struct Fault {
    std::optional<std::size_t> cut_after = std::nullopt;
    int status = 0;
    std::string retry_after = {};
    bool ignores_range = false;
    bool sends_wrong_bytes = false;
    bool has_new_etag = false;  ///< from here on
  };

  FakeHub();

  /// A file of `repository` at its main revision; large ones are redirected to the store.
  void add_file(const std::string& repository, const std::string& name, std::string content,
                bool is_large = false);
  /// The same at "refs/pr/NUMBER", offered by the hub's conversion account.
  void add_conversion(const std::string& repository, int number, const std::string& name,
                      std::string content);
  /// A new commit with everything of the old one.
  void commit(const std::string& repository, const std::string& revision);
  /// The answers of the store, one a request; when they are used up it answers well.
  void add_fault(Fault fault);
  /// The hub answers every request for `repository` so.
  void set_status(const std::string& repository, int status, const std::string& error_code);

  [[nodiscard]] std::string url() const { return hub_->url(); }
  [[nodiscard]] std::vector<FakeRequest> hub_requests() const { return hub_->requests(); }
  [[nodiscard]] std::vector<FakeRequest> store_requests() const { return store_->requests(); }

 private:
  struct File {
    std::string content;
    bool is_large = false;
  };
  struct Repository {
    std::string main_revision;
    std::map<std::string, std::map<std::string, File>> revisions;
    std::map<int, std::string> conversions;
    int status = 0;
    std::string error_code;
  };

  FakeReply answer_hub(const FakeRequest& request);
  FakeReply answer_store(const FakeRequest& request);
  FakeReply list(const Repository& repository, const std::string& revision) const;
  FakeReply discussions(const Repository& repository) const;
  FakeReply resolve(const Repository& repository, const std::string& revision,
                    const std::string& name) const;

  std::mutex mutex_;
  std::map<std::string, Repository> repositories_;
  std::map<std::string, std::string> store_content_;  ///< by SHA-256
  std::vector<Fault> faults_;
  std::string etag_suffix_;
  std::unique_ptr<FakeServer> store_;
  std::unique_ptr<FakeServer> hub_;
};

/// "main" of a made repository; 40 hexadecimal digits.
inline const std::string kFirstCommit = "1111111111111111111111111111111111111111";

/// Bytes that look random, the same for a seed.
[[nodiscard]] std::string made_bytes(std::size_t size, unsigned seed);

/// Adds what a part of that role is made of, the weights `weights_bytes` long.
void add_model(FakeHub& hub, const std::string& repository, const std::string& role,
               std::size_t weights_bytes = 3000);

}  // namespace mmra::testing
