#include "mmra/pipeline/line_follower.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <thread>
#include <utility>

#include "mmra/bank/csv_reader.h"
#include "mmra/core/error.h"

namespace mmra::pipeline {
namespace {

constexpr std::size_t kReadBytes = std::size_t{64} << 10;
// How late a stop, or a file's growth, may be seen.
constexpr int kWaitMs = 100;

}  // namespace

LineFollower::LineFollower(const std::filesystem::path& source, std::stop_token stop)
    : source_(source),
      name_(source == "-" ? "standard input" : source.string()),
      stop_(std::move(stop)) {
  if (source == "-") {
    descriptor_ = STDIN_FILENO;
    return;
  }
  if (std::filesystem::is_directory(source)) {
    throw Error(ErrorKind::kInvalidInput,
                name_ + " is a directory; expected a file of JSON Lines, or - for standard input");
  }
  descriptor_ = ::open(source.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor_ < 0) throw system_error("read", name_, errno);
}

LineFollower::~LineFollower() {
  if (descriptor_ > STDIN_FILENO) ::close(descriptor_);
}

std::filesystem::path LineFollower::folder() const {
  return source_ == "-" ? std::filesystem::current_path()
                        : std::filesystem::absolute(source_).parent_path();
}

std::optional<std::string_view> LineFollower::next() {
  for (;;) {
    const std::size_t end = buffer_.find('\n', scanned_);
    if (end != std::string::npos) {
      const std::string_view text = std::string_view(buffer_).substr(begin_, end - begin_);
      begin_ = scanned_ = end + 1;
      ++line_;
      return text;
    }
    buffer_.erase(0, begin_);
    begin_ = 0;
    scanned_ = buffer_.size();
    if (buffer_.size() > bank::kMaxFieldBytes) {
      throw Error(ErrorKind::kInvalidInput,
                  name_ + ", line " + std::to_string(line_ + 1) + ": more than " +
                      std::to_string(bank::kMaxFieldBytes >> 20) +
                      " MiB in one line; expected one JSON object a line");
    }
    if (stop_.stop_requested()) return std::nullopt;
    if (read_more()) continue;
    if (!at_end_) continue;
    if (buffer_.empty()) return std::nullopt;
    buffer_ += '\n';
  }
}

bool LineFollower::read_more() {
  if (at_end_) return false;
  if (source_ == "-") {
    pollfd waiting{descriptor_, POLLIN, 0};
    if (::poll(&waiting, 1, kWaitMs) <= 0) return false;
  }
  const std::size_t before = buffer_.size();
  buffer_.resize(before + kReadBytes);
  const ssize_t count = ::read(descriptor_, buffer_.data() + before, kReadBytes);
  const int fault = errno;
  buffer_.resize(before + static_cast<std::size_t>(count > 0 ? count : 0));
  if (count < 0 && fault != EINTR && fault != EAGAIN) throw system_error("read", name_, fault);
  if (count > 0) {
    size_read_ += count;
    return true;
  }
  if (source_ == "-") {
    at_end_ = count == 0;
    return false;
  }
  check_file();
  std::this_thread::sleep_for(std::chrono::milliseconds(kWaitMs));
  return false;
}

void LineFollower::check_file() const {
  struct stat opened {};
  struct stat named {};
  if (::fstat(descriptor_, &opened) != 0) throw system_error("read", name_, errno);
  const bool same = ::stat(source_.c_str(), &named) == 0 && named.st_ino == opened.st_ino &&
                    named.st_dev == opened.st_dev;
  const std::string advice =
      "; follow the new one with another run: rows that the bank has are skipped";
  if (!same) throw Error(ErrorKind::kInvalidInput, name_ + " was removed or replaced" + advice);
  if (opened.st_size < size_read_) {
    throw Error(ErrorKind::kInvalidInput, name_ + " has become shorter (" +
                                              std::to_string(opened.st_size) + " bytes, " +
                                              std::to_string(size_read_) + " were read)" + advice);
  }
}

}  // namespace mmra::pipeline
