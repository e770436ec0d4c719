#include "net/fake_server.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <sstream>
#include <string_view>

namespace mmra::testing {
namespace {

constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";

FakeRequest parse_request(const std::string& text) {
  FakeRequest request;
  std::istringstream lines(text);
  std::string line;
  lines >> request.method >> request.path;
  std::getline(lines, line);
  while (std::getline(lines, line) && line.size() > 1) {
    const std::size_t colon = line.find(':');
    if (colon == std::string::npos) continue;
    std::string name = line.substr(0, colon);
    std::transform(name.begin(), name.end(), name.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    std::string value = line.substr(colon + 1);
    value.erase(0, value.find_first_not_of(' '));
    value.erase(value.find_last_not_of("\r\n ") + 1);
    request.headers[name] = value;
  }
  return request;
}

void send_all(int connection, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(connection, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return;
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
}

}  // namespace

FakeServer::FakeServer(Handler handler) : handler_(std::move(handler)) {
  listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (::bind(listener_, reinterpret_cast<sockaddr*>(&address), size) != 0 ||
      ::listen(listener_, 16) != 0 ||
      ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    ADD_FAILURE() << "no server on 127.0.0.1";
  }
  port_ = ntohs(address.sin_port);
  thread_ = std::thread([this] { serve(); });
}

FakeServer::~FakeServer() {
  is_stopping_ = true;
  thread_.join();
  ::close(listener_);
}

std::vector<FakeRequest> FakeServer::requests() const {
  const std::scoped_lock lock(mutex_);
  return requests_;
}

void FakeServer::serve() {
  constexpr int kPollMs = 10;
  while (!is_stopping_) {
    pollfd waiting{listener_, POLLIN, 0};
    if (::poll(&waiting, 1, kPollMs) <= 0) continue;
    const int connection = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (connection < 0) continue;
    answer(connection);
    ::close(connection);
  }
}

void FakeServer::answer(int connection) {
  std::string text;
  char buffer[4096];
  while (text.find("\r\n\r\n") == std::string::npos) {
    const ssize_t count = ::recv(connection, buffer, sizeof buffer, 0);
    if (count <= 0) return;
    text.append(buffer, static_cast<std::size_t>(count));
  }
  FakeRequest request = parse_request(text);
  const std::string length = request.header("content-length");
  if (request.header("expect") == "100-continue") send_all(connection, kContinue);
  request.body = text.substr(text.find("\r\n\r\n") + 4);
  while (!length.empty() && request.body.size() < std::stoul(length)) {
    const ssize_t count = ::recv(connection, buffer, sizeof buffer, 0);
    if (count <= 0) return;
    request.body.append(buffer, static_cast<std::size_t>(count));
  }
  {
    const std::scoped_lock lock(mutex_);
    requests_.push_back(request);
  }
  const FakeReply reply = handler_(request);
  if (reply.hangs_up) return;
  std::string head = "HTTP/1.1 " + std::to_string(reply.status) + " x\r\nConnection: close\r\n" +
                     "Content-Length: " + std::to_string(reply.body.size()) + "\r\n";
  for (const auto& [name, value] : reply.headers) head += name + ": " + value + "\r\n";
  send_all(connection, head + "\r\n");
  send_all(connection, reply.body.substr(0, reply.cut_after.value_or(reply.body.size())));
  ::shutdown(connection, SHUT_WR);
  while (::recv(connection, buffer, sizeof buffer, 0) > 0) {
  }
}

}  // namespace mmra::testing
