#pragma once

#include <filesystem>

#include "mmra/encoders/pretrained/generation.h"
#include "mmra/encoders/pretrained/model_config.h"

namespace mmra::encoders {

/// How a BLIP model generates when nobody says otherwise. Each setting (max_length, min_length,
/// max_new_tokens, min_new_tokens, num_beams, length_penalty, early_stopping, repetition_penalty,
/// no_repeat_ngram_size) is taken from generation_config.json in `directory` where that is there
/// and has it, else from `text_config`, else transformers' default. Ids come from `text_config`
/// alone, as transformers' BLIP takes them: it starts with bos_token_id and ends with sep_token_id,
/// whatever eos_token_id says. (transformers 4.41 does not hand generation_config.json to BLIP's
/// decoder; a person who wrote one into the folder meant it.)
///
/// Throws Error{kUnsupported} naming file and key where sampling, grouped beams or another way of
/// generating is asked for, {kCorruptData} for a value of a wrong type or range.
[[nodiscard]] GenerationOptions read_generation_options(const std::filesystem::path& directory,
                                                        const ModelConfig& text_config);

}  // namespace mmra::encoders
