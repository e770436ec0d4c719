#pragma once

#include "mmra/pipeline/train.h"

namespace mmra::pipeline {

/// What `mmra train` uses where no flag says otherwise: the paper's network with the settings that
/// were chosen on the validation split of MicroLens-100k.
[[nodiscard]] TrainRequest default_train_request();

}  // namespace mmra::pipeline
