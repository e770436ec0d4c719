#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <set>

#include "command.h"
#include "console.h"
#include "mmra/core/error.h"
#include "mmra/pipeline/import_csv.h"
#include "mmra/pipeline/import_microlens.h"

namespace mmra::app {
namespace {

struct ImportFlags {
  std::string directory;
  std::string titles;
  std::string out;
};

int run_microlens(const ImportFlags& flags, const CommonOptions& common) {
  const pipeline::MicrolensImport report =
      pipeline::import_microlens(flags.directory, flags.titles, flags.out);
  if (report.titles_are_cut && report.num_replaced_titles == 0) {
    std::fprintf(
        stderr,
        "warning: none of the release's titles has a comma: they were cut at the first one, as the "
        "title file in circulation is, and much of what they said is gone; --titles FILE "
        "(id,title) "
        "puts full titles in their place, for the ids that it has\n");
  }
  if (common.json) {
    print_json({{"rows", report.num_rows},
                {"without_title", report.num_without_title},
                {"with_video", report.num_with_video},
                {"with_time", report.num_with_time},
                {"titles_cut", report.titles_are_cut},
                {"titles_replaced", report.num_replaced_titles},
                {"out", flags.out}});
  } else {
    std::printf(
        "%lld rows (%lld with a video, %lld with a time) written to %s; %lld have neither title "
        "nor "
        "video\nand were left out.\n",
        static_cast<long long>(report.num_rows), static_cast<long long>(report.num_with_video),
        static_cast<long long>(report.num_with_time), flags.out.c_str(),
        static_cast<long long>(report.num_without_title));
    if (report.num_replaced_titles > 0) {
      std::printf("Titles taken from %s: %lld.\n", flags.titles.c_str(),
                  static_cast<long long>(report.num_replaced_titles));
    }
    if (report.num_with_time > 0) {
      std::printf(
          "posted_at is the time of a clip's first comment. Clips with a time retrieve only what "
          "was "
          "posted before.\n");
    }
    std::printf("Next: mmra ingest %s --bank microlens.bank --unit comments\n", flags.out.c_str());
  }
  return 0;
}

struct CsvFlags {
  std::string file;
  std::string from;
  std::vector<std::string> maps;
  std::vector<std::string> context;
  std::string clips;
  std::string out;
  std::string delimiter;
  std::string encoding;
  std::string decimal;
  std::string date_order;
  std::string timezone;
  int year = 0;
  bool no_test = false;
};

[[noreturn]] void refuse(const std::string& what) { throw Error(ErrorKind::kInvalidInput, what); }

/// A preset's columns, and what --map says instead.
pipeline::ExportColumns columns_of(const CsvFlags& flags) {
  pipeline::ExportColumns columns;
  if (!flags.from.empty()) {
    const auto preset = pipeline::export_preset(flags.from);
    if (!preset) {
      refuse("there is no preset \"" + flags.from + "\"; there are " +
             pipeline::names_of_export_presets() + "; others are read with --map");
    }
    columns = *preset;
  }
  std::set<std::string> mapped;
  for (const std::string& map : flags.maps) {
    for (auto& [field, column] : pipeline::parse_column_map(map)) {
      if (!mapped.insert(field).second) refuse("--map gives " + field + " twice");
      columns[field] = column;
    }
  }
  return columns;
}

/// "name=COLUMN", or "COLUMN" under its own name.
std::map<std::string, std::string> context_of(const CsvFlags& flags) {
  std::map<std::string, std::string> context;
  for (const std::string& item : flags.context) {
    const std::size_t equals = item.find('=');
    const std::string name = item.substr(0, equals);
    const std::string column = equals == std::string::npos ? item : item.substr(equals + 1);
    if (name.empty() || column.empty()) {
      refuse("--context " + item + " is not of the form name=COLUMN");
    }
    if (!context.emplace(name, column).second) refuse("--context gives " + name + " twice");
  }
  return context;
}

void set_time_zone(const std::string& zone, pipeline::DateOptions& dates) {
  if (zone.empty()) return;
  if (const auto offset = pipeline::parse_offset(zone)) {
    dates.offset_minutes = *offset;
    return;
  }
  dates.process_time_zone = true;
  if (zone == "local") return;
  // libc takes an unknown name for UTC in silence.
  const bool plain = zone.find("..") == std::string::npos && zone.front() != '/';
  if (!plain || !std::filesystem::is_regular_file("/usr/share/zoneinfo/" + zone)) {
    refuse("--timezone " + zone +
           " is not known; write it like +08:00, UTC, local or Europe/Berlin (names need the "
           "system's time zone files, package tzdata)");
  }
  ::setenv("TZ", zone.c_str(), 1);
  ::tzset();
}

pipeline::CsvImportRequest to_request(const CsvFlags& flags) {
  pipeline::CsvImportRequest request;
  request.file = flags.file;
  request.out = flags.out;
  request.columns = columns_of(flags);
  request.context = context_of(flags);
  if (!flags.clips.empty()) {
    if (!std::filesystem::is_directory(flags.clips))
      refuse("--clips " + flags.clips + " is no folder");
    request.clips = flags.clips;
  }
  if (!flags.delimiter.empty()) {
    request.delimiter =
        flags.delimiter == "tab" || flags.delimiter == "\\t" ? '\t' : flags.delimiter[0];
  }
  request.encoding = flags.encoding;
  if (!flags.decimal.empty()) request.decimal = flags.decimal[0];
  if (!flags.date_order.empty()) {
    request.dates.order = flags.date_order == "dmy" ? pipeline::DateOrder::kDayFirst
                                                    : pipeline::DateOrder::kMonthFirst;
  }
  request.no_test = flags.no_test;
  if (flags.year > 0) request.dates.year = flags.year;
  set_time_zone(flags.timezone, request.dates);
  return request;
}

/// "a, b, c and 4 more"
std::string some_of(const std::vector<std::string>& names) {
  constexpr std::size_t kShown = 3;
  std::string text;
  for (std::size_t i = 0; i < std::min(names.size(), kShown); ++i) {
    text += (i > 0 ? ", " : "") + one_line(names[i], 60);
  }
  if (names.size() > kShown) text += " and " + std::to_string(names.size() - kShown) + " more";
  return text;
}

std::string count_of(std::int64_t count, const std::string& one, const std::string& many) {
  return std::to_string(count) + " " + (count == 1 ? one : many);
}

void warn_about(const pipeline::CsvImport& report, const CsvFlags& flags) {
  if (!report.missing_clips.empty()) {
    std::fprintf(stderr, "warning: clips that are named but not there, left out: %s\n",
                 some_of(report.missing_clips).c_str());
  }
  if (!report.unmatched_clips.empty()) {
    std::fprintf(
        stderr,
        "warning: clips that no row is called like: %s; name them by id or title, or map a "
        "column to video\n",
        some_of(report.unmatched_clips).c_str());
  }
  if (report.num_without_zone > 0 && flags.timezone.empty()) {
    std::fprintf(stderr,
                 "note: times without a time zone were read as UTC; --timezone says otherwise\n");
  }
}

int run_csv(const CsvFlags& flags, const CommonOptions& common) {
  if (flags.from.empty() && flags.maps.empty()) {
    refuse("say where the fields are: --from " + pipeline::names_of_export_presets() +
           ", or --map \"title=Video title,popularity=Views\"");
  }
  const pipeline::CsvImport report = pipeline::import_csv(to_request(flags));
  warn_about(report, flags);
  if (common.json) {
    print_json({{"rows", report.num_rows},
                {"labelled", report.num_labelled},
                {"with_video", report.num_with_video},
                {"with_time", report.num_with_time},
                {"totals_left_out", report.num_totals},
                {"nameless_left_out", report.num_nameless},
                {"ids_made", report.num_made_ids},
                {"times_without_zone", report.num_without_zone},
                {"missing_clips", report.missing_clips},
                {"unmatched_clips", report.unmatched_clips},
                {"encoding", report.encoding},
                {"delimiter", std::string(1, report.delimiter)},
                {"out", flags.out}});
    return 0;
  }
  std::printf("%s (%lld with a number, %lld with a clip, %lld with a time) written to %s.\n",
              count_of(report.num_rows, "row", "rows").c_str(),
              static_cast<long long>(report.num_labelled),
              static_cast<long long>(report.num_with_video),
              static_cast<long long>(report.num_with_time), flags.out.c_str());
  if (report.num_totals > 0) {
    std::printf("Left out: %s of totals.\n", count_of(report.num_totals, "row", "rows").c_str());
  }
  if (report.num_nameless > 0) {
    std::printf("Left out: %s with neither a title nor a clip.\n",
                count_of(report.num_nameless, "row", "rows").c_str());
  }
  if (report.num_made_ids > 0) {
    std::printf("Ids made from titles: %lld.\n", static_cast<long long>(report.num_made_ids));
  }
  std::printf("Next: mmra ingest %s --bank my.bank --unit views\n", flags.out.c_str());
  return 0;
}

void add_csv_command(CLI::App& import, CommonOptions& common) {
  auto flags = std::make_shared<CsvFlags>();
  CLI::App* csv = import.add_subcommand(
      "csv", "From a table that a studio or a spreadsheet exported (CSV, TSV)");
  csv->add_option("file", flags->file, "The export")->required();
  csv->add_option("--from", flags->from,
                  "Columns as a studio names them: " + pipeline::names_of_export_presets());
  csv->add_option("--map", flags->maps,
                  "Which column is what: id=…,title=…,popularity=…,posted_at=…,split=…,video=…; a "
                  "column of addresses may be the id")
      ->allow_extra_args(false);
  csv->add_option("--context", flags->context, "A further column to keep, name=COLUMN (repeatable)")
      ->allow_extra_args(false);
  csv->add_option("--clips", flags->clips,
                  "Folder of the clips, found by id, title or the mapped column [beside FILE]");
  csv->add_option("--out", flags->out, "The manifest to write")->required();
  csv->add_option("--decimal", flags->decimal, "The decimal mark: \".\" or \",\" [found]")
      ->check(CLI::IsMember({".", ","}));
  csv->add_option("--date-order", flags->date_order,
                  "Of dates like 05/01/2024: dmy or mdy [found, where a date says it]")
      ->check(CLI::IsMember({"dmy", "mdy"}));
  csv->add_option("--timezone", flags->timezone,
                  "Of times without one: +08:00, Europe/Berlin, local [UTC]");
  csv->add_option("--year", flags->year, "Of dates without one")->check(CLI::Range(1970, 2200));
  csv->add_flag("--no-test", flags->no_test,
                "Split 80/20 into train and valid, for tables of a few hundred rows [80/10/10 by "
                "ingest, a tenth to test by]");
  csv->add_option("--delimiter", flags->delimiter,
                  "Between cells: \",\", \";\", \"|\", tab [found]")
      ->check(CLI::IsMember({",", ";", "|", "tab", "\\t"}));
  csv->add_option("--encoding", flags->encoding,
                  "gb18030, shift_jis, windows-1252, … [found: UTF-8, UTF-16]");
  add_common_flags(*csv, common);
  csv->footer(
      "\nExample: mmra import csv \"Table data.csv\" --from youtube-studio --timezone "
      "Europe/Berlin "
      "--out videos.csv\n         mmra import csv export.csv --map \"id=Link,title=Caption,"
      "popularity=Plays,posted_at=Date\" --out videos.csv");
  csv->callback(
      [flags, &common] { common.run = [flags, &common] { return run_csv(*flags, common); }; });
}

}  // namespace

void add_import_command(CLI::App& app, CommonOptions& common) {
  auto flags = std::make_shared<ImportFlags>();
  CLI::App* command =
      app.add_subcommand("import", "Make a manifest from a studio's export or a data set's files");
  command->require_subcommand(1);
  add_csv_command(*command, common);
  CLI::App* microlens = command->add_subcommand(
      "microlens", "From a downloaded MicroLens release, with the authors' split");
  microlens
      ->add_option(
          "directory", flags->directory,
          "Holds *_title*.csv, *_comment*.txt (or *_pairs.csv) and perhaps *videos*/ID.mp4")
      ->required();
  microlens->add_option("--titles", flags->titles, "Another title file (id,title)");
  microlens->add_option("--out", flags->out, "The manifest to write")->required();
  add_common_flags(*microlens, common);
  microlens->callback([flags, &common] {
    common.run = [flags, &common] { return run_microlens(*flags, common); };
  });
}

}  // namespace mmra::app
