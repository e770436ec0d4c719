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
std::optional<std::string> text_of(const fs::path& file) {
  try {
    return read_file(file);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kNotFound) throw;
    return std::nullopt;
  }
}

JsonView parse(std::string_view text, const std::string& name) {
  JsonView json = JsonView::parse(text, name);
  const int version = json.at("version").integer();
  if (version > kVersion) {
    throw Error(ErrorKind::kUnsupported, name + " is of version " + std::to_string(version) +
                                             ", this program reads up to " +
                                             std::to_string(kVersion) + "; update it");
  }
  return json;
}

/// A file of this very directory.
bool is_plain_name(const std::string& name) {
  return !name.empty() && name != "." && name != ".." && name.find('/') == std::string::npos;
}

}  // namespace

fs::path index_directory(const fs::path& bank) { return bank / "derived" / "index"; }

std::string parse_index_spec(std::string_view text, const std::string& name) {
  return parse(text, name).at("index").string();
}

SegmentList parse_segment_list(std::string_view text, const std::string& name) {
  const JsonView json = parse(text, name);
  SegmentList list;
  list.spec = json.at("index").string();
  for (const JsonView& file : json.at("segments").elements()) {
    list.files.push_back(file.string());
    if (!is_plain_name(list.files.back())) file.fail("not the name of a file");
  }
  return list;
}

std::string index_spec_to_json(const std::string& spec) {
  return nlohmann::ordered_json{{"version", kVersion}, {"index", spec}}.dump() + "\n";
}

std::string segment_list_to_json(const SegmentList& list) {
  return nlohmann::ordered_json{
             {"version", kVersion}, {"index", list.spec}, {"segments", list.files}}
             .dump() +
         "\n";
}

std::optional<std::string> read_index_spec(const fs::path& bank) {
  const auto text = text_of(spec_file(bank));
  if (!text) return std::nullopt;
  return parse_index_spec(*text, spec_file(bank).string());
}

void write_index_spec(const fs::path& bank, const std::optional<std::string>& spec) {
  if (spec) {
    write_file_atomically(spec_file(bank), index_spec_to_json(*spec));
    return;
  }
  std::error_code code;
  fs::remove(spec_file(bank), code);
  if (code) throw system_error("remove", spec_file(bank).string(), code.value());
}

std::optional<SegmentList> read_segment_list(const fs::path& bank) {
  const auto text = text_of(list_file(bank));
  if (!text) return std::nullopt;
  return parse_segment_list(*text, list_file(bank).string());
}

void write_segment_list(const fs::path& bank, const SegmentList& list) {
  make_directories(index_directory(bank));
  write_file_atomically(list_file(bank), segment_list_to_json(list));
}

void remove_other_segments(const fs::path& bank, const SegmentList& list,
                           const std::set<std::string>& reserved) {
  const auto is_reserved = [&](const std::string& name) {
    return std::any_of(reserved.begin(), reserved.end(),
                       [&](const std::string& one) { return name.starts_with(one); });
  };
  std::error_code code;
  for (const auto& entry : fs::directory_iterator(index_directory(bank), code)) {
    const std::string name = entry.path().filename().string();
    if (name == list_file(bank).filename() || is_reserved(name)) continue;
    if (std::find(list.files.begin(), list.files.end(), name) != list.files.end()) continue;
    std::error_code failed;
    fs::remove_all(entry.path(), failed);
    if (failed) throw system_error("remove", entry.path().string(), failed.value());
  }
}

}  // namespace mmra::retrieval
