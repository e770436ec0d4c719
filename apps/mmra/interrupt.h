#pragma once

#include <stop_token>

namespace mmra::app {

/// From the first call on, Ctrl-C (SIGINT) and SIGTERM ask for a stop through the returned token,
/// so that what was done is kept; a second one ends the program at once with status 130. Must be
/// called before other threads are started (it blocks the signals for them).
[[nodiscard]] std::stop_token stop_on_interrupt();

}  // namespace mmra::app
