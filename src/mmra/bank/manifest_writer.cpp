#include "mmra/bank/manifest_writer.h"

#include <csv.h>

#include <charconv>
#include <cmath>
#include <utility>

#include "mmra/core/error.h"

namespace mmra::bank {
namespace {

constexpr std::size_t kFlushBytes = std::size_t{1} << 16;
// A whole number of more digits is read as an identifier (parse_number).
constexpr double kMaxWholeNumber = 1e15;
// Beyond the years 0 to 9999 RFC 3339 has no form; seconds since the epoch have one.
constexpr std::int64_t kMinRfc3339Ms = -62167219200000;
constexpr std::int64_t kMaxRfc3339Ms = 253402300799999;

void append_field(const std::string& field, std::string& to) {
  if (field.find_first_of(",\"\r\n \t") == std::string::npos) {
    to += field;
    return;
  }
  const std::size_t size = csv_write(nullptr, 0, field.data(), field.size());
  const std::size_t begin = to.size();
  to.resize(begin + size);
  csv_write(to.data() + begin, size, field.data(), field.size());
}

std::vector<std::string> all_columns(const std::vector<std::string>& context_columns) {
  std::vector<std::string> columns{"id", "title", "popularity", "posted_at", "split", "video"};
  columns.insert(columns.end(), context_columns.begin(), context_columns.end());
  return columns;
}

}  // namespace

ManifestWriter::ManifestWriter(const std::filesystem::path& file,
                               const std::vector<std::string>& columns)
    : file_(file), num_columns_(columns.size()) {
  add_row(columns);
}

void ManifestWriter::add_row(const std::vector<std::string>& fields) {
  if (fields.size() != num_columns_) {
    throw Error(ErrorKind::kInternal, "a CSV row of " + std::to_string(fields.size()) +
                                          " fields, expected " + std::to_string(num_columns_));
  }
  for (std::size_t i = 0; i < fields.size(); ++i) {
    if (i > 0) buffer_ += ',';
    append_field(fields[i], buffer_);
  }
  buffer_ += '\n';
  if (buffer_.size() >= kFlushBytes) flush();
}

void ManifestWriter::flush() {
  file_.write(buffer_);
  buffer_.clear();
}

void ManifestWriter::commit() {
  flush();
  file_.commit();
}

std::string to_text(double number) {
  char text[32];
  char* const end = text + sizeof text;
  const bool large = std::fabs(number) >= kMaxWholeNumber;
  const auto result = large ? std::to_chars(text, end, number, std::chars_format::scientific)
                      : std::trunc(number) == number
                          ? std::to_chars(text, end, std::llround(number))
                          : std::to_chars(text, end, number);
  return {text, result.ptr};
}

std::string to_text(const ContextValue& value) {
  if (const auto* number = std::get_if<double>(&value)) return to_text(*number);
  return std::get<std::string>(value);
}

std::string to_text(Timestamp time) {
  if (time.ms >= kMinRfc3339Ms && time.ms <= kMaxRfc3339Ms) return format_timestamp(time);
  const std::int64_t magnitude = time.ms < 0 ? -time.ms : time.ms;
  std::string text = std::to_string(magnitude + 1000);  // four digits at least
  text = std::to_string(magnitude / 1000) + "." + text.substr(text.size() - 3);
  if (time.ms < 0) text.insert(0, 1, '-');
  return text;
}

RecordWriter::RecordWriter(const std::filesystem::path& file,
                           std::vector<std::string> context_columns)
    : context_columns_(std::move(context_columns)), writer_(file, all_columns(context_columns_)) {}

void RecordWriter::add(const Record& record) {
  std::vector<std::string> fields{record.id,
                                  record.title,
                                  record.popularity ? to_text(*record.popularity) : "",
                                  record.posted_at ? to_text(*record.posted_at) : "",
                                  std::string(name_of(record.split)),
                                  record.video_path};
  for (const std::string& column : context_columns_) {
    const auto value = record.context.find(column);
    fields.push_back(value == record.context.end() ? "" : to_text(value->second));
  }
  writer_.add_row(fields);
}

}  // namespace mmra::bank
