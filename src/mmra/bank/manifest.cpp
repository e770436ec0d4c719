#include "mmra/bank/manifest.h"

#include <unordered_map>
#include <utility>

#include "mmra/bank/input_file.h"
#include "mmra/bank/manifest_rows.h"
#include "mmra/bank/manifest_values.h"
#include "mmra/bank/text_checks.h"
#include "mmra/core/error.h"
#include "mmra/core/fingerprint.h"

namespace mmra::bank {
namespace {

namespace fs = std::filesystem;
using Kind = RawValue::Kind;

/// Finds ids that were seen before by 128 bits of hash, which do not collide by accident.
class SeenIds {
 public:
  /// The line where `id` stood before; empty where it is new.
  std::optional<std::int64_t> insert(std::string_view id, std::int64_t line) {
    const Key key{seeded_hash(id, 1), seeded_hash(id, 2)};
    const auto [entry, is_new] = lines_.try_emplace(key, line);
    if (is_new) return std::nullopt;
    return entry->second;
  }

 private:
  using Key = std::pair<std::uint64_t, std::uint64_t>;
  struct Hash {
    std::size_t operator()(const Key& key) const noexcept { return key.first; }
  };
  std::unordered_map<Key, std::int64_t, Hash> lines_;
};

/// Turns raw rows into checked ones.
class RowChecker {
 public:
  RowChecker(std::string file, fs::path video_folder, bool needs_popularity, ContextTyper& typer)
      : file_(std::move(file)),
        video_folder_(std::move(video_folder)),
        needs_popularity_(needs_popularity),
        typer_(typer) {}

  ManifestRow check(const RawRow& raw) {
    ManifestRow row;
    row.line = raw.line;
    for (const RawValue& value : raw.values) set_value(value, row);
    check_whole_row(raw, row);
    return row;
  }

 private:
  void set_value(const RawValue& value, ManifestRow& row) {
    if (value.column == "id") {
      row.id = id_of(file_, value);
    } else if (value.column == "title") {
      row.title = string_of(value);
    } else if (value.column == "popularity") {
      row.has_popularity_column = true;
      row.popularity = popularity_of(file_, value);
    } else if (value.column == "posted_at") {
      row.posted_at = time_of(file_, value);
    } else if (value.column == "split") {
      row.split = split_of(value);
    } else if (value.column == "video") {
      row.video_path = video_of(value);
    } else {
      add_context(value, row.context);
    }
  }

  void check_whole_row(const RawRow& raw, const ManifestRow& row) {
    if (raw.find("id") == nullptr) fail_at_line(file_, raw.line, "the row has no id");
    if (needs_popularity_ && !row.has_popularity_column) {
      fail_at_line(file_, raw.line,
                   "the row has no key \"popularity\"; give it, or null where it is not known");
    }
    if (const auto before = seen_.insert(row.id, row.line)) {
      fail_at(file_, *raw.find("id"),
              "the id " + in_quotes(row.id) + " is given twice, in lines " +
                  std::to_string(*before) + " and " + std::to_string(row.line));
    }
  }

  std::string string_of(const RawValue& value) const {
    if (value.kind == Kind::kNumber || value.kind == Kind::kOther) {
      fail_at(file_, value, "expected a text, found " + value.text);
    }
    return value.text;
  }

  std::optional<Split> split_of(const RawValue& value) const {
    if (value.text.empty()) return std::nullopt;
    const auto split = value.kind == Kind::kNumber ? std::nullopt : parse_split(value.text);
    if (!split) {
      fail_at(file_, value,
              "expected train, valid or test, or nothing; found " + in_quotes(value.text));
    }
    return split;
  }

  std::string video_of(const RawValue& value) const {
    const std::string text = string_of(value);
    if (text.empty()) return {};
    return (video_folder_ / text).lexically_normal().string();
  }

  void add_context(const RawValue& value, Context& context) {
    if (value.text.empty()) return;
    const bool may_be_number = value.kind == Kind::kText || value.kind == Kind::kNumber;
    const auto number = may_be_number ? parse_number(value.text) : std::nullopt;
    const auto type = typer_.observe(value.column, number.has_value());
    if (!type) {
      fail_at(
          file_, value,
          std::string("expected a number, as ") +
              (typer_.is_known(value.column) ? "in the rest of the bank" : "in the rows before") +
              ", found " + in_quotes(value.text));
    }
    if (*type == ColumnType::kNumber) {
      context.emplace(value.column, *number);
    } else {
      context.emplace(value.column, value.text);
    }
  }

  std::string file_;
  fs::path video_folder_;
  bool needs_popularity_;
  ContextTyper& typer_;
  SeenIds seen_;
};

void read_rows(TextInput& input, const fs::path& video_folder, bool needs_popularity,
               ContextTyper& typer, const ManifestVisitor& visit) {
  std::vector<std::string> required{"id", "title"};
  if (needs_popularity) required.emplace_back("popularity");
  const auto rows = open_raw_rows(input, required);
  RowChecker checker(input.name(), video_folder, needs_popularity, typer);
  bool any = false;
  while (const auto raw = rows->next()) {
    any = true;
    if (!visit(checker.check(*raw))) return;
  }
  if (!any) {
    fail_at_line(input.name(), 1, "the manifest has no rows; expected one for each video");
  }
}

/// Where relative video paths begin: the manifest's folder.
fs::path folder_of(const fs::path& file) {
  if (file == "-") return fs::current_path();
  return fs::absolute(file).parent_path();
}

ManifestSummary scan_rows(const fs::path& file, ContextTyper& typer, bool needs_popularity) {
  const InputFile opened(file);
  if (!opened.can_be_read_again()) {
    throw Error(ErrorKind::kInvalidInput, opened.name() +
                                              " can be read only once, the manifest is read twice; "
                                              "save it as a file");
  }
  TextInput input(opened.source(), opened.name());
  ManifestSummary summary;
  read_rows(input, folder_of(file), needs_popularity, typer, [&](const ManifestRow& row) {
    ++summary.num_rows;
    summary.num_labelled += row.popularity ? 1 : 0;
    summary.num_with_video += row.video_path.empty() ? 0 : 1;
    summary.num_with_time += row.posted_at ? 1 : 0;
    summary.num_with_split += row.split ? 1 : 0;
    for (const auto& value : row.context) summary.context_columns.insert({value.first, {}});
    return true;
  });
  for (auto& [column, type] : summary.context_columns) type = typer.types().at(column);
  return summary;
}

}  // namespace

void read_manifest(ByteSource source, const std::string& name, const fs::path& video_folder,
                   const ManifestVisitor& visit, const ManifestOptions& options) {
  TextInput input(std::move(source), name);
  ContextTyper typer(options.columns, ContextTyper::Mode::kFirstValue);
  read_rows(input, video_folder, options.needs_popularity, typer, visit);
}

void read_manifest(const fs::path& file, const ManifestVisitor& visit,
                   const ManifestOptions& options) {
  const InputFile opened(file);
  read_manifest(opened.source(), opened.name(), folder_of(file), visit, options);
}

ManifestRow read_manifest_line(std::string_view text, std::int64_t line, const std::string& name,
                               const fs::path& video_folder, const ManifestOptions& options) {
  ContextTyper typer(options.columns, ContextTyper::Mode::kFirstValue);
  return RowChecker(name, video_folder, options.needs_popularity, typer)
      .check(read_json_line(text, line, name));
}

ManifestSummary scan_manifest(const fs::path& file, const ColumnTypes& known,
                              bool needs_popularity) {
  ContextTyper typer(known, ContextTyper::Mode::kWholeColumn);
  return scan_rows(file, typer, needs_popularity);
}

std::vector<ManifestRow> load_manifest(const fs::path& file, const ColumnTypes& known,
                                       bool needs_popularity) {
  ManifestOptions options{scan_manifest(file, known, needs_popularity).context_columns,
                          needs_popularity};
  options.columns.insert(known.begin(), known.end());
  std::vector<ManifestRow> rows;
  const auto keep = [&](const ManifestRow& row) {
    rows.push_back(row);
    return true;
  };
  read_manifest(file, keep, options);
  return rows;
}

}  // namespace mmra::bank
