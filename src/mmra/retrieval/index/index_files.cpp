#include "mmra/retrieval/index/index_files.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <system_error>

#include "mmra/core/error.h"
#include "mmra/core/files.h"
#include "mmra/core/json_view.h"

namespace mmra::retrieval {
namespace {

namespace fs = std::filesystem;

constexpr int kVersion = 1;

fs::path spec_file(const fs::path& bank) { return bank / "index.json"; }
fs::path list_file(const fs::path& bank) { return index_directory(bank) / "segments.json"; }

/// Empty where there is no such file.
std::optional<JsonView> read_json(const fs::path& file) {
  std::string text;
  try {
    text = read_file(file);
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::kNotFound) return std::nullopt;
    throw;
  }
  const JsonView json = JsonView::parse(text, file.string());
  const int version = json.at("version").integer();
  if (version > kVersion) {
    throw Error(ErrorKind::kUnsupported,
                file.string() + " is of version " + std::to_string(version) +
                    ", this program reads up to " + std::to_string(kVersion) + "; update it");
  }
  return json;
}

/// A file of this very directory.
bool is_plain_name(const std::string& name) {
  return !name.empty() && name != "." && name != ".." && name.find('/') == std::string::npos;
}

}  // namespace

fs::path index_directory(const fs::path& bank) { return bank / "derived" / "index"; }

std::optional<std::string> read_index_spec(const fs::path& bank) {
  const auto json = read_json(spec_file(bank));
  if (!json) return std::nullopt;
  return json->at("index").string();
}

void write_index_spec(const fs::path& bank, const std::optional<std::string>& spec) {
  if (spec) {
    const nlohmann::ordered_json json = {{"version", kVersion}, {"index", *spec}};
    write_file_atomically(spec_file(bank), json.dump() + "\n");
    return;
  }
  std::error_code code;
  fs::remove(spec_file(bank), code);
  if (code) throw system_error("remove", spec_file(bank).string(), code.value());
}

std::optional<SegmentList> read_segment_list(const fs::path& bank) {
  const auto json = read_json(list_file(bank));
  if (!json) return std::nullopt;
  SegmentList list;
  list.spec = json->at("index").string();
  for (const JsonView& name : json->at("segments").elements()) {
    list.files.push_back(name.string());
    if (!is_plain_name(list.files.back())) name.fail("not the name of a file");
  }
  return list;
}

void write_segment_list(const fs::path& bank, const SegmentList& list) {
  make_directories(index_directory(bank));
  const nlohmann::ordered_json json = {
      {"version", kVersion}, {"index", list.spec}, {"segments", list.files}};
  write_file_atomically(list_file(bank), json.dump() + "\n");
}

void remove_other_segments(const fs::path& bank, const SegmentList& list) {
  std::error_code code;
  for (const auto& entry : fs::directory_iterator(index_directory(bank), code)) {
    const std::string name = entry.path().filename().string();
    if (name == list_file(bank).filename()) continue;
    if (std::find(list.files.begin(), list.files.end(), name) != list.files.end()) continue;
    std::error_code failed;
    fs::remove_all(entry.path(), failed);
    if (failed) throw system_error("remove", entry.path().string(), failed.value());
  }
}

}  // namespace mmra::retrieval
