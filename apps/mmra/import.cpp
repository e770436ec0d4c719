#include <cstdio>

#include "command.h"
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

}  // namespace

void add_import_command(CLI::App& app, CommonOptions& common) {
  auto flags = std::make_shared<ImportFlags>();
  CLI::App* command = app.add_subcommand("import", "Make a manifest from a data set's own files");
  command->require_subcommand(1);
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
