#pragma once

#include <filesystem>
#include <optional>
#include <string>

namespace mmra::serving {

/// What the files below `directory` (a link is followed) look like from outside: their names,
/// inodes, sizes and times. The same before and after reading them: nobody has replaced or written
/// one of them meanwhile. Nothing where they cannot be listed, for they are being moved perhaps.
[[nodiscard]] std::optional<std::string> directory_stamp(const std::filesystem::path& directory);

}  // namespace mmra::serving
