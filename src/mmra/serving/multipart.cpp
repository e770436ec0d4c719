#include "mmra/serving/multipart.h"

#include <algorithm>
#include <cctype>
#include <utility>

#include "mmra/bank/text_checks.h"

namespace mmra::serving {
namespace {

constexpr std::size_t kMaxBoundaryBytes = 70;
constexpr std::size_t kMaxPreambleBytes = 1024;
constexpr std::size_t kMaxPartHeaderBytes = 4096;
constexpr char kVideoPart[] = "video";
constexpr char kFormHint[] = "send multipart/form-data as `curl -F` or a browser's form does";

[[noreturn]] void refuse(const std::string& detail) {
  throw Refusal(bad_request("invalid_form", detail, kFormHint));
}

bool equal_without_case(std::string_view a, std::string_view b) {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(), [](char x, char y) {
           return std::tolower(static_cast<unsigned char>(x)) ==
                  std::tolower(static_cast<unsigned char>(y));
         });
}

std::string_view trim(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

/// Takes a parameter's value off the front of `rest`.
std::string take_value(std::string_view& rest) {
  std::string value;
  if (rest.empty() || rest.front() != '"') {
    const std::size_t end = std::min(rest.find(';'), rest.size());
    value = trim(rest.substr(0, end));
    rest.remove_prefix(end);
    return value;
  }
  std::size_t i = 1;
  for (; i < rest.size() && rest[i] != '"'; ++i) {
    // Browsers escape quotes as %22, others with a backslash; a lone one is a Windows path.
    if (rest[i] == '\\' && i + 1 < rest.size() && (rest[i + 1] == '"' || rest[i + 1] == '\\')) ++i;
    value += rest[i];
  }
  rest.remove_prefix(std::min(i + 1, rest.size()));
  return value;
}

}  // namespace

std::optional<std::string> header_parameter(std::string_view header, std::string_view name) {
  std::string_view rest = header;
  while (true) {
    const std::size_t semicolon = rest.find(';');
    if (semicolon == std::string_view::npos) return std::nullopt;
    rest.remove_prefix(semicolon + 1);
    const std::size_t equals = rest.find('=');
    if (equals == std::string_view::npos) return std::nullopt;
    const std::string_view key = trim(rest.substr(0, equals));
    rest.remove_prefix(equals + 1);
    rest = rest.substr(std::min(rest.find_first_not_of(" \t"), rest.size()));
    std::string value = take_value(rest);
    if (equal_without_case(key, name)) return value;
  }
}

std::string boundary_of(const std::string& content_type) {
  const std::string_view type =
      trim(std::string_view(content_type)
               .substr(0, std::min(content_type.find(';'), content_type.size())));
  if (!equal_without_case(type, "multipart/form-data")) {
    throw Refusal({415, "unsupported_media_type", "this takes multipart/form-data", kFormHint});
  }
  const auto boundary = header_parameter(content_type, "boundary");
  const auto allowed = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 ||
           std::string_view("'()+_,-./:=? ").find(c) != std::string_view::npos;
  };
  if (!boundary || boundary->empty() || boundary->size() > kMaxBoundaryBytes ||
      boundary->back() == ' ' || !std::all_of(boundary->begin(), boundary->end(), allowed)) {
    refuse("the Content-Type has no boundary, or one that cannot be");
  }
  return *boundary;
}

Problem body_too_large(std::uint64_t max_bytes) {
  return {413, "too_large",
          "the body is larger than the " + std::to_string(max_bytes) + " bytes that are taken",
          "send a shorter or smaller clip, or fewer words"};
}

MultipartReader::MultipartReader(const std::string& boundary, const FormLimits& limits,
                                 std::filesystem::path upload_directory)
    : delimiter_("\r\n--" + boundary),
      limits_(limits),
      upload_directory_(std::move(upload_directory)) {}

void MultipartReader::append(std::string_view bytes) {
  if (state_ == State::kEpilogue) return;  // what follows the end means nothing
  pending_ += bytes;
  bool more = true;
  while (more) {
    switch (state_) {
      case State::kPreamble:
        more = skip_preamble();
        break;
      case State::kAfterBoundary:
        more = read_boundary_end();
        break;
      case State::kHeaders:
        more = read_header_line();
        break;
      case State::kContent:
        more = read_content();
        break;
      case State::kEpilogue:
        pending_.clear();
        return;
    }
  }
}

bool MultipartReader::skip_preamble() {
  const std::size_t at = pending_.find(delimiter_);
  if (at == std::string::npos) {
    if (pending_.size() > kMaxPreambleBytes) refuse("the form does not begin with its boundary");
    return false;
  }
  pending_.erase(0, at + delimiter_.size());
  state_ = State::kAfterBoundary;
  return true;
}

bool MultipartReader::read_boundary_end() {
  // RFC 2046 allows spaces here; nobody sends them.
  if (pending_.size() < 2) return false;
  if (pending_.compare(0, 2, "--") == 0) {
    state_ = State::kEpilogue;
    return true;
  }
  if (pending_.compare(0, 2, "\r\n") != 0) refuse("a boundary of the form does not end its line");
  pending_.erase(0, 2);
  disposition_.clear();
  header_bytes_ = 0;
  state_ = State::kHeaders;
  return true;
}

bool MultipartReader::read_header_line() {
  const std::size_t end = pending_.find("\r\n");
  if (header_bytes_ + std::min(end, pending_.size()) > kMaxPartHeaderBytes) {
    refuse("the header of a part of the form is longer than " +
           std::to_string(kMaxPartHeaderBytes) + " bytes");
  }
  if (end == std::string::npos) return false;
  header_bytes_ += end + 2;
  const std::string line = pending_.substr(0, end);
  pending_.erase(0, end + 2);
  if (line.empty()) {
    begin_part();
    state_ = State::kContent;
    return true;
  }
  const std::size_t colon = line.find(':');
  if (colon == std::string::npos)
    refuse("the header of a part of the form has a line without \":\"");
  if (equal_without_case(trim(std::string_view(line).substr(0, colon)), "content-disposition")) {
    disposition_ = trim(std::string_view(line).substr(colon + 1));
  }
  return true;
}

void MultipartReader::begin_part() {
  const auto name = header_parameter(disposition_, "name");
  if (!name || name->empty()) refuse("a part of the form has no name");
  if (bank::find_invalid_utf8(*name)) refuse("the name of a part of the form is not UTF-8");
  part_name_ = *name;
  part_is_file_ = part_name_ == kVideoPart;
  field_.clear();
  if (part_is_file_) {
    if (form_.video) refuse("the form has a second part \"video\"");
    form_.video = std::make_shared<UploadedFile>(upload_directory_);
  } else if (form_.fields.size() == limits_.max_fields) {
    refuse("the form has more than " + std::to_string(limits_.max_fields) + " fields");
  }
}

bool MultipartReader::read_content() {
  const std::size_t at = pending_.find(delimiter_);
  // The last bytes may be the beginning of a delimiter.
  const std::size_t safe =
      pending_.size() < delimiter_.size() ? 0 : pending_.size() - (delimiter_.size() - 1);
  const std::size_t end = at != std::string::npos ? at : safe;
  take_content(std::string_view(pending_).substr(0, end));
  pending_.erase(0, end);
  if (at == std::string::npos) return false;
  pending_.erase(0, delimiter_.size());
  end_part();
  state_ = State::kAfterBoundary;
  return true;
}

void MultipartReader::take_content(std::string_view bytes) {
  if (part_is_file_) {
    form_.video->append(bytes);
    return;
  }
  if (field_.size() + bytes.size() > limits_.max_field_bytes) {
    throw Refusal({413, "too_large",
                   "the field " + bank::in_quotes(part_name_) + " is longer than the " +
                       std::to_string(limits_.max_field_bytes) + " bytes that are taken",
                   "send fewer words"});
  }
  field_ += bytes;
}

void MultipartReader::end_part() {
  if (part_is_file_) return;
  if (bank::find_invalid_utf8(field_)) {
    refuse("the field " + bank::in_quotes(part_name_) + " is not UTF-8 text");
  }
  form_.fields.emplace_back(std::move(part_name_), std::move(field_));
  field_.clear();
}

Form MultipartReader::finish() {
  if (state_ != State::kEpilogue) refuse("the form ends before its closing boundary");
  return std::move(form_);
}

}  // namespace mmra::serving
