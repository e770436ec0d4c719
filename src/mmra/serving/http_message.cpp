#include "mmra/serving/http_message.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <cerrno>

#include "mmra/core/resource_error.h"

namespace mmra::serving {

std::string RequestHead::header(const std::string& name) const {
  const auto found = headers.find(name);
  return found == headers.end() ? std::string() : found->second;
}

UploadedFile::UploadedFile(const std::filesystem::path& directory) : directory_(directory) {
  std::string pattern = (directory / "mmra-upload-XXXXXX").string();
  descriptor_ = ::mkostemp(pattern.data(), O_CLOEXEC);
  if (descriptor_ < 0) throw_system_error("make a temporary file in", directory.string(), errno);
  ::unlink(pattern.c_str());
  path_ = "/proc/self/fd/" + std::to_string(descriptor_);
}

UploadedFile::~UploadedFile() { ::close(descriptor_); }

void UploadedFile::append(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor_, bytes.data(), bytes.size());
    if (written < 0) {
      if (errno == EINTR) continue;
      throw_system_error("write a temporary file in", directory_.string(), errno);
    }
    size_bytes_ += static_cast<std::uint64_t>(written);
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
}

Response to_response(const Problem& problem) {
  Response response{problem.status, kProblemType, to_json_text(problem)};
  if (problem.retry_after_s) {
    response.headers.emplace_back("Retry-After", std::to_string(*problem.retry_after_s));
  }
  if (problem.status == 401) response.headers.emplace_back("WWW-Authenticate", "Bearer");
  return response;
}

}  // namespace mmra::serving
