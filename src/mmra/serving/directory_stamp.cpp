#include "mmra/serving/directory_stamp.h"

#include <sys/stat.h>

#include <algorithm>
#include <vector>

namespace mmra::serving {
namespace {

namespace fs = std::filesystem;

std::optional<std::string> stamp_of(const fs::path& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return std::nullopt;
  std::string stamp = path.string();
  const auto add = [&](auto number) { stamp += ' ' + std::to_string(number); };
  add(status.st_dev);
  add(status.st_ino);
  add(status.st_size);
  add(status.st_mtim.tv_sec);
  add(status.st_mtim.tv_nsec);
  add(status.st_ctim.tv_sec);
  add(status.st_ctim.tv_nsec);
  return stamp + '\n';
}

}  // namespace

std::optional<std::string> directory_stamp(const fs::path& directory) {
  std::vector<std::optional<std::string>> stamps = {stamp_of(directory)};
  std::error_code code;
  for (fs::recursive_directory_iterator entry(directory, code), end; !code && entry != end;
       entry.increment(code)) {
    stamps.push_back(stamp_of(entry->path()));
  }
  std::sort(stamps.begin(), stamps.end());
  if (code || !stamps.front()) return std::nullopt;  // nothing sorts first
  std::string all;
  for (const auto& stamp : stamps) all += *stamp;
  return all;
}

}  // namespace mmra::serving
