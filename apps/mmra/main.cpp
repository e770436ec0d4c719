#include <csignal>
#include <cstdio>
#include <exception>
#include <string>

#include "command.h"
#include "mmra/core/error.h"
#include "openmp_threads.h"
#include "ranks.h"

namespace {

enum ExitStatus { kSuccess = 0, kFailed = 1, kWrongUsage = 2, kInterrupted = 130 };

constexpr const char* kFooter = R"(
A first run, from a manifest (CSV with id,title,popularity[,video,posted_at,split]) to a number:

  mmra ingest videos.csv --bank my.bank --unit comments
  mmra train --bank my.bank --out my.model
  mmra evaluate --bank my.bank --model my.model
  mmra predict --bank my.bank --model my.model --video clip.mp4 --title "How I built a boat"

`mmra demo` does all of it on micro-videos that it makes itself. `mmra COMMAND --help` explains a
command. Results go to standard output, progress and errors to standard error.
Exit status: 0 done, 1 failed, 2 wrong usage, 130 stopped by Ctrl-C.)";

std::string names_of_commands(const CLI::App& app) {
  std::string names;
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    names += (names.empty() ? "" : ", ") + command->get_name();
  }
  return names;
}

/// Commands without products of matrices; they do not pay for a second start (0.04 s).
bool answers_at_once(const std::string& command) {
  return command == "bank" || command == "import" || command == "models";
}

/// What several ranks do together. Any other command would run as often as there are ranks.
bool is_divided(const std::string& command) { return command == "ingest" || command == "train"; }

int refuse_ranks(const std::string& command) {
  if (mmra::app::is_silent_rank()) return kSuccess;
  std::fprintf(stderr,
               "error: mmra %s is one process: start it without mpirun (ingest and train are "
               "what several ranks do together)\n",
               command.c_str());
  return kWrongUsage;
}

int run(int argc, char** argv) {
  CLI::App app(
      "mmra predicts how popular a micro-video will be: it looks at the frames and the title,\n"
      "finds the most similar past videos in a memory bank, and predicts from both.",
      "mmra");
  app.require_subcommand(1);
  app.set_version_flag("--version", "mmra " MMRA_VERSION);
  app.footer(kFooter);
  app.get_formatter()->column_width(38);

  mmra::app::CommonOptions common;
  mmra::app::add_import_command(app, common);
  mmra::app::add_ingest_command(app, common);
  mmra::app::add_bank_command(app, common);
  mmra::app::add_search_command(app, common);
  mmra::app::add_train_command(app, common);
  mmra::app::add_evaluate_command(app, common);
  mmra::app::add_predict_command(app, common);
  mmra::app::add_compare_command(app, common);
  mmra::app::add_serve_command(app, common);
  mmra::app::add_reproduce_command(app, common);
  mmra::app::add_models_command(app, common);
  mmra::app::add_demo_command(app, common);

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (mmra::app::is_silent_rank()) return kSuccess;
    if (error.get_exit_code() == 0) return app.exit(error);  // --help, --version
    if (app.get_subcommands().empty()) {
      std::fprintf(stderr, "error: %s; the commands are %s (mmra --help explains)\n",
                   argc > 1 ? ("there is no command \"" + std::string(argv[1]) + "\"").c_str()
                            : "a command is needed",
                   names_of_commands(app).c_str());
      return kWrongUsage;
    }
    std::string help = "mmra";
    for (const CLI::App* sub = &app; !sub->get_subcommands().empty();) {
      sub = sub->get_subcommands().front();
      help += " " + sub->get_name();
    }
    std::fprintf(stderr, "error: %s (%s --help explains)\n", error.what(), help.c_str());
    return kWrongUsage;
  }
  const std::string command = app.get_subcommands().front()->get_name();
  if (mmra::app::is_one_of_several() && !is_divided(command)) return refuse_ranks(command);
  if (!answers_at_once(command)) {
    mmra::app::wait_asleep_for_openmp_threads(argv);
  }
  return common.run();
}

}  // namespace

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);  // a closed pipe is an error of the write, not a silent death
  std::signal(SIGXFSZ, SIG_IGN);  // a file at the limit of its size: the same
  try {
    const int status = run(argc, argv);
    if (std::fflush(stdout) != 0) {
      std::fprintf(stderr, "error: cannot write the result to standard output\n");
      return kFailed;
    }
    return status;
  } catch (const mmra::Interrupted&) {
    std::fprintf(stderr, "stopped\n");
    return kInterrupted;
  } catch (const mmra::Error& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
  } catch (const std::bad_alloc&) {
    std::fprintf(stderr, "error: out of memory; try fewer --jobs or a smaller --batch\n");
  } catch (const std::exception& error) {
    std::fprintf(stderr, "error: internal: %s\n", error.what());
  }
  return kFailed;
}
