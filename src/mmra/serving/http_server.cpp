#include "mmra/serving/http_server.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <deque>
#include <list>
#include <mutex>
#include <thread>
#include <utility>

#include "mmra/serving/body_reader.h"
#include "mmra/serving/url.h"

namespace mmra::serving {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using asio::ip::tcp;
using Clock = std::chrono::steady_clock;
using beast::error_code;

constexpr std::size_t kFirstReadBytes = 1024;
constexpr std::size_t kBodyChunkBytes = std::size_t{64} << 10;
constexpr std::size_t kMaxLingerBytes = 64 << 20;
// A connection that has just come, or was just answered, may have its next request on the way.
constexpr std::chrono::milliseconds kFresh{50};
// A client that does not read its events is not kept in memory for ever.
constexpr std::size_t kMaxQueuedEventBytes = 32 << 20;
constexpr int kBacklog = 1024;
// Connections beyond the most that there may be, while those that make room for them are going.
constexpr std::size_t kMaxOnTheirWay = 64;
// Refused connections that are kept until their clients have read why; they have descriptors too.
constexpr int kMaxRefusedWaiting = 64;
// Connections that are refused in one go when there is no descriptor left.
constexpr int kMaxRefusedAtOnce = 256;
constexpr int kEvictedAtOnce = 16;

/// What a connection gets for which there is no room.
const std::string& refusal() {
  static const std::string kAnswer = [] {
    const std::string body =
        to_json_text({503, "overloaded", "too many connections are open", "try again in a moment"});
    return "HTTP/1.1 503 Service Unavailable\r\nContent-Type: " + std::string(kProblemType) +
           "\r\nRetry-After: 1\r\nConnection: close\r\nContent-Length: " +
           std::to_string(body.size()) + "\r\n\r\n" + body;
  }();
  return kAnswer;
}

/// A descriptor kept for the moment when there is no other: with it a connection can be taken off
/// the system's queue and told that there is no room.
class SpareDescriptor {
 public:
  SpareDescriptor() { keep(); }
  SpareDescriptor(const SpareDescriptor&) = delete;
  SpareDescriptor& operator=(const SpareDescriptor&) = delete;
  ~SpareDescriptor() { close(); }

  /// Whether somebody waits at `listener`: without a descriptor accept() fails in any case.
  static bool has_waiting(int listener) {
    pollfd waiting{listener, POLLIN, 0};
    return ::poll(&waiting, 1, 0) > 0;
  }
  /// Refuses one of those that wait at `listener`. False where none does, or there is no spare.
  bool refuse_one(int listener) {
    if (!keep()) return false;
    close();
    const int connection = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (connection >= 0) {
      char request[1024];  // what was sent and not read would take the answer away
      while (::recv(connection, request, sizeof request, MSG_DONTWAIT) > 0) {
      }
      static_cast<void>(
          ::send(connection, refusal().data(), refusal().size(), MSG_NOSIGNAL | MSG_DONTWAIT));
      ::shutdown(connection, SHUT_WR);
      ::close(connection);
    }
    keep();  // unless another thread was quicker
    return connection >= 0;
  }

  /// Opens it where it was lost. False where that cannot be.
  bool keep() {
    if (spare_ < 0) spare_ = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    return spare_ >= 0;
  }

 private:
  void close() {
    if (spare_ >= 0) ::close(std::exchange(spare_, -1));
  }

  int spare_ = -1;
};

class Session;

/// What sessions share: the settings, the application, and who there is.
class Sessions {
 public:
  Sessions(const HttpServerOptions& settings, Application& behind)
      : options(settings), application(behind) {}

  const HttpServerOptions& options;
  Application& application;

  /// False where there is no room, even for one that pushes an idle one out.
  bool admit(const std::shared_ptr<Session>& session);
  void leave(Session& session);
  /// Asks the connection that has been idle longest to close; false where none is.
  bool evict_one();
  void set_idle(Session& session, bool idle);
  void stop_all();
  [[nodiscard]] bool stopping() const { return stopping_; }
  [[nodiscard]] bool empty() const;
  [[nodiscard]] ConnectionCounts counts() const;
  void count_refused() { ++num_refused_; }
  void count_evicted() { ++num_evicted_; }
  /// One of few places for refused connections that wait for their clients; give_back_wait() ends.
  bool take_wait() {
    if (++num_refused_waiting_ <= kMaxRefusedWaiting) return true;
    give_back_wait();
    return false;
  }
  void give_back_wait() { --num_refused_waiting_; }
  void count_timeout() { ++num_timed_out_; }
  /// Calls `action` when the last one has left after stop_all().
  void set_when_empty(std::function<void()> action) {
    const std::scoped_lock lock(mutex_);
    when_empty_ = std::move(action);
  }

 private:
  /// Takes the longest idle one off the list; null where all are fresh. The mutex is held.
  std::shared_ptr<Session> take_oldest_idle();

  struct Entry {
    std::weak_ptr<Session> session;
    std::optional<std::list<Session*>::iterator> idle;
    Clock::time_point idle_since;
  };
  mutable std::mutex mutex_;
  std::map<Session*, Entry> all_;
  std::list<Session*> idle_;  ///< the longest idle first
  std::function<void()> when_empty_;
  std::atomic<bool> stopping_ = false;
  std::uint64_t num_accepted_ = 0;
  std::atomic<std::uint64_t> num_evicted_ = 0;
  std::atomic<std::uint64_t> num_refused_ = 0;
  std::atomic<std::uint64_t> num_timed_out_ = 0;
  std::atomic<int> num_refused_waiting_ = 0;
};

/// One connection: a request is read, answered, and the next one is read. Everything happens on the
/// strand of its stream.
class Session : public std::enable_shared_from_this<Session> {
 public:
  Session(tcp::socket&& socket, Sessions& sessions)
      : sessions_(sessions),
        options_(sessions.options),
        stream_(std::move(socket)),
        timer_(stream_.get_executor()) {}
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  ~Session() {
    if (has_wait_) sessions_.give_back_wait();
    sessions_.leave(*this);
  }

  void start() {
    on_strand([](Session& self) { self.wait_for_request(); });
  }
  void stop() {
    on_strand([](Session& self) {
      if (self.phase_ == Phase::kIdle) self.close();
    });
  }
  /// There is no room. Says so if that can be done without waiting, and where few are refused,
  /// reads what the client sends until it has seen that.
  void refuse(bool may_wait) {
    sessions_.count_refused();
    error_code ignored;
    stream_.socket().non_blocking(true, ignored);
    stream_.socket().write_some(asio::buffer(refusal()), ignored);
    stream_.socket().shutdown(tcp::socket::shutdown_send, ignored);
    has_wait_ = may_wait && sessions_.take_wait();
    if (has_wait_) on_strand([](Session& self) { self.begin_linger(); });
  }
  /// Closes it where nothing has come meanwhile: what has is read and answered.
  void evict() {
    on_strand([](Session& self) {
      error_code ignored;
      if (self.phase_ != Phase::kIdle || self.stream_.socket().available(ignored) > 0) return;
      self.sessions_.count_evicted();
      self.close();
    });
  }

 private:
  enum class Phase { kIdle, kReading, kAnswering, kWriting, kClosed };
  class SessionExchange;

  template <typename Action>
  void on_strand(Action action) {
    asio::post(stream_.get_executor(), [self = shared_from_this(),
                                        action = std::move(action)]() mutable { action(*self); });
  }

  // ---- reading

  /// The stream's own clock would close the connection, and 408 could not be said.
  void limit_reading(Clock::time_point until) {
    stream_.expires_never();
    came_too_late_ = false;
    timer_.expires_at(until);
    timer_.async_wait([self = shared_from_this(), number = ++num_reads_](error_code error) {
      if (error || number != self->num_reads_ || self->phase_ != Phase::kReading) return;
      self->came_too_late_ = true;
      self->stream_.cancel();
    });
  }

  void wait_for_request() {
    if (sessions_.stopping()) return close();
    keep_alive_ = false;
    head_ = {};
    body_.reset();
    if (buffer_.size() > 0) return read_header();  // pipelined
    buffer_ = {};
    phase_ = Phase::kIdle;
    sessions_.set_idle(*this, true);
    stream_.expires_after(options_.idle_timeout);
    stream_.async_read_some(buffer_.prepare(kFirstReadBytes),
                            [self = shared_from_this()](error_code error, std::size_t size) {
                              if (error) return self->close();
                              self->buffer_.commit(size);
                              self->read_header();
                            });
  }

  void read_header() {
    sessions_.set_idle(*this, false);
    phase_ = Phase::kReading;
    parser_.emplace();
    parser_->header_limit(options_.max_header_bytes);
    parser_->body_limit(std::numeric_limits<std::uint64_t>::max());  // begin_body has its own
    limit_reading(Clock::now() + options_.header_timeout);
    http::async_read_header(
        stream_, buffer_, *parser_,
        [self = shared_from_this()](error_code error, std::size_t) { self->on_header(error); });
  }

  void on_header(error_code error) {
    received_at_ = Clock::now();
    timer_.cancel();
    if (error) return refuse_header(error);
    try {
      if (!read_head()) return;
      auto decision = sessions_.application.admit(head_);
      if (auto* response = std::get_if<Response>(&decision)) {
        return answer_at_once(std::move(*response));
      }
      begin_body(std::get<BodyPlan>(decision));
    } catch (...) {
      answer_failure();
    }
  }

  void refuse_header(error_code error) {
    if (error == asio::error::operation_aborted && came_too_late_) {
      sessions_.count_timeout();
      return answer_at_once(to_response(
          {408, "request_timeout", "the request did not come in time", "send it in one go"}));
    }
    if (error == http::error::header_limit) {
      return answer_at_once(
          to_response({431, "header_too_large",
                       "the headers are longer than the " +
                           std::to_string(options_.max_header_bytes) + " bytes that are taken",
                       "send fewer or shorter headers, or a shorter URL"}));
    }
    // The connection's end, or something that is no HTTP: only the second can be answered.
    if (error.category() != http::make_error_code(http::error::bad_method).category() ||
        error == http::error::end_of_stream || error == http::error::partial_message) {
      return close();
    }
    answer_at_once(to_response(
        bad_request("invalid_http", "this is no HTTP/1.1 request", "send one as curl does")));
  }

  /// False where it has been answered.
  bool read_head() {
    const auto& message = parser_->get();
    head_.method = std::string(message.method_string());
    head_.is_http_1_0 = message.version() < 11;
    keep_alive_ = message.keep_alive();
    for (const auto& field : message) {
      std::string name(field.name_string());
      std::transform(name.begin(), name.end(), name.begin(),
                     [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
      const auto value = field.value();
      if (!head_.headers.emplace(std::move(name), std::string(value)).second &&
          (field.name() == http::field::host || field.name() == http::field::authorization)) {
        refuse_bytes("a header that may come once came twice");
        return false;
      }
    }
    if (parser_->content_length()) head_.content_length = *parser_->content_length();
    head_.has_body = parser_->chunked() || head_.content_length.value_or(0) > 0;
    auto target = parse_target({message.target().data(), message.target().size()});
    if (!target) {
      refuse_bytes("the URL is not one that this server could have");
      return false;
    }
    head_.path = std::move(target->path);
    head_.segments = std::move(target->segments);
    head_.query = std::move(target->query);
    if (!head_.is_http_1_0 && head_.headers.count("host") == 0) {
      refuse_bytes("the header Host is missing");
      return false;
    }
    return true;
  }

  void refuse_bytes(const std::string& detail) {
    answer_at_once(to_response(bad_request("invalid_http", detail, "send a request as curl does")));
  }

  void begin_body(const BodyPlan& plan) {
    if (!head_.has_body) return dispatch(plan);
    if (plan.kind == BodyPlan::Kind::kNone) {
      return answer_at_once(to_response(
          bad_request("unexpected_body", "this takes no body", "send the request without one")));
    }
    if (head_.content_length.value_or(0) > plan.max_bytes) {
      return answer_at_once(to_response(body_too_large(plan.max_bytes)));
    }
    body_.emplace(plan, head_.header("content-type"), options_.upload_directory);
    const std::string expect = head_.header("expect");
    if (expect.empty() || head_.is_http_1_0) return read_body();
    continue_ = "HTTP/1.1 100 Continue\r\n\r\n";
    stream_.expires_after(options_.write_timeout);
    asio::async_write(stream_, asio::buffer(continue_),
                      [self = shared_from_this()](error_code error, std::size_t) {
                        if (error) return self->close();
                        self->read_body();
                      });
  }

  [[nodiscard]] Clock::time_point body_expiry() const {
    const auto earned = std::chrono::milliseconds(
        num_body_bytes_ * 1000 / std::max<std::int64_t>(1, options_.min_body_bytes_per_s));
    return received_at_ + options_.body_grace + earned;
  }

  void read_body() {
    if (parser_->is_done()) return finish_body();
    if (chunk_.empty()) chunk_.resize(kBodyChunkBytes);
    parser_->get().body().data = chunk_.data();
    parser_->get().body().size = chunk_.size();
    limit_reading(body_expiry());
    http::async_read_some(
        stream_, buffer_, *parser_,
        [self = shared_from_this()](error_code error, std::size_t) { self->on_body(error); });
  }

  void on_body(error_code error) {
    timer_.cancel();
    if (error == http::error::need_buffer) error = {};
    if (error == asio::error::operation_aborted && came_too_late_) {
      sessions_.count_timeout();
      return answer_at_once(to_response({408, "request_timeout", "the body came too slowly",
                                         "send it again over a faster connection"}));
    }
    if (error && (error.category() != http::make_error_code(http::error::bad_chunk).category() ||
                  error == http::error::partial_message)) {
      return close();  // it is gone
    }
    if (error) return refuse_bytes("the body is not as its headers say");
    const std::size_t size = chunk_.size() - parser_->get().body().size;
    num_body_bytes_ += static_cast<std::int64_t>(size);
    try {
      body_->append({chunk_.data(), size});
    } catch (...) {
      return answer_failure();
    }
    read_body();
  }

  void finish_body() {
    chunk_ = {};
    num_body_bytes_ = 0;
    Request request;
    static_cast<RequestHead&>(request) = head_;
    try {
      body_->finish(request);
    } catch (...) {
      return answer_failure();
    }
    body_.reset();
    dispatch(std::move(request));
  }

  // ---- answering

  void dispatch(const BodyPlan& /*plan*/) {
    Request request;
    static_cast<RequestHead&>(request) = head_;
    dispatch(std::move(request));
  }

  void dispatch(Request&& request);

  void answer_failure() {
    std::string reason;
    Response response = to_response(problem_of_current_exception(reason));
    if (!reason.empty()) sessions_.application.note_failure(reason);
    answer_at_once(std::move(response));
  }

  /// Where the request has not been read to its end, the connection ends with the answer.
  void answer_at_once(Response&& response) {
    body_.reset();
    chunk_ = {};
    const bool read_whole = parser_ && parser_->is_done();
    if (!read_whole && (head_.has_body || head_.method.empty())) {
      keep_alive_ = false;
      must_linger_ = true;
    }
    write(std::move(response));
  }

  void on_deadline(std::uint64_t number) {
    if (number != number_ || phase_ == Phase::kClosed || is_answered_) return;
    stop_source_.request_stop();
    const double seconds = std::chrono::duration<double>(options_.deadline).count();
    const Problem problem = deadline_passed(seconds);
    if (is_streaming_) {
      send_event(number, "error", to_json_text(problem));
      end_events(number);
    } else {
      respond(number, to_response(problem));
    }
  }

  void respond(std::uint64_t number, Response&& response) {
    if (number != number_ || is_answered_ || phase_ != Phase::kAnswering) return;
    if (is_streaming_) {  // a failure after the first event
      if (response.status >= 400) send_event(number, "error", response.body);
      return end_events(number);
    }
    is_answered_ = true;
    timer_.cancel();
    write(std::move(response));
  }

  void add_headers(http::fields& fields, const Response& response) const {
    fields.set(http::field::server, "mmra");
    for (const auto& [name, value] : sessions_.application.common_headers()) {
      fields.set(name, value);
    }
    for (const auto& [name, value] : response.headers) fields.set(name, value);
    if (!response.content_type.empty()) {
      fields.set(http::field::content_type, response.content_type);
    }
  }

  void note(int status) {
    const double seconds = std::chrono::duration<double>(Clock::now() - received_at_).count();
    sessions_.application.note_response(head_, status, seconds);
  }

  void write(Response&& response) {
    phase_ = Phase::kWriting;
    note(response.status);
    response_.emplace(static_cast<http::status>(response.status), head_.is_http_1_0 ? 10 : 11);
    add_headers(*response_, response);
    if (sessions_.stopping()) keep_alive_ = false;
    response_->keep_alive(keep_alive_);
    const bool has_no_body = response.status == 204 || response.status == 304;
    if (!has_no_body) response_->content_length(response.body.size());
    if (head_.method != "HEAD" && !has_no_body) response_->body() = std::move(response.body);
    stream_.expires_after(options_.write_timeout);
    http::async_write(stream_, *response_,
                      [self = shared_from_this()](error_code error, std::size_t) {
                        self->response_.reset();
                        self->on_written(error);
                      });
  }

  void on_written(error_code error) {
    parser_.reset();
    if (error && error != http::error::end_of_stream) return close();
    if (!keep_alive_) return finish_connection();
    wait_for_request();
  }

  // ---- server-sent events

  void send_event(std::uint64_t number, std::string_view name, std::string_view data) {
    if (number != number_ || is_answered_ || phase_ != Phase::kAnswering) return;
    std::string text = "event: ";
    text.append(name).append("\ndata: ").append(data).append("\n\n");
    if (!is_streaming_) begin_events();
    num_queued_event_bytes_ += text.size();
    if (num_queued_event_bytes_ > kMaxQueuedEventBytes) return close();
    events_.push_back(std::move(text));
    write_events();
  }

  void begin_events() {
    is_streaming_ = true;
    events_header_ = "HTTP/1.1 200 OK\r\n";
    http::fields fields;
    add_headers(fields, {200, "text/event-stream", "", {{"Cache-Control", "no-store"}}});
    fields.set(http::field::transfer_encoding, "chunked");
    if (!keep_alive_ || sessions_.stopping()) {
      keep_alive_ = false;
      fields.set(http::field::connection, "close");
    }
    for (const auto& field : fields) {
      events_header_
          .append(std::string_view(field.name_string().data(), field.name_string().size()))
          .append(": ")
          .append(std::string_view(field.value().data(), field.value().size()))
          .append("\r\n");
    }
    events_header_ += "\r\n";
    events_.push_back(std::move(events_header_));
    header_is_queued_ = true;
  }

  void end_events(std::uint64_t number) {
    if (number != number_ || is_answered_ || !is_streaming_) return;
    is_answered_ = true;
    timer_.cancel();
    note(200);
    write_events();
  }

  void write_events() {
    if (is_writing_event_ || phase_ == Phase::kClosed) return;
    if (events_.empty()) {
      if (is_answered_) finish_events();
      return;
    }
    is_writing_event_ = true;
    std::string text = std::move(events_.front());
    events_.pop_front();
    num_queued_event_bytes_ -= header_is_queued_ ? 0 : text.size();
    if (header_is_queued_) {
      writing_ = std::move(text);
      header_is_queued_ = false;
    } else {
      char size[32];
      std::snprintf(size, sizeof size, "%zx\r\n", text.size());
      writing_ = size + text + "\r\n";
    }
    stream_.expires_after(options_.write_timeout);
    asio::async_write(stream_, asio::buffer(writing_),
                      [self = shared_from_this()](error_code error, std::size_t) {
                        self->is_writing_event_ = false;
                        if (error) return self->give_up();
                        self->write_events();
                      });
  }

  void finish_events() {
    phase_ = Phase::kWriting;
    writing_ = "0\r\n\r\n";
    stream_.expires_after(options_.write_timeout);
    asio::async_write(
        stream_, asio::buffer(writing_),
        [self = shared_from_this()](error_code error, std::size_t) { self->on_written(error); });
  }

  // ---- the end

  /// The client does not take what it asked for.
  void give_up() {
    stop_source_.request_stop();
    close();
  }

  void finish_connection() {
    error_code ignored;
    stream_.socket().shutdown(tcp::socket::shutdown_send, ignored);
    if (!must_linger_) return close();
    begin_linger();
  }

  /// Reads on for a moment: closing with bytes unread would take the answer away from the client.
  void begin_linger() {
    chunk_.resize(kBodyChunkBytes);
    // Of all of it: a byte now and then is no reason to stay.
    stream_.expires_after(options_.header_timeout);
    linger();
  }

  void linger() {
    stream_.async_read_some(asio::buffer(chunk_),
                            [self = shared_from_this()](error_code error, std::size_t size) {
                              self->num_lingered_ += size;
                              if (error || self->num_lingered_ > kMaxLingerBytes) {
                                return self->close();
                              }
                              self->linger();
                            });
  }

  void close() {
    if (phase_ == Phase::kClosed) return;
    phase_ = Phase::kClosed;
    sessions_.set_idle(*this, false);
    timer_.cancel();
    body_.reset();
    error_code ignored;
    stream_.socket().shutdown(tcp::socket::shutdown_both, ignored);
    stream_.close();
    sessions_.leave(*this);  // an answer that is still being made may hold the object for a while
  }

  Sessions& sessions_;
  const HttpServerOptions& options_;
  beast::tcp_stream stream_;
  beast::flat_buffer buffer_;
  std::optional<http::request_parser<http::buffer_body>> parser_;
  RequestHead head_;
  std::optional<BodyReader> body_;
  std::vector<char> chunk_;
  std::int64_t num_body_bytes_ = 0;
  std::string continue_;
  bool keep_alive_ = false;
  bool must_linger_ = false;
  bool has_wait_ = false;  ///< one of Sessions' for refused connections
  std::size_t num_lingered_ = 0;
  Phase phase_ = Phase::kIdle;
  Clock::time_point received_at_;

  std::uint64_t number_ = 0;  ///< of the request that is being answered
  bool is_answered_ = false;
  asio::steady_timer timer_;  ///< of the read under way, then of the answer
  std::uint64_t num_reads_ = 0;
  bool came_too_late_ = false;
  std::stop_source stop_source_;
  std::optional<http::response<http::string_body>> response_;

  bool is_streaming_ = false;
  bool is_writing_event_ = false;
  bool header_is_queued_ = false;
  std::string events_header_;
  std::deque<std::string> events_;
  std::size_t num_queued_event_bytes_ = 0;
  std::string writing_;
};

/// The application's end of a request: knows its session by number, so that an answer that comes
/// too late changes nothing.
class Session::SessionExchange final : public Exchange {
 public:
  SessionExchange(std::shared_ptr<Session> session, std::uint64_t number, Request&& request,
                  std::stop_token stop, Clock::time_point deadline)
      : session_(std::move(session)),
        number_(number),
        request_(std::move(request)),
        stop_(std::move(stop)),
        deadline_(deadline) {}
  ~SessionExchange() override {
    respond(to_response({500, "internal", "the server could not answer this request",
                         "try again; the operator finds the reason in the server's log"}));
  }

  [[nodiscard]] const Request& request() const override { return request_; }
  void respond(Response response) override {
    session_->on_strand(
        [number = number_, response = std::move(response)](Session& session) mutable {
          session.respond(number, std::move(response));
        });
  }
  void send_event(std::string_view name, std::string_view data) override {
    session_->on_strand([number = number_, name = std::string(name), data = std::string(data)](
                            Session& session) { session.send_event(number, name, data); });
  }
  void end_events() override {
    session_->on_strand([number = number_](Session& session) { session.end_events(number); });
  }
  [[nodiscard]] std::stop_token stop() const override { return stop_; }
  [[nodiscard]] Clock::time_point deadline() const override { return deadline_; }

 private:
  std::shared_ptr<Session> session_;
  std::uint64_t number_;
  Request request_;
  std::stop_token stop_;
  Clock::time_point deadline_;
};

void Session::dispatch(Request&& request) {
  phase_ = Phase::kAnswering;
  ++number_;
  is_answered_ = false;
  is_streaming_ = false;
  received_at_ = Clock::now();
  stop_source_ = {};
  stream_.expires_never();
  const auto deadline = received_at_ + options_.deadline;
  timer_.expires_at(deadline);
  timer_.async_wait([self = shared_from_this(), number = number_](error_code error) {
    if (!error) self->on_deadline(number);
  });
  const auto exchange = std::make_shared<SessionExchange>(
      shared_from_this(), number_, std::move(request), stop_source_.get_token(), deadline);
  try {
    sessions_.application.answer(exchange);
  } catch (...) {
    std::string reason;
    exchange->respond(to_response(problem_of_current_exception(reason)));
    if (!reason.empty()) sessions_.application.note_failure(reason);
  }
}

bool Sessions::admit(const std::shared_ptr<Session>& session) {
  std::shared_ptr<Session> evicted;
  {
    const std::scoped_lock lock(mutex_);
    ++num_accepted_;
    if (all_.size() >= options.max_connections) {
      if (all_.size() >= options.max_connections + kMaxOnTheirWay) return false;
      evicted = take_oldest_idle();
      if (evicted == nullptr) return false;
    }
    all_.emplace(session.get(), Entry{session, std::nullopt, {}});
  }
  if (evicted != nullptr) evicted->evict();
  return true;
}

bool Sessions::evict_one() {
  std::shared_ptr<Session> evicted;
  {
    const std::scoped_lock lock(mutex_);
    evicted = take_oldest_idle();
  }
  if (evicted == nullptr) return false;
  evicted->evict();
  return true;
}

std::shared_ptr<Session> Sessions::take_oldest_idle() {
  while (!idle_.empty()) {
    Entry& entry = all_.at(idle_.front());
    if (Clock::now() - entry.idle_since < kFresh) return nullptr;
    idle_.pop_front();
    entry.idle.reset();
    if (auto session = entry.session.lock()) return session;
  }
  return nullptr;
}

void Sessions::leave(Session& session) {
  const std::scoped_lock lock(mutex_);
  const auto found = all_.find(&session);
  if (found == all_.end()) return;
  if (found->second.idle) idle_.erase(*found->second.idle);
  all_.erase(found);
  if (all_.empty() && stopping_ && when_empty_) when_empty_();
}

void Sessions::set_idle(Session& session, bool idle) {
  const std::scoped_lock lock(mutex_);
  const auto found = all_.find(&session);
  if (found == all_.end()) return;
  if (found->second.idle) idle_.erase(*found->second.idle);
  found->second.idle.reset();
  if (!idle) return;
  found->second.idle = idle_.insert(idle_.end(), &session);
  found->second.idle_since = Clock::now();
}

void Sessions::stop_all() {
  std::vector<std::shared_ptr<Session>> sessions;
  {
    const std::scoped_lock lock(mutex_);
    stopping_ = true;
    for (const auto& [key, entry] : all_) {
      if (auto session = entry.session.lock()) sessions.push_back(std::move(session));
    }
  }
  for (const auto& session : sessions) session->stop();
}

bool Sessions::empty() const {
  const std::scoped_lock lock(mutex_);
  return all_.empty();
}

ConnectionCounts Sessions::counts() const {
  const std::scoped_lock lock(mutex_);
  return {all_.size(), num_accepted_, num_evicted_, num_refused_, num_timed_out_};
}

std::string bind_error(const HttpServerOptions& options, const error_code& error) {
  return "cannot listen on " + options.host + " port " + std::to_string(options.port) + ": " +
         error.message() + "; choose another with --host and --port";
}

}  // namespace

class HttpServer::Impl {
 public:
  Impl(const HttpServerOptions& options, Application& application)
      : options_(options),
        sessions_(options_, application),
        strand_(asio::make_strand(io_)),
        acceptor_(strand_),
        timer_(strand_) {
    listen();
  }

  [[nodiscard]] std::uint16_t port() const { return acceptor_.local_endpoint().port(); }
  [[nodiscard]] ConnectionCounts counts() const { return sessions_.counts(); }

  void run(const std::stop_token& stop) {
    const std::stop_callback on_stop(stop,
                                     [this] { asio::post(strand_, [this] { begin_stop(); }); });
    sessions_.set_when_empty([this] { asio::post(strand_, [this] { end_if_empty(); }); });
    accept();
    std::vector<std::jthread> threads;
    for (int i = 1; i < options_.num_threads; ++i) {
      threads.emplace_back([this] { run_handlers(); });
    }
    run_handlers();
    threads.clear();
    sessions_.set_when_empty({});
  }

 private:
  void run_handlers() {
    for (;;) {
      try {
        io_.run();
        return;
      } catch (const std::bad_alloc&) {  // the connection that had it is gone, the others go on
      }
    }
  }

  void listen() {
    error_code error;
    tcp::resolver resolver(io_);
    const auto found =
        resolver.resolve(options_.host, std::to_string(options_.port),
                         tcp::resolver::passive | tcp::resolver::numeric_service, error);
    if (error || found.empty()) {
      throw Error(ErrorKind::kInvalidInput, bind_error(options_, error));
    }
    const tcp::endpoint endpoint = found.begin()->endpoint();
    acceptor_.open(endpoint.protocol(), error);
    if (!error) acceptor_.set_option(asio::socket_base::reuse_address(true), error);
    if (!error) acceptor_.bind(endpoint, error);
    if (!error) acceptor_.listen(kBacklog, error);
    if (error) throw Error(ErrorKind::kIo, bind_error(options_, error));
  }

  void accept() {
    acceptor_.async_accept(asio::make_strand(io_), [this](error_code error, tcp::socket socket) {
      on_accept(error, std::move(socket));
    });
  }

  void on_accept(error_code error, tcp::socket&& socket) {
    if (!acceptor_.is_open()) return;
    if (error) {
      if (error == boost::system::errc::too_many_files_open ||
          error == boost::system::errc::too_many_files_open_in_system) {
        make_room();
      }
      timer_.expires_after(std::chrono::milliseconds(20));  // not so at once again
      timer_.async_wait([this](error_code code) {
        if (!code && acceptor_.is_open()) accept();
      });
      return;
    }
    error_code ignored;
    socket.set_option(tcp::no_delay(true), ignored);
    const auto session = std::make_shared<Session>(std::move(socket), sessions_);
    // Without the spare one this connection took the last descriptor.
    if (spare_.keep() && sessions_.admit(session)) {
      session->start();
    } else {
      session->refuse(/*may_wait=*/spare_.keep());
    }
    accept();
  }

  /// No descriptor is left. Whoever waits gets one of an idle connection, or is told.
  void make_room() {
    if (!SpareDescriptor::has_waiting(acceptor_.native_handle())) return;
    bool evicted = false;
    for (int i = 0; i < kEvictedAtOnce; ++i) evicted = sessions_.evict_one() || evicted;
    if (evicted) return;
    for (int i = 0; i < kMaxRefusedAtOnce; ++i) {
      if (!spare_.refuse_one(acceptor_.native_handle())) return;
      sessions_.count_refused();
    }
  }

  void begin_stop() {
    acceptor_.close();
    sessions_.stop_all();
    timer_.expires_after(options_.drain_timeout);
    timer_.async_wait([this](error_code error) {
      if (!error) io_.stop();
    });
    end_if_empty();
  }

  void end_if_empty() {
    if (sessions_.stopping() && sessions_.empty()) io_.stop();
  }

  HttpServerOptions options_;
  Sessions sessions_;
  asio::io_context io_;  // goes before sessions_, which the handlers in it know
  asio::strand<asio::io_context::executor_type> strand_;  ///< of the two below
  tcp::acceptor acceptor_;
  asio::steady_timer timer_;
  SpareDescriptor spare_;
};

HttpServer::HttpServer(const HttpServerOptions& options, Application& application)
    : impl_(std::make_unique<Impl>(options, application)) {}
HttpServer::~HttpServer() = default;
std::uint16_t HttpServer::port() const { return impl_->port(); }
void HttpServer::run(const std::stop_token& stop) { impl_->run(stop); }
ConnectionCounts HttpServer::counts() const { return impl_->counts(); }

}  // namespace mmra::serving
