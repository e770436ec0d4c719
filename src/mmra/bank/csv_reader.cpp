#include "mmra/bank/csv_reader.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "mmra/bank/input_file.h"
#include "mmra/core/error.h"

namespace mmra::bank {
namespace {

constexpr std::size_t kBufferBytes = std::size_t{1} << 16;
constexpr std::size_t kMarkBytes = 3;

// libcsv would trim spaces and tabs around fields; RFC 4180 says that they belong to them.
int never_space(unsigned char /*byte*/) { return 0; }

void on_field(void* bytes, std::size_t size, void* fields) {
  static_cast<std::vector<std::string>*>(fields)->emplace_back(static_cast<const char*>(bytes),
                                                               size);
}

void on_row(int /*terminator*/, void* /*fields*/) {}

}  // namespace

ByteSource descriptor_source(int descriptor, std::string name) {
  return [descriptor, name = std::move(name)](std::span<char> buffer) {
    for (;;) {
      const ssize_t count = ::read(descriptor, buffer.data(), buffer.size());
      if (count >= 0) return static_cast<std::size_t>(count);
      if (errno != EINTR) throw system_error("read", name, errno);
    }
  };
}

TextInput::TextInput(ByteSource source, std::string name)
    : source_(std::move(source)), name_(std::move(name)), buffer_(kBufferBytes) {}

void TextInput::refill() {
  if (begin_ == end_) begin_ = end_ = 0;
  end_ += source_(std::span(buffer_).subspan(end_));
}

void TextInput::drop_byte_order_mark() {
  started_ = true;
  std::size_t before = 0;
  do {
    before = end_;
    refill();
  } while (end_ < kMarkBytes && end_ != before);
  const std::string_view start(buffer_.data(), end_);
  if (start.substr(0, 2) == "\xFF\xFE" || start.substr(0, 2) == "\xFE\xFF") {
    throw Error(ErrorKind::kInvalidInput,
                name_ + ", line 1: the file is UTF-16, expected UTF-8; save it as UTF-8");
  }
  if (start.substr(0, kMarkBytes) == "\xEF\xBB\xBF") begin_ = kMarkBytes;
}

std::string_view TextInput::peek() {
  if (!started_) drop_byte_order_mark();
  if (begin_ == end_) refill();
  return {buffer_.data() + begin_, end_ - begin_};
}

std::string_view TextInput::peek_past_blanks() {
  std::string_view seen = peek();
  while (seen.find_first_not_of(" \t\r\n") == std::string_view::npos && end_ < buffer_.size()) {
    const std::size_t count = source_(std::span(buffer_).subspan(end_));
    if (count == 0) break;
    end_ += count;
    seen = {buffer_.data() + begin_, end_ - begin_};
  }
  return seen;
}

CsvReader::CsvReader(TextInput& input, char delimiter) : input_(input) {
  if (csv_init(&parser_, CSV_STRICT | CSV_STRICT_FINI) != 0) {
    throw Error(ErrorKind::kInternal, "cannot start the CSV parser");
  }
  csv_set_delim(&parser_, static_cast<unsigned char>(delimiter));
  csv_set_space_func(&parser_, never_space);
  csv_set_blk_size(&parser_, kBufferBytes);
}

CsvReader::~CsvReader() { csv_free(&parser_); }

void CsvReader::fail(const std::string& what) const {
  throw Error(ErrorKind::kInvalidInput, input_.name() + ", line " + std::to_string(line_) +
                                            ", column " + std::to_string(row_.fields.size() + 1) +
                                            ": " + what);
}

void CsvReader::feed(std::string_view piece) {
  if (after_carriage_return_ && piece.front() != '\n') ++line_;
  after_carriage_return_ = piece.back() == '\r';
  if (!in_row_) row_.line = field_line_ = line_;

  const std::size_t fields_before = row_.fields.size();
  const std::size_t parsed =
      csv_parse(&parser_, piece.data(), piece.size(), on_field, on_row, &row_.fields);
  if (parsed != piece.size()) {
    fail(csv_error(&parser_) == CSV_EPARSE
             ? "a quote inside a field; put the whole field in quotes and double those inside it"
             : std::string("cannot parse: ") + csv_strerror(csv_error(&parser_)));
  }
  // All fields that ended in this piece but the first also began in it.
  for (std::size_t i = fields_before; i < row_.fields.size(); ++i) {
    row_.field_lines.push_back(std::exchange(field_line_, line_));
  }
  if (parser_.entry_pos > kMaxFieldBytes) {
    line_ = field_line_;
    fail("a field of more than " + std::to_string(kMaxFieldBytes >> 20) +
         " MiB; is a quote left open?");
  }
  // libcsv ends a record at an unquoted line break and is then between records.
  const bool ends_line = piece.back() == '\n' || piece.back() == '\r';
  row_complete_ = parser_.pstate == 0 && !row_.fields.empty() && ends_line;
  in_row_ = parser_.pstate != 0;
  if (piece.back() == '\n') ++line_;
}

void CsvReader::finish() {
  at_end_ = true;
  const std::size_t fields_before = row_.fields.size();
  if (csv_fini(&parser_, on_field, on_row, &row_.fields) != 0) {
    line_ = field_line_;
    fail("a quote opens here and is never closed");
  }
  for (std::size_t i = fields_before; i < row_.fields.size(); ++i) {
    row_.field_lines.push_back(field_line_);
  }
  row_complete_ = !row_.fields.empty();
}

std::optional<CsvRow> CsvReader::take_row() {
  row_complete_ = false;
  return std::exchange(row_, CsvRow{});
}

std::optional<CsvRow> CsvReader::next() {
  while (!at_end_) {
    const std::string_view bytes = input_.peek();
    if (bytes.empty()) {
      finish();
    } else {
      const std::size_t line_end = bytes.find_first_of("\r\n");
      const std::size_t size = line_end == std::string_view::npos ? bytes.size() : line_end + 1;
      feed(bytes.substr(0, size));
      input_.consume(size);
    }
    if (row_complete_) return take_row();
  }
  return std::nullopt;
}

void read_csv(const std::filesystem::path& file, const std::function<void(const CsvRow&)>& visit) {
  const InputFile opened(file);
  TextInput input(opened.source(), file.string());
  CsvReader reader(input);
  while (const auto row = reader.next()) visit(*row);
}

}  // namespace mmra::bank
