#pragma once

#include <cstddef>
#include <filesystem>
#include <fstream>
#include <string>

namespace mmra::testing {

/// Resident bytes of the mapping of `file`, as the system counts them.
inline std::size_t resident_bytes(const std::filesystem::path& file) {
  std::ifstream maps("/proc/self/smaps");
  bool own = false;
  for (std::string line; std::getline(maps, line);) {
    if (line.ends_with(file.string())) own = true;
    if (own && line.starts_with("Rss:")) return std::stoul(line.substr(4)) * 1024;
  }
  return 0;
}

}  // namespace mmra::testing
