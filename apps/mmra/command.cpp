#include "command.h"

#include <cstdio>

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
