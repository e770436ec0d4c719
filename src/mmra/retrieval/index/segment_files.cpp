#include "mmra/retrieval/index/segment_files.h"

#include <algorithm>
#include <cstdio>
#include <random>
#include <system_error>
#include <utility>

#include "mmra/core/error.h"

namespace mmra::retrieval {
namespace {

namespace fs = std::filesystem;

bool is_among(std::span<const std::string> names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

}  // namespace

SegmentFiles::SegmentFiles(fs::path bank) : bank_(std::move(bank)) {}

fs::path SegmentFiles::path_of(const std::string& name) const {
  return index_directory(bank_) / name;
}

std::int64_t SegmentFiles::bytes_of(const SegmentList& list) const {
  std::int64_t bytes = 0;
  for (const std::string& file : list.files) {
    std::error_code code;
    const auto size = fs::file_size(path_of(file), code);
    if (!code) bytes += static_cast<std::int64_t>(size);
  }
  return bytes;
}

std::string SegmentFiles::new_name() {
  std::random_device device;
  char name[48];
  std::snprintf(name, sizeof name, "segment-%08x%08x.bin", device(), device());
  const std::scoped_lock lock(mutex_);
  reserved_.insert(name);
  return name;
}

void SegmentFiles::release(std::span<const std::string> names) {
  const std::scoped_lock lock(mutex_);
  for (const std::string& name : names) reserved_.erase(name);
}

SegmentList SegmentFiles::commit(const std::string& spec, std::span<const std::string> removed,
                                 std::span<const std::string> added) {
  const std::scoped_lock lock(mutex_);
  SegmentList list{spec, {}};
  for (std::string& file : present_list().files) {
    if (!is_among(removed, file)) list.files.push_back(std::move(file));
  }
  list.files.insert(list.files.end(), added.begin(), added.end());
  write_segment_list(bank_, list);
  remove_other_segments(bank_, list, reserved_);
  return list;
}

/// Empty where it cannot be read: what it named is searched by nobody, and made anew.
SegmentList SegmentFiles::present_list() const {
  try {
    return read_segment_list(bank_).value_or(SegmentList{});
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kCorruptData && error.kind() != ErrorKind::kUnsupported) throw;
    return {};
  }
}

}  // namespace mmra::retrieval
