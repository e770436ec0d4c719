#include "ranks.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <new>
#include <thread>

#include "interrupt.h"
#include "mmra/core/environment.h"
#include "mmra/core/error.h"
#include "mmra/distributed/launch.h"

namespace mmra::app {
namespace {

using distributed::Communicator;
using Clock = std::chrono::steady_clock;

constexpr int kFailed = 1;
constexpr int kInterrupted = 130;
/// What all ranks fail with (no such bank), the first says; it has so long to end the others.
constexpr auto kGraceOfFirst = std::chrono::milliseconds(800);
constexpr auto kGraceOfEach = std::chrono::milliseconds(100);

/// Where rank 0 runs, as rank 1 is told: who speaks when rank 0 cannot any more.
struct FirstRank {
  std::string host;
  pid_t process = 0;

  [[nodiscard]] bool is_gone() const {
    return host != host_name() || (::kill(process, 0) != 0 && errno == ESRCH);
  }
};

FirstRank tell_first_rank(Communicator& ranks) {
  std::string text = std::to_string(::getpid()) + " " + host_name();
  ranks.broadcast(text, 0);
  const std::size_t space = text.find(' ');
  return {text.substr(space + 1), static_cast<pid_t>(std::stol(text.substr(0, space)))};
}

/// mpirun asks all ranks to stop when its user does, and when one of them has ended. `speaks`:
/// whether this one says so.
void say_what_stops(const std::string& how_to_go_on, std::function<bool()> speaks) {
  const std::string line =
      "stopping: it was asked to, or a rank of the run ended; " + how_to_go_on + "\n";
  set_interrupt_notice([=]() -> std::string { return speaks() ? line : ""; });
}

/// Leaves the word to the ranks before this one, which end it where they have the same to say.
void let_others_speak(int rank) {
  const std::stop_token ended = stop_on_interrupt();
  const auto until = Clock::now() + kGraceOfFirst + std::min(rank, 50) * kGraceOfEach;
  while (Clock::now() < until) {
    if (ended.stop_requested()) std::_Exit(kFailed);
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
}

[[noreturn]] void end_all(Communicator& ranks, const char* why) {
  set_interrupt_notice([]() -> std::string { return ""; });
  const int rank = ranks.rank();
  if (rank > 0) {
    let_others_speak(rank);
    std::fprintf(stderr, "error: rank %d on %s: %s\n", rank, host_name().c_str(), why);
  } else {
    std::fprintf(stderr, "error: %s\n", why);
  }
  std::fflush(nullptr);
  ranks.abort(kFailed);
  std::_Exit(kFailed);  // GCC does not see that the call above never returns
}

int run_body(Communicator& ranks, const std::function<int(Communicator&)>& body) {
  try {
    const int status = body(ranks);
    return ranks.is_first() ? status : 0;
  } catch (const Interrupted&) {
    if (ranks.is_first()) throw;
    return kInterrupted;
  } catch (const Error& error) {
    end_all(ranks, error.what());
  } catch (const std::bad_alloc&) {
    end_all(ranks, "out of memory; try fewer --jobs, a smaller --batch or fewer ranks a host");
  } catch (const std::exception& error) {
    end_all(ranks, (std::string("internal: ") + error.what()).c_str());
  }
}

}  // namespace

bool is_one_of_several() { return distributed::launch_of_environment().size > 1; }

bool is_silent_rank() { return distributed::launch_of_environment().rank > 0; }

int run_on_ranks(bool asked, const std::string& how_to_go_on,
                 const std::function<int(Communicator& ranks)>& body) {
  if (!asked && !is_one_of_several()) {
    return body(*distributed::make_single_communicator());
  }
  // Before MPI, whose threads are to have this one's signal mask.
  static_cast<void>(stop_on_interrupt());
  say_what_stops(how_to_go_on, [] { return !is_silent_rank(); });
  std::unique_ptr<Communicator> ranks;
  try {
    ranks = distributed::open_mpi();
  } catch (const Error&) {
    if (is_silent_rank()) return 0;
    throw;
  }
  const FirstRank first = tell_first_rank(*ranks);
  say_what_stops(how_to_go_on, [first, rank = ranks->rank()] {
    return rank == 0 || (rank == 1 && first.is_gone());
  });
  return run_body(*ranks, body);
}

}  // namespace mmra::app
