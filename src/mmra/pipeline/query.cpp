#include "mmra/pipeline/query.h"

#include <utility>

#include "mmra/bank/context_typer.h"
#include "mmra/bank/label_table.h"
#include "mmra/core/error.h"
#include "mmra/media/jpeg.h"
#include "mmra/media/sample_frames.h"
#include "mmra/model/instance_weights.h"
#include "mmra/pipeline/feature_file.h"

namespace mmra::pipeline {
namespace {

// Small enough that ten of them weigh about what the tokens of one video do.
constexpr int kThumbnailSidePx = 128;
constexpr int kThumbnailQualityPercent = 70;

EncodedQuery stored_query(const bank::MemoryBank& bank, const bank::BankTable& table,
                          const Query& query) {
  const auto row = table.row_of(*query.id);
  const auto record = bank.find(*query.id);
  auto features = bank.find_features(*query.id);
  if (!row || !record || !features) {
    throw Error(ErrorKind::kNotFound, "the bank has no record \"" + *query.id +
                                          "\"; `mmra bank info` says what it holds");
  }
  EncodedQuery encoded;
  encoded.title = record->title;
  encoded.captions = record->captions;
  encoded.thumbnails = record->thumbnails;
  encoded.features = std::move(*features);
  encoded.context = record->context;
  encoded.posted_at = record->posted_at;
  encoded.identity.own_row = row;
  encoded.identity.as_of = query.as_of ? query.as_of : record->posted_at;
  return encoded;
}

Instance describe_instance(const bank::MemoryBank& bank, const bank::BankTable& table,
                           std::size_t row, double similarity, double weight,
                           const retrieval::QueryIdentity& query) {
  Instance instance;
  instance.id = table.id(row);
  if (auto record = bank.find(instance.id)) {
    instance.title = std::move(record->title);
    instance.captions = std::move(record->captions);
  }
  instance.similarity = similarity;
  instance.weight = weight;
  instance.popularity = retrieval::popularity_of(table, row, query).value_or(0.0);
  return instance;
}

[[noreturn]] void refuse_context(const std::string& item, const std::string& why) {
  throw Error(ErrorKind::kInvalidInput, "the context \"" + item + "\" " + why);
}

}  // namespace

void add_clip_context(const media::ClipInfo& clip,
                      const std::map<std::string, bank::ColumnType>& columns,
                      bank::Context& context) {
  const std::map<std::string, double> values = {{"duration_s", clip.duration_s},
                                                {"width", clip.width},
                                                {"height", clip.height},
                                                {"frame_rate", clip.frame_rate},
                                                {"has_audio", clip.has_audio ? 1.0 : 0.0}};
  for (const auto& [name, value] : values) {
    const bool known = name == "has_audio" || value > 0.0;  // zero: the file does not say
    const auto column = columns.find(name);
    if (known && column != columns.end() && column->second == bank::ColumnType::kNumber) {
      context.emplace(name, value);  // what the manifest says stays
    }
  }
}

bank::Context parse_context(const std::vector<std::string>& items, const bank::BankSchema& schema) {
  bank::Context context;
  for (const std::string& item : items) {
    const std::size_t equals = item.find('=');
    if (equals == std::string::npos || equals == 0) {
      refuse_context(item, "is not of the form name=value");
    }
    const std::string name = item.substr(0, equals);
    const std::string value = item.substr(equals + 1);
    const auto column = schema.context_columns.find(name);
    if (column == schema.context_columns.end()) {
      refuse_context(item,
                     "names a column that the bank does not have; `mmra bank info` lists them");
    }
    if (value.empty()) continue;  // not known, as an empty cell of a manifest
    bank::ContextValue typed = value;
    if (column->second == bank::ColumnType::kNumber) {
      const auto number = bank::parse_number(value);
      if (!number) refuse_context(item, "must be a number, as the bank's column is");
      typed = *number;
    }
    if (!context.emplace(name, std::move(typed)).second) {
      refuse_context(item, "gives this column again; give it once");
    }
  }
  return context;
}

DecodedClip decode_clip(const std::filesystem::path& video, const encoders::EncoderTraits& traits,
                        int num_frames, int decoder_threads, const std::stop_token& stop) {
  media::SampleOptions options;
  options.num_frames = num_frames;
  options.max_side_px = traits.max_frame_side_px;
  options.decoder_threads = decoder_threads;
  options.stop = stop;
  media::SampledClip clip = media::sample_frames(video, options);
  DecodedClip decoded;
  for (const media::Frame& frame : clip.frames) {
    decoded.thumbnails.push_back(
        media::encode_jpeg(frame, kThumbnailSidePx, kThumbnailQualityPercent));
  }
  decoded.frames = std::move(clip.frames);
  decoded.clip = std::move(clip.info);
  decoded.warning = std::move(clip.warning);
  return decoded;
}

EncodedQuery encode_query(const bank::MemoryBank& bank, const bank::BankTable& table,
                          const encoders::EncoderSet& encoders, const Query& query, int num_threads,
                          const std::stop_token& stop) {
  if (query.id) return stored_query(bank, table, query);
  if (query.title.empty() && query.video.empty()) {
    throw Error(ErrorKind::kInvalidInput,
                "nothing to ask about: give --title, --video or both, or --id of a stored record");
  }
  const bank::BankSchema schema = bank.info().schema;
  if (foreign_features(schema.encoders_name).retrieval) {
    throw Error(ErrorKind::kInvalidInput,
                "the bank's retrieval vectors were made elsewhere (" + schema.encoders_name +
                    "), so nothing new can be compared with them; ask about a record with --id");
  }
  DecodedClip clip;
  if (!query.video.empty()) {
    clip = decode_clip(query.video, encoders.traits(), schema.num_frames, num_threads, stop);
  }
  encoders::Encoding encoding = encoders.encode(clip.frames, query.title, {num_threads, stop});
  EncodedQuery encoded;
  encoded.title = query.title;
  encoded.features.visual_tokens = to_half(encoding.visual_tokens);
  encoded.features.text_tokens = to_half(encoding.text_tokens);
  encoded.features.retrieval_vector = std::move(encoding.retrieval_vector);
  encoded.captions = std::move(encoding.captions);
  encoded.thumbnails = std::move(clip.thumbnails);
  encoded.clip = std::move(clip.clip);
  encoded.warning = std::move(clip.warning);
  encoded.context = query.context;
  if (!query.video.empty()) {
    add_clip_context(encoded.clip, schema.context_columns, encoded.context);
  }
  encoded.posted_at = query.posted_at;
  encoded.identity.own_row = table.row_of(query.own_id);
  encoded.identity.as_of = query.as_of ? query.as_of : query.posted_at;
  return encoded;
}

encoders::EncoderSet open_bank_encoders(const std::filesystem::path& bank_directory,
                                        const bank::BankSchema& schema,
                                        encoders::Precision precision) {
  encoders::EncoderSet encoders =
      encoders::open_encoder_set(bank::encoders_directory(bank_directory), precision);
  if (encoders.fingerprint() != schema.encoders_fingerprint) {
    throw Error(ErrorKind::kCorruptData,
                bank::encoders_directory(bank_directory).string() + " holds the encoders " +
                    encoders.name() + " (" + encoders.fingerprint() +
                    "), but the bank was made by " + schema.encoders_name + " (" +
                    schema.encoders_fingerprint + "); restore that folder from the bank's backup");
  }
  return encoders;
}

std::vector<Instance> describe_instances(const bank::MemoryBank& bank, const bank::BankTable& table,
                                         const retrieval::RetrievalResult& result,
                                         double similarity_scale,
                                         const retrieval::QueryIdentity& query) {
  const std::vector<double> weights =
      model::instance_weights(result.rows, result.similarities, result.k, similarity_scale);
  std::vector<Instance> instances;
  for (std::size_t j = 0; j < result.rows.size(); ++j) {
    if (result.rows[j] == retrieval::RetrievalResult::kNoInstance) break;
    instances.push_back(describe_instance(bank, table, static_cast<std::size_t>(result.rows[j]),
                                          result.similarities[j], weights[j], query));
  }
  return instances;
}

std::vector<Instance> describe_instances(const bank::MemoryBank& bank, const bank::BankTable& table,
                                         const std::vector<model::UsedInstance>& used,
                                         const retrieval::QueryIdentity& query) {
  std::vector<Instance> instances;
  instances.reserve(used.size());
  for (const model::UsedInstance& instance : used) {
    instances.push_back(
        describe_instance(bank, table, instance.row, instance.similarity, instance.weight, query));
  }
  return instances;
}

SearchResult search_bank(const bank::MemoryBank& bank, const std::filesystem::path& bank_directory,
                         const Query& query, int k, int num_threads, const std::stop_token& stop,
                         encoders::Precision precision) {
  const encoders::EncoderSet encoders =
      open_bank_encoders(bank_directory, bank.info().schema, precision);
  auto table = bank.table();
  if (query.horizon) table = bank::with_horizon(std::move(table), *query.horizon);
  EncodedQuery encoded = encode_query(bank, *table, encoders, query, num_threads, stop);
  const retrieval::RetrievalResult result = retrieval::search_exact(
      *table, encoded.features.retrieval_vector, std::span(&encoded.identity, 1), k,
      retrieval::RetrievalPolicy::deployed().with_labels_as_of(), num_threads, stop);
  return {describe_instances(bank, *table, result, /*similarity_scale=*/1.0, encoded.identity),
          std::move(encoded.captions), std::move(encoded.warning)};
}

}  // namespace mmra::pipeline
