#pragma once

#include <stop_token>
#include <string>
#include <vector>

#include "mmra/baselines/baseline_config.h"
#include "mmra/baselines/features.h"

namespace mmra::baselines {

/// Fits an epsilon-SVR with an RBF kernel by libsvm and gives libsvm's model file. `settings.gamma`
/// must be above 0. libsvm runs in a child process: its solver cannot be asked to stop and holds up
/// to a gigabyte of kernel rows, so that this way Ctrl-C is heard at once and the memory goes back.
/// Throws Interrupted, Error{kInternal} where libsvm fails, {kIo} where no process can be started.
[[nodiscard]] std::string train_svr(const FeatureMatrix& rows, const std::vector<float>& targets,
                                    const SvrSettings& settings, const std::stop_token& stop);

/// scikit-learn's gamma = "scale": 1 / (width · variance over all values), 1 / width where they
/// have none.
[[nodiscard]] double gamma_scale(const FeatureMatrix& rows);

}  // namespace mmra::baselines
