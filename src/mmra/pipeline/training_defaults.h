#pragma once

#include <string_view>

#include "mmra/model/mmra_config.h"
#include "mmra/pipeline/train.h"

namespace mmra::pipeline {

/// What `mmra train` uses where no flag says otherwise: the paper's network with the settings that
/// were chosen on the validation split of MicroLens-100k.
[[nodiscard]] TrainRequest default_train_request();

/// The same for a model of all_systems(); of what learns in epochs, each has epochs, batches and
/// patience of its own.
[[nodiscard]] TrainRequest default_train_request(std::string_view model, model::Variant variant);

}  // namespace mmra::pipeline
