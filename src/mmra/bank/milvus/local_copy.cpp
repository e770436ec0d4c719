#include "mmra/bank/milvus/local_copy.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <utility>

#include "mmra/bank/text_checks.h"
#include "mmra/core/environment.h"
#include "mmra/core/error.h"
#include "mmra/core/files.h"
#include "mmra/core/fingerprint.h"

namespace mmra::bank {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr const char* kListKey = "M:encoders";
/// Pieces of one request: some megabytes.
constexpr std::size_t kPiecesPerRequest = 64;

struct EncoderFile {
  std::string path;  ///< below the artefact's directory, with slashes
  ValueName name;
};

bool is_below(const fs::path& path) {
  return !path.empty() && path.is_relative() &&
         std::none_of(path.begin(), path.end(), [](const fs::path& part) { return part == ".."; });
}

std::vector<EncoderFile> parse_list(const Bytes& text) {
  const Json list = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  const auto refuse = [] {
    throw Error(ErrorKind::kCorruptData,
                "the list of the bank's encoders on the server is damaged; push the bank again");
  };
  if (!list.is_array()) refuse();
  std::vector<EncoderFile> files;
  for (const Json& entry : list) {
    if (!entry.is_object() || !entry.contains("path") || !entry.contains("value") ||
        !entry["path"].is_string() || !entry["value"].is_string()) {
      refuse();
    }
    EncoderFile file{entry["path"].get<std::string>(), {}};
    const auto names = parse_value_names(entry["value"].get<std::string>(), file.path);
    if (!is_below(file.path) || names.size() != 1) refuse();
    file.name = names.front();
    files.push_back(std::move(file));
  }
  return files;
}

std::vector<EncoderFile> files_below(const fs::path& directory) {
  std::vector<EncoderFile> files;
  std::error_code code;
  for (const auto& entry : fs::recursive_directory_iterator(directory, code)) {
    if (!entry.is_regular_file()) continue;
    const std::string path = entry.path().lexically_relative(directory).generic_string();
    files.push_back({path, name_value('E', path, read_file(entry.path()))});
  }
  std::sort(files.begin(), files.end(),
            [](const EncoderFile& a, const EncoderFile& b) { return a.path < b.path; });
  return files;
}

bool same_files(const std::vector<EncoderFile>& a, const std::vector<EncoderFile>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const EncoderFile& x, const EncoderFile& y) {
                      return x.path == y.path && x.name == y.name;
                    });
}

void rename_over(const fs::path& from, const fs::path& to) {
  std::error_code code;
  fs::remove_all(to, code);
  fs::rename(from, to, code);
  // Another process may have put the same files there in between.
  if (code && !fs::exists(to)) throw system_error("rename", from.string(), code.value());
  fs::remove_all(from, code);
}

}  // namespace

fs::path local_directory(const MilvusAddress& address) {
  const std::string text = address.data_url() + "/" + address.collection;
  return cache_directory("MMRA_BANKS", "banks", "what a bank on a server needs here") /
         (address.collection + "-" + fingerprint(text).substr(0, 16));
}

std::optional<Bytes> read_value(MilvusClient& client, const std::string& values,
                                const ValueName& name, std::string_view id, MilvusMoment seen) {
  const std::vector<std::string> keys = keys_of(name, id);
  Bytes bytes;
  for (std::size_t begin = 0; begin < keys.size(); begin += kPiecesPerRequest) {
    const std::size_t count = std::min(kPiecesPerRequest, keys.size() - begin);
    const auto some = std::span(keys).subspan(begin, count);
    const MilvusRows rows = client.query(values, milvus_any_of("key", some), {"key", "value"},
                                         static_cast<int>(count), seen);
    if (rows.num_rows() != count) return std::nullopt;
    for (std::size_t i = 0; i < count; ++i) {  // pieces are in the order of their keys
      if (rows.texts("key")[i] != some[i]) return std::nullopt;
      bytes += decode_piece(some[i], rows.texts("value")[i]);
    }
  }
  return bytes;
}

void upload_encoders(MilvusClient& client, const std::string& values, const fs::path& directory) {
  Json list = Json::array();
  Json rows = Json::array();
  const auto flush = [&](std::size_t limit) {
    while (rows.size() > limit) {
      const auto count = std::min(kPiecesPerRequest, rows.size());
      Json some = Json::array();
      for (std::size_t i = 0; i < count; ++i) some.push_back(std::move(rows[i]));
      rows.erase(rows.begin(), rows.begin() + static_cast<std::ptrdiff_t>(count));
      client.upsert(values, some);
    }
  };
  for (const EncoderFile& file : files_below(directory)) {
    append_pieces(file.name, file.path, read_file(directory / file.path), rows);
    flush(kPiecesPerRequest);
    list.push_back({{"path", file.path}, {"value", to_text(std::span(&file.name, 1))}});
  }
  flush(0);
  client.upsert(values, Json::array({named_row(kListKey, list.dump())}));  // last: all is there
}

void download_encoders(MilvusClient& client, const std::string& values, const fs::path& directory,
                       MilvusMoment seen) {
  const std::string key = kListKey;
  const MilvusRows found =
      client.query(values, milvus_any_of("key", std::span(&key, 1)), {"key", "value"}, 1, seen);
  if (found.num_rows() == 0) {
    throw Error(ErrorKind::kCorruptData,
                "the bank " + client.address().text() + " has no encoders; push it again");
  }
  const std::vector<EncoderFile> files = parse_list(decode_piece(key, found.texts("value")[0]));
  if (files.empty() || same_files(files, files_below(directory))) return;
  const fs::path fresh = directory.string() + ".new." + std::to_string(::getpid());
  std::error_code ignored;
  fs::remove_all(fresh, ignored);
  for (const EncoderFile& file : files) {
    const auto bytes = read_value(client, values, file.name, file.path, seen);
    if (!bytes || name_value('E', file.path, *bytes) != file.name) {
      fs::remove_all(fresh, ignored);
      throw Error(ErrorKind::kCorruptData,
                  "the file " + in_quotes(file.path) + " of the encoders of the bank " +
                      client.address().text() + " is damaged on the server; push the bank again");
    }
    make_directories((fresh / file.path).parent_path());
    write_file_atomically(fresh / file.path, *bytes);
  }
  rename_over(fresh, directory);
}

}  // namespace mmra::bank
