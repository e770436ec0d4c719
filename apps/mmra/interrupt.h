#pragma once

#include <functional>
#include <stop_token>
#include <string>

namespace mmra::app {

/// From the first call on, Ctrl-C (SIGINT) and SIGTERM ask for a stop through the returned token,
/// so that what was done is kept; a second one ends the program at once with status 130. Must be
/// called before other threads are started (it blocks the signals for them).
[[nodiscard]] std::stop_token stop_on_interrupt();

/// What the first Ctrl-C (or SIGTERM) is answered with from now on, instead of the line for one
/// process alone. `make` is called then, on a thread of its own.
void set_interrupt_notice(std::function<std::string()> make);

}  // namespace mmra::app
