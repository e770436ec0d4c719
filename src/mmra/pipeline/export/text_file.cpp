#include "mmra/pipeline/export/text_file.h"

#include <iconv.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "mmra/bank/text_checks.h"
#include "mmra/core/error.h"
#include "mmra/core/files.h"

namespace mmra::pipeline {
namespace {

constexpr std::size_t kMaxBytes = std::size_t{1} << 30;
// Enough for a header and a few rows.
constexpr std::size_t kSniffedBytes = 4096;

bool begins_with(std::string_view bytes, std::string_view mark) {
  return bytes.substr(0, mark.size()) == mark;
}

/// Text of UTF-16 without a mark: every second byte of what is mostly Latin is zero.
std::string guess_without_mark(std::string_view bytes) {
  const std::string_view start = bytes.substr(0, kSniffedBytes);
  std::array<std::size_t, 2> zeros{};
  for (std::size_t i = 0; i < start.size(); ++i) zeros.at(i % 2) += start[i] == '\0' ? 1 : 0;
  const std::size_t few = start.size() / 4;
  if (zeros[1] > few && zeros[0] == 0) return "UTF-16LE";
  if (zeros[0] > few && zeros[1] == 0) return "UTF-16BE";
  return "UTF-8";
}

std::string find_encoding(std::string_view bytes) {
  if (begins_with(bytes, "\xFF\xFE")) return "UTF-16LE";
  if (begins_with(bytes, "\xFE\xFF")) return "UTF-16BE";
  return guess_without_mark(bytes);
}

class Converter {
 public:
  Converter(const std::string& encoding, const std::string& name)
      : handle_(iconv_open("UTF-8", encoding.c_str())) {
    if (handle_ == reinterpret_cast<iconv_t>(-1)) {  // NOLINT(performance-no-int-to-ptr)
      throw Error(ErrorKind::kInvalidInput, name + ": the encoding \"" + encoding +
                                                "\" is not known; `iconv -l` lists those that are");
    }
  }
  Converter(const Converter&) = delete;
  Converter& operator=(const Converter&) = delete;
  ~Converter() { iconv_close(handle_); }

  /// Empty `problem_at` on success, else the offset of the byte that cannot be converted.
  std::string convert(std::string& bytes, std::optional<std::size_t>& problem_at) {
    std::string text;
    std::array<char, 65536> buffer{};
    char* in = bytes.data();
    std::size_t in_left = bytes.size();
    while (in_left > 0) {
      char* out = buffer.data();
      std::size_t out_left = buffer.size();
      const std::size_t result = iconv(handle_, &in, &in_left, &out, &out_left);
      text.append(buffer.data(), buffer.size() - out_left);
      if (result == static_cast<std::size_t>(-1) && errno != E2BIG) {
        problem_at = bytes.size() - in_left;
        break;
      }
    }
    return text;
  }

 private:
  iconv_t handle_;
};

[[noreturn]] void refuse_bytes(const std::string& name, std::string_view before,
                               const std::string& encoding) {
  const auto line = 1 + std::count(before.begin(), before.end(), '\n');
  throw Error(ErrorKind::kInvalidInput,
              name + ", line " + std::to_string(line) + ": the bytes are not " + encoding +
                  "; say how the file is written with --encoding (gb18030, big5, shift_jis, "
                  "windows-1252, …), or save it as UTF-8");
}

void drop_mark(std::string& text) {
  if (begins_with(text, "\xEF\xBB\xBF")) text.erase(0, 3);
}

}  // namespace

TextFile decode_text(std::string bytes, const std::string& name, const std::string& encoding) {
  TextFile file;
  file.encoding = encoding.empty() ? find_encoding(bytes) : encoding;
  if (file.encoding == "UTF-8") {
    if (const auto at = bank::find_invalid_utf8(bytes)) {
      refuse_bytes(name, std::string_view(bytes).substr(0, *at), "UTF-8");
    }
    file.text = std::move(bytes);
  } else {
    std::optional<std::size_t> problem_at;
    file.text = Converter(file.encoding, name).convert(bytes, problem_at);
    if (problem_at) refuse_bytes(name, file.text, file.encoding);
    if (const auto at = bank::find_invalid_utf8(file.text)) {  // a zero
      refuse_bytes(name, std::string_view(file.text).substr(0, *at), file.encoding);
    }
  }
  drop_mark(file.text);
  return file;
}

TextFile read_text_file(const std::filesystem::path& file, const std::string& encoding) {
  std::error_code ignored;
  const auto size = std::filesystem::file_size(file, ignored);
  if (!ignored && size > kMaxBytes) {
    throw Error(ErrorKind::kInvalidInput, file.string() + " has " + std::to_string(size >> 20) +
                                              " MiB, an export may have 1024; divide it");
  }
  return decode_text(read_file(file), file.string(), encoding);
}

char find_delimiter(std::string_view text) {
  constexpr std::string_view kDelimiters = ",;\t|";
  if (begins_with(text, "sep=") && text.size() > 4 &&
      kDelimiters.find(text[4]) != std::string_view::npos) {
    return text[4];
  }
  std::array<std::size_t, kDelimiters.size()> counts{};
  bool in_quotes = false;
  for (const char c : text) {
    if (c == '"') in_quotes = !in_quotes;
    if (in_quotes) continue;
    if (const std::size_t i = kDelimiters.find(c); i != std::string_view::npos) ++counts.at(i);
    const bool any = std::any_of(counts.begin(), counts.end(), [](auto n) { return n > 0; });
    if (c == '\n' && any) break;
  }
  const auto most = std::max_element(counts.begin(), counts.end());
  return kDelimiters[static_cast<std::size_t>(most - counts.begin())];
}

}  // namespace mmra::pipeline
