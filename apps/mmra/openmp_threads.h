#pragma once

namespace mmra::app {

/// Makes OpenMP's threads wait for each other asleep instead of spinning, unless the user has set
/// OMP_WAIT_POLICY or GOMP_SPINCOUNT. Beside another busy program, threads that spin hold the
/// processor that the one they wait for needs: a training step was measured at three to six times
/// its time. libgomp reads its settings before main, so the program starts itself once more with
/// them; where that cannot be done it goes on as it is. Call before anything has been done; `argv`
/// as main got it.
void wait_asleep_for_openmp_threads(char** argv);

}  // namespace mmra::app
