#include "mmra/pipeline/import_csv.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <set>
#include <span>
#include <unordered_map>
#include <utility>

#include "mmra/bank/csv_reader.h"
#include "mmra/bank/manifest_writer.h"
#include "mmra/bank/record.h"
#include "mmra/bank/text_checks.h"
#include "mmra/core/error.h"
#include "mmra/core/fingerprint.h"
#include "mmra/pipeline/export/clip_files.h"
#include "mmra/pipeline/export/count.h"
#include "mmra/pipeline/export/text_file.h"
#include "mmra/text/utf8.h"

namespace mmra::pipeline {
namespace {

namespace fs = std::filesystem;
using bank::in_quotes;

constexpr std::array<std::string_view, 6> kFields = {"id",        "title", "popularity",
                                                     "posted_at", "split", "video"};
// Some exports begin with a title or a period before the header.
constexpr std::size_t kMaxLinesBeforeHeader = 20;
constexpr std::size_t kMaxListedColumns = 60;

bool is_field(std::string_view name) {
  return std::find(kFields.begin(), kFields.end(), name) != kFields.end();
}

std::string trimmed(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\r\n";
  const std::size_t begin = text.find_first_not_of(kBlanks);
  if (begin == std::string_view::npos) return {};
  return std::string(text.substr(begin, text.find_last_not_of(kBlanks) - begin + 1));
}

/// What names are compared by: without case, width, and blanks around.
std::u32string folded(std::string_view text) {
  std::u32string name = text::normalize(trimmed(text));
  return name;
}

/// Cut, and in one line.
/// Names of columns, in one line.
std::string list_of(const std::vector<std::string>& names) {
  std::string text;
  for (std::size_t i = 0; i < std::min(names.size(), kMaxListedColumns); ++i) {
    text += (i > 0 ? ", " : "") + in_quotes(trimmed(names[i]));
  }
  if (names.size() > kMaxListedColumns) text += ", …";
  return text;
}

/// The rows of an export with its header found.
struct Table {
  std::string name;
  std::vector<std::string> header;
  std::vector<bank::CsvRow> rows;
  std::map<std::string, std::size_t> fields;   ///< of the manifest → column
  std::map<std::string, std::size_t> context;  ///< the same
};

[[noreturn]] void refuse(const Table& table, const bank::CsvRow& row, std::size_t column,
                         const std::string& problem) {
  throw Error(ErrorKind::kInvalidInput, table.name + ", line " + std::to_string(row.line) +
                                            ", column " + std::to_string(column + 1) + " (" +
                                            in_quotes(table.header[column]) +
                                            "): " + in_quotes(row.fields[column]) + " " + problem);
}

std::vector<bank::CsvRow> read_rows(const std::string& text, const std::string& name,
                                    char delimiter) {
  std::size_t at = 0;
  bank::TextInput input(
      [&](std::span<char> buffer) {
        const std::size_t size = std::min(buffer.size(), text.size() - at);
        std::memcpy(buffer.data(), text.data() + at, size);
        at += size;
        return size;
      },
      name);
  bank::CsvReader reader(input, delimiter);
  std::vector<bank::CsvRow> rows;
  while (auto row = reader.next()) {
    const bool blank = std::all_of(row->fields.begin(), row->fields.end(),
                                   [](const std::string& cell) { return trimmed(cell).empty(); });
    if (!blank) rows.push_back(std::move(*row));
  }
  return rows;
}

std::optional<std::size_t> column_named(const bank::CsvRow& header, const std::string& name) {
  const std::u32string wanted = folded(name);
  for (std::size_t i = 0; i < header.fields.size(); ++i) {
    if (folded(header.fields[i]) == wanted) return i;
  }
  return std::nullopt;
}

std::optional<std::size_t> find_column(const bank::CsvRow& header, const ExportColumn& column) {
  for (const std::string& name : column.names) {
    if (const auto found = column_named(header, name)) return found;
  }
  return std::nullopt;
}

/// What a header lacks, by name; empty: nothing.
std::vector<std::string> missing_names(const bank::CsvRow& header,
                                       const CsvImportRequest& request) {
  std::vector<std::string> missing;
  for (const auto& [field, column] : request.columns) {
    if (!column.required || find_column(header, column)) continue;
    std::string names;
    for (const std::string& name : column.names)
      names += (names.empty() ? "" : " or ") + in_quotes(name);
    names.append(" (").append(field).append(")");
    missing.push_back(std::move(names));
  }
  for (const auto& [name, column] : request.context) {
    if (!column_named(header, column))
      missing.push_back(in_quotes(column) + " (context " + name + ")");
  }
  return missing;
}

std::string joined(const std::vector<std::string>& parts, const std::string& between) {
  std::string text;
  for (const std::string& part : parts) text += (text.empty() ? "" : between) + part;
  return text;
}

/// The row that has all columns that are needed; throws with what the likeliest one lacks.
std::size_t find_header(const std::vector<bank::CsvRow>& rows, const CsvImportRequest& request,
                        const std::string& name) {
  if (rows.empty()) throw Error(ErrorKind::kInvalidInput, name + " has no rows");
  std::size_t best = 0;
  std::vector<std::string> best_missing = missing_names(rows[0], request);
  for (std::size_t i = 0; i < std::min(rows.size(), kMaxLinesBeforeHeader); ++i) {
    std::vector<std::string> missing = missing_names(rows[i], request);
    if (missing.size() < best_missing.size()) {
      best = i;
      best_missing = std::move(missing);
    }
  }
  if (best_missing.empty()) return best;
  throw Error(ErrorKind::kInvalidInput, name + ", line " + std::to_string(rows[best].line) +
                                            ": there is no column " +
                                            joined(best_missing, ", nor ") + "; the columns are " +
                                            list_of(rows[best].fields));
}

Table read_table(const CsvImportRequest& request, CsvImport& report) {
  TextFile file = read_text_file(request.file, request.encoding);
  report.encoding = file.encoding;
  report.delimiter = request.delimiter.value_or(find_delimiter(file.text));
  const bool has_separator_line = file.text.rfind("sep=", 0) == 0;
  if (has_separator_line)
    std::fill_n(file.text.begin(), std::min(file.text.find('\n'), file.text.size()), ' ');
  Table table;
  table.name = request.file.string();
  table.rows = read_rows(file.text, table.name, report.delimiter);
  const std::size_t header = find_header(table.rows, request, table.name);
  for (const auto& [field, column] : request.columns) {
    if (const auto found = find_column(table.rows[header], column)) table.fields[field] = *found;
  }
  for (const auto& [name, column] : request.context) {
    table.context[name] = column_named(table.rows[header], column).value_or(0);
  }
  table.header = table.rows[header].fields;
  for (std::string& cell : table.header) cell = trimmed(cell);
  table.rows.erase(table.rows.begin(),
                   table.rows.begin() + static_cast<std::ptrdiff_t>(header) + 1);
  // Spreadsheets leave out empty cells at the end.
  for (bank::CsvRow& row : table.rows) {
    if (row.fields.size() > table.header.size()) {
      throw Error(ErrorKind::kInvalidInput,
                  table.name + ", line " + std::to_string(row.line) + ": found " +
                      std::to_string(row.fields.size()) + " cells, expected " +
                      std::to_string(table.header.size()) + " as in the header; is a \"" +
                      report.delimiter + "\" in a cell that is not in quotes?");
    }
    row.fields.resize(table.header.size());
  }
  return table;
}

std::string cell_of(const Table& table, const bank::CsvRow& row, const std::string& field) {
  const auto column = table.fields.find(field);
  return column == table.fields.end() ? std::string() : trimmed(row.fields[column->second]);
}

bool is_total_word(std::string_view cell) {
  static const std::set<std::u32string> kWords = {
      U"total",  U"totals", U"grand total", U"gesamt", U"gesamtsumme", U"summe",
      U"totale", U"totaal", U"итого",       U"合计",   U"總計",        U"总计",
      U"合計",   U"汇总",   U"總和",        U"합계",   U"sum"};
  return kWords.count(folded(cell)) > 0;
}

/// A row that adds up the others: it says so where a video has its id or title, or in the first
/// column, and it has no time.
bool is_total(const Table& table, const bank::CsvRow& row) {
  if (!cell_of(table, row, "posted_at").empty()) return false;
  return is_total_word(row.fields.front()) || is_total_word(cell_of(table, row, "id")) ||
         (is_total_word(cell_of(table, row, "title")) && cell_of(table, row, "id").empty());
}

/// The one decimal mark that a column's cells tell of. Throws where two of them contradict.
std::optional<char> decimal_of_column(const Table& table, std::size_t column) {
  std::optional<char> found;
  const bank::CsvRow* first = nullptr;
  for (const bank::CsvRow& row : table.rows) {
    const auto evidence = decimal_evidence(row.fields[column]);
    if (!evidence || evidence == found) continue;
    if (found) {
      refuse(table, row, column,
             std::string("has another decimal mark than ") + in_quotes(first->fields[column]) +
                 " in line " + std::to_string(first->line) + "; say which with --decimal");
    }
    found = evidence;
    first = &row;
  }
  return found;
}

std::optional<DateOrder> order_of_column(const Table& table, std::size_t column) {
  std::optional<DateOrder> found;
  const bank::CsvRow* first = nullptr;
  for (const bank::CsvRow& row : table.rows) {
    const auto evidence = order_evidence(row.fields[column]);
    if (!evidence || evidence == found) continue;
    if (found) {
      refuse(table, row, column,
             "has day and month in another order than " + in_quotes(first->fields[column]) +
                 " in line " + std::to_string(first->line) + "; say which with --date-order");
    }
    found = evidence;
    first = &row;
  }
  return found;
}

/// "1:05", "0:01:05" → seconds.
std::optional<double> parse_duration(std::string_view cell) {
  double seconds = 0.0;
  int parts = 0;
  for (std::size_t at = 0; at <= cell.size(); ++parts) {
    const std::size_t end = std::min(cell.find(':', at), cell.size());
    const std::string_view part = cell.substr(at, end - at);
    const bool digits = !part.empty() && part.size() <= 4 &&
                        part.find_first_not_of("0123456789") == std::string_view::npos;
    if (!digits || (parts > 0 && part.size() != 2)) return std::nullopt;
    seconds = seconds * 60.0 + std::stod(std::string(part));
    at = end + 1;
  }
  return parts == 2 || parts == 3 ? std::optional(seconds) : std::nullopt;
}

/// How one context column is written into the manifest: as numbers where all its cells are numbers
/// (or durations), else as they are.
class ContextColumn {
 public:
  ContextColumn(const Table& table, std::size_t column, std::optional<char> decimal)
      : column_(column) {
    for (const bank::CsvRow& row : table.rows) {
      const std::string cell = trimmed(row.fields[column]);
      if (is_unknown(cell)) continue;
      const auto evidence = decimal_evidence(cell);
      contradicts_ = contradicts_ || (decimal_ && evidence && *evidence != *decimal_);
      if (evidence) decimal_ = evidence;
    }
    if (decimal) decimal_ = decimal;
    if (!decimal_) decimal_ = '.';
    for (const bank::CsvRow& row : table.rows) {
      const std::string cell = trimmed(row.fields[column]);
      if (is_unknown(cell)) continue;
      all_numbers_ = all_numbers_ && !contradicts_ && parse_count(cell, decimal_).value.has_value();
      all_durations_ = all_durations_ && parse_duration(cell).has_value();
    }
  }

  [[nodiscard]] std::string text(const bank::CsvRow& row) const {
    std::string cell = trimmed(row.fields[column_]);
    if (is_unknown(cell)) return {};
    if (all_durations_) return bank::to_text(*parse_duration(cell));
    if (all_numbers_) return bank::to_text(*parse_count(cell, decimal_).value);
    return cell;
  }

 private:
  std::size_t column_;
  std::optional<char> decimal_;
  bool contradicts_ = false;
  bool all_numbers_ = true;
  bool all_durations_ = true;
};

/// The folder that was named and what is below it, or what lies right beside the file.
ClipFiles clips_of(const CsvImportRequest& request) {
  if (request.clips) return ClipFiles(*request.clips, ClipFiles::kDeep);
  const fs::path folder = request.file.parent_path();
  return ClipFiles(folder.empty() ? fs::path(".") : folder, ClipFiles::kFlat);
}

/// Turns the rows of an export into those of a manifest.
class Importer {
 public:
  Importer(const CsvImportRequest& request, const Table& table, CsvImport& report)
      : table_(table),
        report_(report),
        dates_(request.dates),
        decimal_(request.decimal),
        clips_(clips_of(request)),
        warn_of_clips_(request.clips.has_value()),
        no_test_(request.no_test) {
    if (const auto column = table.fields.find("popularity"); column != table.fields.end()) {
      if (!decimal_) decimal_ = decimal_of_column(table, column->second);
      // Where a comma is the decimal mark, spreadsheets put semicolons between cells.
      if (!decimal_ && report.delimiter == ';') decimal_ = ',';
    }
    if (const auto column = table.fields.find("posted_at"); column != table.fields.end()) {
      if (!dates_.order) dates_.order = order_of_column(table, column->second);
    }
    for (const auto& [name, column] : table.context) {
      context_.emplace_back(name, ContextColumn(table, column, request.decimal));
    }
    collect_ids();
  }

  void write(const fs::path& out) {
    std::vector<std::string> columns(kFields.begin(), kFields.end());
    for (const auto& [name, column] : context_) columns.push_back(name);
    bank::ManifestWriter writer(out, columns);
    for (std::size_t i = 0; i < table_.rows.size(); ++i) {
      if (auto fields = fields_of(i)) writer.add_row(*fields);
    }
    // Beside the file there may be clips that have nothing to do with it.
    if (warn_of_clips_ || report_.num_with_video > 0) report_.unmatched_clips = clips_.unmatched();
    if (report_.num_rows == 0) {
      throw Error(ErrorKind::kInvalidInput, table_.name + " has no row with a title or a clip");
    }
    writer.commit();
  }

 private:
  /// Ids first, since an id that was made must not be one that another row has.
  void collect_ids() {
    std::unordered_map<std::string, std::int64_t> lines;
    ids_.resize(table_.rows.size());
    for (std::size_t i = 0; i < table_.rows.size(); ++i) {
      const bank::CsvRow& row = table_.rows[i];
      const std::string cell = cell_of(table_, row, "id");
      if (cell.empty() || is_total(table_, row)) continue;
      const std::string address = id_of_address(cell);
      ids_[i] = address.empty() ? cell : address;
      check_id(row, ids_[i]);
      const auto [place, is_new] = lines.emplace(ids_[i], row.line);
      if (!is_new) {
        refuse(table_, row, table_.fields.at("id"),
               "is also in line " + std::to_string(place->second) + "; ids must differ");
      }
    }
    std::set<std::string> taken;
    for (const auto& [id, line] : lines) taken.insert(id);
    for (std::size_t i = 0; i < table_.rows.size(); ++i) {
      if (ids_[i].empty()) ids_[i] = made_id(table_.rows[i], taken);
    }
  }

  void check_id(const bank::CsvRow& row, const std::string& id) const {
    if (const auto fault = bank::fault_of_id(id)) {
      refuse(table_, row, table_.fields.at("id"), *fault);
    }
  }

  /// The same title posted at the same time has the same id in every export.
  std::string made_id(const bank::CsvRow& row, std::set<std::string>& taken) const {
    const std::string source = cell_of(table_, row, "title") + "\n" +
                               cell_of(table_, row, "posted_at") + "\n" +
                               cell_of(table_, row, "video");
    const std::string base = "t-" + fingerprint(source).substr(0, 16);
    std::string id = base;
    for (int again = 2; !taken.insert(id).second; ++again) id = base + "-" + std::to_string(again);
    return id;
  }

  std::optional<std::vector<std::string>> fields_of(std::size_t i) {
    const bank::CsvRow& row = table_.rows[i];
    if (is_total(table_, row)) {
      ++report_.num_totals;
      return std::nullopt;
    }
    const std::string title = cell_of(table_, row, "title");
    const std::string video = clip_of(row, ids_[i], title);
    if (title.empty() && video.empty()) {
      ++report_.num_nameless;
      return std::nullopt;
    }
    std::vector<std::string> fields{
        ids_[i], title, popularity_of(row), time_of(row), split_of(row, ids_[i]), video};
    for (const auto& [name, column] : context_) fields.push_back(column.text(row));
    ++report_.num_rows;
    if (cell_of(table_, row, "id").empty()) ++report_.num_made_ids;
    if (!video.empty()) ++report_.num_with_video;
    return fields;
  }

  std::string popularity_of(const bank::CsvRow& row) {
    const std::string cell = cell_of(table_, row, "popularity");
    if (is_unknown(cell)) return {};
    const CountCell count = parse_count(cell, decimal_);
    if (!count.value) refuse(table_, row, table_.fields.at("popularity"), count.problem);
    ++report_.num_labelled;
    return bank::to_text(*count.value);
  }

  std::string time_of(const bank::CsvRow& row) {
    const std::string cell = cell_of(table_, row, "posted_at");
    if (is_unknown(cell)) return {};
    const DateCell date = parse_date(cell, dates_);
    if (!date.time) refuse(table_, row, table_.fields.at("posted_at"), date.problem);
    ++report_.num_with_time;
    if (!date.has_zone) ++report_.num_without_zone;
    return bank::to_text(*date.time);
  }

  [[nodiscard]] std::string split_of(const bank::CsvRow& row, const std::string& id) const {
    std::string cell = cell_of(table_, row, "split");
    if (cell.empty() && no_test_) {
      return bank::split_of_id(id) == bank::Split::kTrain ? "train" : "valid";
    }
    if (cell.empty() || cell == "train" || cell == "valid" || cell == "test") return cell;
    refuse(table_, row, table_.fields.at("split"), "is none of train, valid, test");
  }

  std::string clip_of(const bank::CsvRow& row, const std::string& id, const std::string& title) {
    const std::string named = cell_of(table_, row, "video");
    if (named.empty()) return clips_.of_video(id, title);
    std::string found = clips_.named(named);
    if (found.empty()) report_.missing_clips.push_back(named);
    return found;
  }

  const Table& table_;
  CsvImport& report_;
  DateOptions dates_;
  std::optional<char> decimal_;
  ClipFiles clips_;
  bool warn_of_clips_;
  bool no_test_;
  std::vector<std::pair<std::string, ContextColumn>> context_;
  std::vector<std::string> ids_;  ///< [rows]
};

void check_request(const CsvImportRequest& request) {
  const auto has = [&](const char* field) { return request.columns.count(field) > 0; };
  if (!has("title") && !has("video")) {
    throw Error(ErrorKind::kInvalidInput,
                "the map names neither title nor video; say which column has them: --map "
                "\"title=Video title,popularity=Views\"");
  }
  for (const auto& [name, column] : request.context) {
    if (is_field(name)) {
      throw Error(ErrorKind::kInvalidInput, "the context " + name +
                                                " has the name of a field of "
                                                "its own; use --map for it, or another name");
    }
  }
}

const std::map<std::string, ExportColumns>& presets() {
  // Names as the studios write them in English; where they changed them, both.
  static const std::map<std::string, ExportColumns> kPresets = {
      {"youtube-studio",
       {{"id", {{"Content", "Video"}, true}},
        {"title", {{"Video title"}, true}},
        {"popularity", {{"Views"}, true}},
        {"posted_at", {{"Video publish time"}, false}}}},
      {"tiktok-studio",
       {{"id", {{"Video link"}, false}},
        {"title", {{"Video title"}, true}},
        {"popularity", {{"Total views", "Video views"}, true}},
        {"posted_at", {{"Post time", "Video publish time"}, false}}}}};
  return kPresets;
}

}  // namespace

std::optional<ExportColumns> export_preset(std::string_view name) {
  const auto found = presets().find(std::string(name));
  if (found == presets().end()) return std::nullopt;
  return found->second;
}

std::string names_of_export_presets() {
  std::string names;
  for (const auto& [name, columns] : presets()) names += (names.empty() ? "" : ", ") + name;
  return names;
}

ExportColumns parse_column_map(std::string_view text) {
  std::vector<std::pair<std::string, std::string>> parts;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t end = std::min(text.find(',', at), text.size());
    const std::string_view part = text.substr(at, end - at);
    const std::size_t equals = part.find('=');
    const std::string name = trimmed(part.substr(0, std::min(equals, part.size())));
    if (equals != std::string_view::npos && (is_field(name) || parts.empty())) {
      parts.emplace_back(name, std::string(part.substr(equals + 1)));
    } else if (!parts.empty()) {
      parts.back().second += "," + std::string(part);
    } else {
      throw Error(
          ErrorKind::kInvalidInput,
          "the map " + in_quotes(part) + " is not of the form title=COLUMN,popularity=COLUMN");
    }
    at = end + 1;
  }
  ExportColumns columns;
  for (const auto& [name, column] : parts) {
    if (!is_field(name)) {
      throw Error(ErrorKind::kInvalidInput, "the map names " + in_quotes(name) +
                                                ", it may name id, title, popularity, posted_at, "
                                                "split and video; --context takes further columns");
    }
    if (trimmed(column).empty()) {
      throw Error(ErrorKind::kInvalidInput, "the map names no column for " + name);
    }
    if (!columns.emplace(name, ExportColumn{{trimmed(column)}, true}).second) {
      throw Error(ErrorKind::kInvalidInput, "the map gives " + name + " twice");
    }
  }
  return columns;
}

std::string id_of_address(std::string_view text) {
  const std::size_t scheme = text.find("://");
  if (scheme == std::string_view::npos || text.substr(0, 4) != "http") return {};
  std::string_view rest = text.substr(scheme + 3);
  rest = rest.substr(0, rest.find('#'));
  const std::size_t question = rest.find('?');
  if (question != std::string_view::npos) {
    // ".../watch?v=ID&t=5"
    for (std::size_t at = question; at != std::string_view::npos; at = rest.find('&', at + 1)) {
      if (rest.substr(at + 1, 2) == "v=") {
        return std::string(rest.substr(at + 3, rest.find('&', at + 1) - at - 3));
      }
    }
    rest = rest.substr(0, question);
  }
  while (!rest.empty() && rest.back() == '/') rest.remove_suffix(1);
  const std::size_t slash = rest.rfind('/');
  return slash == std::string_view::npos ? std::string() : std::string(rest.substr(slash + 1));
}

CsvImport import_csv(const CsvImportRequest& request) {
  check_request(request);
  CsvImport report;
  const Table table = read_table(request, report);
  Importer(request, table, report).write(request.out);
  return report;
}

}  // namespace mmra::pipeline
