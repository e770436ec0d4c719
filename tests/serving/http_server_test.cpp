#include "mmra/serving/http_server.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <thread>

#include "expect_error.h"
#include "test_files.h"

namespace mmra::serving {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;
using namespace std::chrono_literals;

/// Gives back what it got.
class Echo final : public Application {
 public:
  std::variant<BodyPlan, Response> admit(const RequestHead& head) override {
    if (head.path == "/throw") throw Refusal(not_found("thrown"));
    if (head.path == "/early") return to_response(not_found("early"));
    if (head.path == "/form") return BodyPlan{BodyPlan::Kind::kForm, 1000, 100, 4, nullptr};
    if (head.method == "POST") return BodyPlan{BodyPlan::Kind::kText, 1000, 0, 0, nullptr};
    return BodyPlan{};
  }
  void answer(std::shared_ptr<Exchange> exchange) override {
    ++num_asked;
    const Request& request = exchange->request();
    if (request.path == "/lost") return;
    if (request.path == "/bug") throw std::runtime_error("a secret");
    if (request.path == "/never") {
      kept_ = exchange;
      return;
    }
    if (request.path == "/events") {
      exchange->send_event("one", "1");
      exchange->send_event("two", "2");
      return exchange->end_events();
    }
    if (request.path == "/later") {
      threads_.emplace_back([exchange] {
        std::this_thread::sleep_for(100ms);
        exchange->respond({200, "text/plain", "later"});
        exchange->respond({500, "text/plain", "twice"});
      });
      return;
    }
    exchange->respond({200, "text/plain", request.method + " " + request.body});
  }
  const std::vector<std::pair<std::string, std::string>>& common_headers() const override {
    static const std::vector<std::pair<std::string, std::string>> kHeaders = {{"X-Ours", "yes"}};
    return kHeaders;
  }
  void note_response(const RequestHead&, int, double) override { ++num_responses; }
  void note_failure(const std::string& reason) override {
    const std::scoped_lock lock(mutex_);
    failures_.push_back(reason);
  }
  std::vector<std::string> failures() const {
    const std::scoped_lock lock(mutex_);
    return failures_;
  }
  void finish() {
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
    kept_.reset();
  }

  std::atomic<int> num_responses = 0;
  std::atomic<int> num_asked = 0;

 private:
  std::vector<std::thread> threads_;
  std::shared_ptr<Exchange> kept_;
  mutable std::mutex mutex_;
  std::vector<std::string> failures_;
};

class Http : public ::testing::Test {
 protected:
  void start(HttpServerOptions options = {}) {
    options.port = 0;
    options.upload_directory = directory_.path();
    server_.emplace(options, echo_);
    thread_ = std::thread([this] { server_->run(stop_.get_token()); });
  }
  void stop() {
    stop_.request_stop();
    if (thread_.joinable()) thread_.join();
    echo_.finish();
  }
  void TearDown() override {
    stop();
    server_.reset();
  }
  int connect() {
    const int connection = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(server_->port());
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::connect(connection, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    const timeval limit{5, 0};
    ::setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    return connection;
  }
  /// All that comes until the other side closes.
  std::string ask(const std::string& bytes) {
    const int connection = connect();
    EXPECT_EQ(::send(connection, bytes.data(), bytes.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(bytes.size()));
    std::string answer;
    char buffer[4096];
    for (ssize_t count = 0; (count = ::recv(connection, buffer, sizeof buffer, 0)) > 0;) {
      answer.append(buffer, static_cast<std::size_t>(count));
    }
    ::close(connection);
    return answer;
  }
  std::string get(const std::string& path) {
    return ask("GET " + path + " HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
  }

  mmra::testing::TemporaryDirectory directory_;
  Echo echo_;
  std::stop_source stop_;
  std::optional<HttpServer> server_;
  std::thread thread_;
};

TEST_F(Http, AnswersAtOnceLaterAndOnce) {
  start();
  EXPECT_THAT(get("/"), StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(get("/"), HasSubstr("X-Ours: yes"));
  EXPECT_THAT(get("/later"), ::testing::EndsWith("later"));
  EXPECT_THAT(get("/throw"), StartsWith("HTTP/1.1 404"));
  EXPECT_THAT(get("/early"), StartsWith("HTTP/1.1 404"));
  EXPECT_EQ(echo_.num_responses, 5);
}

TEST_F(Http, AnExchangeThatIsLetGoIsAnswered) {
  start();
  EXPECT_THAT(get("/lost"), StartsWith("HTTP/1.1 500"));
  const std::string answer = get("/bug");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 500"));
  EXPECT_THAT(answer, ::testing::Not(HasSubstr("secret")));
}

TEST_F(Http, ReadsBodiesWithinTheirLimit) {
  start();
  const auto post = [&](const std::string& body) {
    return ask("POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: " +
               std::to_string(body.size()) + "\r\n\r\n" + body);
  };
  EXPECT_THAT(post("abc"), ::testing::EndsWith("POST abc"));
  EXPECT_THAT(post(std::string(1000, 'x')), StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(post(std::string(1001, 'x')), StartsWith("HTTP/1.1 413"));
  EXPECT_THAT(ask("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx"),
              StartsWith("HTTP/1.1 400"));
  EXPECT_THAT(ask("POST /form HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx"),
              StartsWith("HTTP/1.1 415"));
}

TEST_F(Http, SendsEvents) {
  start();
  const std::string answer = get("/events");
  EXPECT_THAT(answer, HasSubstr("Content-Type: text/event-stream"));
  EXPECT_THAT(answer, HasSubstr("event: one\ndata: 1\n\n"));
  EXPECT_THAT(answer, HasSubstr("event: two\ndata: 2\n\n"));
  EXPECT_THAT(answer, ::testing::EndsWith("0\r\n\r\n"));
}

TEST_F(Http, ADeadlinePasses) {
  HttpServerOptions options;
  options.deadline = 50ms;
  start(options);
  EXPECT_THAT(get("/never"), StartsWith("HTTP/1.1 504"));
  EXPECT_THAT(get("/later"), StartsWith("HTTP/1.1 504"));
}

TEST_F(Http, SlowClientsAreTold) {
  HttpServerOptions options;
  options.header_timeout = 50ms;
  options.body_grace = 100ms;
  options.min_body_bytes_per_s = 1 << 20;
  start(options);
  EXPECT_THAT(ask("GET / HT"), StartsWith("HTTP/1.1 408"));
  EXPECT_THAT(ask("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc"),
              StartsWith("HTTP/1.1 408"));
  EXPECT_EQ(server_->counts().num_timed_out, 2U);
}

TEST_F(Http, ARefusedClientThatDripsIsCutOff) {
  HttpServerOptions options;
  options.header_timeout = 300ms;
  start(options);
  const int connection = connect();
  const std::string request = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9999\r\n\r\n";
  ASSERT_EQ(::send(connection, request.data(), request.size(), MSG_NOSIGNAL),
            static_cast<ssize_t>(request.size()));
  while (server_->counts().num_open == 0) std::this_thread::sleep_for(1ms);
  for (int i = 0; i < 100 && server_->counts().num_open > 0; ++i) {
    std::this_thread::sleep_for(50ms);
    ::send(connection, "x", 1, MSG_NOSIGNAL);
  }
  EXPECT_EQ(server_->counts().num_open, 0U);
  ::close(connection);
}

TEST_F(Http, AFullDiskIsSaidToTheClientAndToTheOperator) {
  start();
  const rlimit none{0, RLIM_INFINITY};
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto ignored = ::signal(SIGXFSZ, SIG_IGN);
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &none), 0);
  const std::string body =
      "--b\r\nContent-Disposition: form-data; name=\"video\"; filename=\"a\"\r\n\r\n" +
      std::string(200, 'x') + "\r\n--b--\r\n";
  const std::string request =
      "POST /form HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
      "Content-Type: multipart/form-data; boundary=b\r\nContent-Length: " +
      std::to_string(body.size()) + "\r\n\r\n" + body;
  const std::string refused = ask(request);
  EXPECT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  ::signal(SIGXFSZ, ignored);
  EXPECT_THAT(refused, StartsWith("HTTP/1.1 507"));
  EXPECT_THAT(refused, HasSubstr("insufficient_storage"));
  EXPECT_THAT(refused, ::testing::Not(HasSubstr(directory_.path().string())));
  EXPECT_THAT(echo_.failures(), ::testing::ElementsAre(HasSubstr(directory_.path().string())));
  EXPECT_THAT(ask(request), StartsWith("HTTP/1.1 200"));
}

TEST_F(Http, WithoutDescriptorsIdleConnectionsMakeRoomAndOthersAreToldSo) {
  HttpServerOptions options;
  options.deadline = 2s;
  start(options);
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_THAT(get("/"), StartsWith("HTTP/1.1 200"));
  // Clients and server share this process: what the clients will need is opened before.
  const int idle = connect();
  while (server_->counts().num_accepted < 2 || server_->counts().num_open != 1) {
    std::this_thread::sleep_for(1ms);
  }
  std::this_thread::sleep_for(60ms);  // it is not fresh any more
  const std::vector<int> clients = {::socket(AF_INET, SOCK_STREAM, 0),
                                    ::socket(AF_INET, SOCK_STREAM, 0)};
  rlimit low = before;
  low.rlim_cur = static_cast<rlim_t>(clients.back()) + 1;
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &low), 0);
  std::vector<int> filling;  // whatever lies below the limit
  for (int taken = 0; (taken = ::dup(idle)) >= 0;) filling.push_back(taken);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(server_->port());
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const std::string busy = "GET /never HTTP/1.1\r\nHost: a\r\n\r\n";
  std::vector<std::string> answers(clients.size());
  const timeval limit{5, 0};
  for (std::size_t i = 0; i < clients.size(); ++i) {
    ::setsockopt(clients[i], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    EXPECT_EQ(::connect(clients[i], reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    EXPECT_GT(::send(clients[i], busy.data(), busy.size(), MSG_NOSIGNAL), 0);
    while (echo_.num_asked < 2) std::this_thread::sleep_for(1ms);
  }
  char buffer[4096];
  const ssize_t count = ::recv(clients[1], buffer, sizeof buffer, 0);
  EXPECT_THAT(std::string(buffer, static_cast<std::size_t>(std::max<ssize_t>(0, count))),
              StartsWith("HTTP/1.1 503"));
  EXPECT_EQ(server_->counts().num_evicted, 1U);
  while (server_->counts().num_refused < 1) std::this_thread::sleep_for(1ms);
  for (const int each : filling) ::close(each);
  EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_THAT(get("/"), StartsWith("HTTP/1.1 200"));
  for (const int each : clients) ::close(each);
  ::close(idle);
}

TEST_F(Http, SilentConnectionsAreClosedAndMakeRoom) {
  HttpServerOptions options;
  options.max_connections = 3;
  options.idle_timeout = 60s;
  start(options);
  std::vector<int> idle;
  for (int i = 0; i < 6; ++i) {
    idle.push_back(connect());
    std::this_thread::sleep_for(60ms);
  }
  EXPECT_THAT(get("/"), StartsWith("HTTP/1.1 200"));
  EXPECT_GE(server_->counts().num_evicted, 3U);
  char byte = 0;
  EXPECT_EQ(::recv(idle.front(), &byte, 1, 0), 0) << "the oldest went first";
  for (const int connection : idle) ::close(connection);
}

TEST_F(Http, BusyConnectionsAreNotPushedOut) {
  HttpServerOptions options;
  options.max_connections = 1;
  options.deadline = 300ms;
  start(options);
  std::string first;
  std::thread busy([&] { first = get("/never"); });
  std::this_thread::sleep_for(100ms);
  EXPECT_THAT(get("/"), StartsWith("HTTP/1.1 503"));
  busy.join();
  EXPECT_THAT(first, StartsWith("HTTP/1.1 504"));
}

TEST_F(Http, StoppingFinishesWhatWasTaken) {
  start();
  std::string answer;
  std::thread client([&] { answer = get("/later"); });
  const int idle = connect();
  std::this_thread::sleep_for(50ms);
  stop();
  client.join();
  EXPECT_THAT(answer, ::testing::EndsWith("later"));
  char byte = 0;
  EXPECT_EQ(::recv(idle, &byte, 1, 0), 0);
  ::close(idle);
}

TEST_F(Http, APortThatIsTakenIsSaid) {
  start();
  HttpServerOptions options;
  options.port = server_->port();
  Echo other;
  mmra::testing::expect_error(ErrorKind::kIo, "cannot listen on 127.0.0.1 port",
                              [&] { HttpServer second(options, other); });
}

}  // namespace
}  // namespace mmra::serving
