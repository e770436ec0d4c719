#include "mmra/serving/url.h"

#include "mmra/bank/text_checks.h"

namespace mmra::serving {
namespace {

int hex_value(char digit) {
  if (digit >= '0' && digit <= '9') return digit - '0';
  if (digit >= 'a' && digit <= 'f') return digit - 'a' + 10;
  if (digit >= 'A' && digit <= 'F') return digit - 'A' + 10;
  return -1;
}

std::optional<std::string> unescape(std::string_view text, bool plus_is_space) {
  std::string decoded;
  decoded.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+' && plus_is_space) {
      decoded += ' ';
    } else if (text[i] != '%') {
      decoded += text[i];
    } else {
      if (i + 2 >= text.size()) return std::nullopt;
      const int high = hex_value(text[i + 1]);
      const int low = hex_value(text[i + 2]);
      if (high < 0 || low < 0) return std::nullopt;
      decoded += static_cast<char>(high * 16 + low);
      i += 2;
    }
  }
  if (bank::find_invalid_utf8(decoded)) return std::nullopt;
  return decoded;
}

bool read_segments(std::string_view path, std::vector<std::string>& segments) {
  if (path.empty() || path.front() != '/') return false;
  path.remove_prefix(1);
  while (!path.empty()) {
    const std::size_t end = path.find('/');
    const auto segment = unescape(path.substr(0, end), /*plus_is_space=*/false);
    if (!segment) return false;
    segments.push_back(*segment);
    path.remove_prefix(end == std::string_view::npos ? path.size() : end + 1);
  }
  return true;
}

bool read_query(std::string_view text, std::map<std::string, std::string>& query) {
  while (!text.empty()) {
    const std::size_t end = text.find('&');
    const std::string_view item = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (item.empty()) continue;
    const std::size_t equals = item.find('=');
    const auto name = unescape(item.substr(0, equals), /*plus_is_space=*/true);
    const auto value = unescape(
        equals == std::string_view::npos ? std::string_view() : item.substr(equals + 1), true);
    if (!name || !value || !query.emplace(*name, *value).second) return false;
  }
  return true;
}

}  // namespace

std::optional<Target> parse_target(std::string_view target) {
  Target parsed;
  const std::size_t question = target.find('?');
  parsed.path = target.substr(0, question);
  if (!read_segments(parsed.path, parsed.segments)) return std::nullopt;
  if (question != std::string_view::npos &&
      !read_query(target.substr(question + 1), parsed.query)) {
    return std::nullopt;
  }
  return parsed;
}

std::string escape_segment(std::string_view text) {
  static constexpr char kDigits[] = "0123456789ABCDEF";
  std::string escaped;
  for (const char c : text) {
    const bool unreserved = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                            (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' || c == '~';
    // A segment of dots alone would be taken for a folder by whoever normalises paths.
    if (unreserved && !(c == '.' && text.find_first_not_of('.') == std::string_view::npos)) {
      escaped += c;
    } else {
      const auto byte = static_cast<unsigned char>(c);
      escaped += '%';
      escaped += kDigits[byte >> 4U];
      escaped += kDigits[byte & 15U];
    }
  }
  return escaped;
}

}  // namespace mmra::serving
