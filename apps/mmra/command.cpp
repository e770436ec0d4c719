#include "command.h"

#include <cstdio>
#include <map>

#include "mmra/core/threads.h"

namespace mmra::app {

int CommonOptions::threads() const {
  return num_threads > 0 ? num_threads : available_processors();
}

CLI::Validator at_least(int minimum) {
  return CLI::Validator(
      [minimum](std::string& text) -> std::string {
        long long value = 0;
        if (!CLI::detail::lexical_cast(text, value) || value < minimum || value > 1'000'000'000) {
          return "needs a whole number of at least " + std::to_string(minimum) + ", not " + text;
        }
        return {};
      },
      ">=" + std::to_string(minimum));
}

void add_common_flags(CLI::App& command, CommonOptions& common) {
  command.add_option("--threads", common.num_threads, "Threads to use [one per processor]")
      ->check(at_least(1))
      ->group("Common");
  command.add_flag("--json", common.json, "Print the result as JSON")->group("Common");
  command.add_flag("--quiet", common.quiet, "No progress on standard error")->group("Common");
}

void add_mpi_flag(CLI::App& command, bool& asked) {
  command
      .add_flag("--mpi", asked,
                "Work together with the other ranks of an MPI run; under mpirun and srun without "
                "asking (docs/distributed.md)")
      ->group("Common");
}

CLI::Option* add_precision_flag(CLI::App& command, encoders::Precision& precision,
                                const std::string& what) {
  static const std::map<std::string, encoders::Precision> kNames = {
      {"auto", encoders::Precision::kAuto},
      {"f32", encoders::Precision::kFloat32},
      {"bf16", encoders::Precision::kBFloat16}};
  return command.add_option("--precision", precision, what)
      ->transform(CLI::CheckedTransformer(kNames, CLI::ignore_case).description("auto|f32|bf16"))
      ->default_str("auto")
      ->group("Common");
}

std::unique_ptr<bank::MemoryBank> open_for_reading(const std::filesystem::path& directory) {
  return bank::open_bank(directory, bank::OpenMode::kReadOnly);
}

void print_json(const nlohmann::ordered_json& document, bool indented) {
  const std::string text = document.dump(indented ? 2 : -1, ' ', false,
                                         nlohmann::ordered_json::error_handler_t::replace);
  std::printf("%s\n", text.c_str());
}

std::string describe_unit(const std::string& unit, const std::string& horizon) {
  return horizon.empty() ? unit : unit + " after " + horizon;
}

}  // namespace mmra::app
