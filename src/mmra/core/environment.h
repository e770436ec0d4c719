#pragma once

#include <filesystem>
#include <string>

namespace mmra {

/// Empty where it is not set.
[[nodiscard]] std::string environment_variable(const char* name);

/// As the network knows this machine; empty where it does not say.
[[nodiscard]] std::string host_name();

/// Where this user's copies of something lie: what `variable` says, else `folder` in mmra's folder
/// of the cache (XDG base directory specification). `what` is for the message of the
/// Error{kInvalidInput} where none of the variables is set.
[[nodiscard]] std::filesystem::path cache_directory(const char* variable, const std::string& folder,
                                                    const std::string& what);

}  // namespace mmra
