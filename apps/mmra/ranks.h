#pragma once

#include <functional>
#include <string>

#include "mmra/distributed/communicator.h"

namespace mmra::app {

/// Whether mpirun, srun or the like started this process as one of several.
[[nodiscard]] bool is_one_of_several();
/// Whether it is not the first of them: such a one says nothing but what the first cannot know.
/// Where the first will say what is wrong it ends with 0: the launcher ends all at the first other
/// status, which must not come before the first has spoken.
[[nodiscard]] bool is_silent_rank();

/// Calls `body` with the ranks that this command was started as: under mpirun, or where `asked`
/// (--mpi), those of MPI, whose library is loaded for it; else one process alone, for which nothing
/// is done or loaded. What one rank cannot do ends all of them: the first that it happened to says
/// why, in one line, and the others say nothing. `how_to_go_on` is for the line of a run that was
/// stopped, or lost a rank. Returns the exit status.
int run_on_ranks(bool asked, const std::string& how_to_go_on,
                 const std::function<int(distributed::Communicator& ranks)>& body);

}  // namespace mmra::app
