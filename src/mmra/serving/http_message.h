#pragma once

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "mmra/serving/problem.h"

namespace mmra::serving {

/// A request before its body: what is decided before a byte of that is read.
struct RequestHead {
  std::string method;                 ///< "GET", …
  std::string path;                   ///< as it came, without the query
  std::vector<std::string> segments;  ///< of the path, percent-decoded: {"v1", "videos", "a/b"}
  std::map<std::string, std::string> query;
  std::map<std::string, std::string> headers;  ///< names in lower case; of several the first
  std::optional<std::uint64_t> content_length;
  bool has_body = false;
  bool is_http_1_0 = false;

  [[nodiscard]] std::string header(const std::string& name) const;
};

/// A file that came with a request, on disk without a name: it goes with the object, and with a
/// server that is killed too.
class UploadedFile {
 public:
  /// Makes an empty file on the disk of `directory`. Throws Error{kIo}, ResourceError.
  explicit UploadedFile(const std::filesystem::path& directory);
  UploadedFile(const UploadedFile&) = delete;
  UploadedFile& operator=(const UploadedFile&) = delete;
  ~UploadedFile();

  /// Throws Error{kIo}; on a full disk ResourceError.
  void append(std::string_view bytes);
  /// Opens this file in this process, as long as the object lives.
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  [[nodiscard]] std::uint64_t size_bytes() const { return size_bytes_; }
  /// For reading and writing.
  [[nodiscard]] int descriptor() const { return descriptor_; }

 private:
  std::filesystem::path directory_;
  std::filesystem::path path_;
  int descriptor_ = -1;
  std::uint64_t size_bytes_ = 0;
};

/// What a multipart/form-data body held: fields in their order, and the one file.
struct Form {
  std::vector<std::pair<std::string, std::string>> fields;
  std::shared_ptr<UploadedFile> video;
};

struct Request : RequestHead {
  std::string body;  ///< of JSON requests
  std::optional<Form> form;
  std::shared_ptr<void> slot;  ///< BodyPlan's
};

struct Response {
  int status = 200;
  std::string content_type = "application/json";
  std::string body;
  std::vector<std::pair<std::string, std::string>> headers = {};
};

[[nodiscard]] Response to_response(const Problem& problem);

/// What may come as a body.
struct BodyPlan {
  enum class Kind { kNone, kText, kForm };
  Kind kind = Kind::kNone;
  std::uint64_t max_bytes = 0;      ///< of all of it
  std::size_t max_field_bytes = 0;  ///< of one field of a form
  std::size_t max_fields = 0;
  std::shared_ptr<void> slot = nullptr;  ///< kept as long as the request is
};

/// One request that is being answered: once, by whoever has it, from any thread. An exchange that
/// is let go without an answer is answered as a fault of the server.
class Exchange {
 public:
  Exchange() = default;
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;
  virtual ~Exchange() = default;

  [[nodiscard]] virtual const Request& request() const = 0;
  /// The first call counts.
  virtual void respond(Response response) = 0;
  /// Server-sent events instead of one response: begins with the first of them.
  virtual void send_event(std::string_view name, std::string_view data) = 0;
  virtual void end_events() = 0;
  /// Asked to stop when the deadline has passed.
  [[nodiscard]] virtual std::stop_token stop() const = 0;
  [[nodiscard]] virtual std::chrono::steady_clock::time_point deadline() const = 0;
};

/// What is behind the transport. Thread-safe.
class Application {
 public:
  Application() = default;
  Application(const Application&) = delete;
  Application& operator=(const Application&) = delete;
  virtual ~Application() = default;

  /// Before the body is read: what may follow, or the answer already. Must not wait.
  [[nodiscard]] virtual std::variant<BodyPlan, Response> admit(const RequestHead& head) = 0;
  /// Must not wait: long work goes elsewhere and takes the exchange along.
  virtual void answer(std::shared_ptr<Exchange> exchange) = 0;
  /// Headers that every response gets.
  [[nodiscard]] virtual const std::vector<std::pair<std::string, std::string>>& common_headers()
      const = 0;
  /// Called once for each response, for counting: its status, and the seconds since the request
  /// was there.
  virtual void note_response(const RequestHead& head, int status, double seconds) = 0;
  /// Why a request failed before the application had it, where that is more than its answer says.
  virtual void note_failure(const std::string& reason) = 0;
};

}  // namespace mmra::serving
