#pragma once

#include <CLI/CLI.hpp>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>

#include "mmra/bank/memory_bank.h"
#include "mmra/encoders/pretrained/precision.h"

namespace mmra::app {

/// What every command knows: the flags that all of them share, and what will run.
struct CommonOptions {
  int num_threads = 0;  ///< 0: one per processor this process may use
  bool json = false;
  bool quiet = false;
  /// Set by the chosen command while the command line is read; returns the exit status.
  std::function<int()> run;

  [[nodiscard]] int threads() const;
};

/// Adds --threads, --json and --quiet to a command.
void add_common_flags(CLI::App& command, CommonOptions& common);

/// Adds --mpi to a command that several ranks can run together.
void add_mpi_flag(CLI::App& command, bool& asked);

/// Adds --precision to a command that runs encoders, or another that multiplies as `what` says.
CLI::Option* add_precision_flag(CLI::App& command, encoders::Precision& precision,
                                const std::string& what =
                                    "Of pretrained encoders: auto (bf16 where the "
                                    "processor has it), f32, bf16 (half the memory)");

/// A member of a range check for CLI11 that names what is wanted.
[[nodiscard]] CLI::Validator at_least(int minimum);

/// What --bank takes.
inline constexpr const char* kBankHelp =
    "The memory bank (a directory, or milvus://HOST:PORT/COLLECTION)";

/// Opens the bank named by --bank for reading.
[[nodiscard]] std::unique_ptr<bank::MemoryBank> open_for_reading(
    const std::filesystem::path& directory);

/// Writes a JSON document and a newline to standard output. Text that is not UTF-8 is replaced,
/// never thrown on.
void print_json(const nlohmann::ordered_json& document, bool indented = true);

/// "comments", or "comments after 7d": what a popularity of this bank is.
[[nodiscard]] std::string describe_unit(const std::string& unit, const std::string& horizon);

void add_import_command(CLI::App& app, CommonOptions& common);
void add_ingest_command(CLI::App& app, CommonOptions& common);
void add_bank_command(CLI::App& app, CommonOptions& common);
void add_search_command(CLI::App& app, CommonOptions& common);
void add_train_command(CLI::App& app, CommonOptions& common);
void add_evaluate_command(CLI::App& app, CommonOptions& common);
void add_predict_command(CLI::App& app, CommonOptions& common);
void add_compare_command(CLI::App& app, CommonOptions& common);
void add_serve_command(CLI::App& app, CommonOptions& common);
void add_reproduce_command(CLI::App& app, CommonOptions& common);
void add_models_command(CLI::App& app, CommonOptions& common);
void add_demo_command(CLI::App& app, CommonOptions& common);

}  // namespace mmra::app
