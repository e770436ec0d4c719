#pragma once

#include <filesystem>
#include <memory>

#include "mmra/bank/memory_bank.h"

namespace mmra::bank {

/// The bank behind open_bank() where that is given a directory; throws what open_bank does.
[[nodiscard]] std::unique_ptr<MemoryBank> open_directory_bank(
    const std::filesystem::path& directory, OpenMode mode);

/// As create_bank().
[[nodiscard]] std::unique_ptr<MemoryBank> create_directory_bank(
    const std::filesystem::path& directory, const BankSchema& schema);

[[nodiscard]] bool directory_bank_exists(const std::filesystem::path& directory);

}  // namespace mmra::bank
