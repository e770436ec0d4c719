// config.json of a model directory, of any bytes, as every kind of predictor reads it.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "mmra/baselines/baseline_config.h"
#include "mmra/model/mmra_config.h"
#include "mmra/model/neural_baseline_config.h"
#include "mmra/plus/plus_config.h"
#include "outcome.h"

namespace {

using mmra::fuzz::outcome_of;
using mmra::fuzz::require;

}  // namespace

/// What was read and is allowed comes back from what is written of it.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  static_cast<void>(outcome_of([&] {
    const auto config = mmra::model::config_from_json(text, "f");
    mmra::model::validate_config(config);
    const std::string written = mmra::model::config_to_json(config);
    require(mmra::model::config_to_json(mmra::model::config_from_json(written, "f")) == written,
            "a network's configuration that changes when it is written");
    return written;
  }));
  static_cast<void>(outcome_of([&] {
    const auto config = mmra::model::neural_baseline_config_from_json(text, "f");
    mmra::model::validate_config(config);
    require(config.has_visual() || config.has_text(), "a neural baseline without an input");
    const std::string written = mmra::model::config_to_json(config);
    require(mmra::model::config_to_json(
                mmra::model::neural_baseline_config_from_json(written, "f")) == written,
            "a neural baseline's configuration that changes when it is written");
    return written;
  }));
  static_cast<void>(outcome_of([&] {
    const auto config = mmra::baselines::config_from_json(text, "f");
    mmra::baselines::validate_config(config);
    const std::string written = mmra::baselines::config_to_json(config);
    require(
        mmra::baselines::config_to_json(mmra::baselines::config_from_json(written, "f")) == written,
        "a baseline's configuration that changes when it is written");
    return written;
  }));
  static_cast<void>(outcome_of([&] {
    const auto config = mmra::plus::config_from_json(text, "f");
    mmra::plus::validate_config(config);
    const std::string written = mmra::plus::config_to_json(config);
    require(mmra::plus::config_to_json(mmra::plus::config_from_json(written, "f")) == written,
            "mmra-plus's configuration that changes when it is written");
    return written;
  }));
  return 0;
}
