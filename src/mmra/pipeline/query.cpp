#include "mmra/pipeline/query.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "mmra/bank/context_typer.h"
#include "mmra/bank/vector_table.h"
#include "mmra/core/error.h"
#include "mmra/media/jpeg.h"
#include "mmra/media/sample_frames.h"
#include "mmra/model/instance_weights.h"
#include "mmra/pipeline/bank_index.h"
#include "mmra/pipeline/feature_file.h"
#include "mmra/retrieval/bank_search.h"
#include "mmra/retrieval/index/index_search.h"

namespace mmra::pipeline {
namespace {

// Small enough that ten of them weigh about what the tokens of one video do.
constexpr int kThumbnailSidePx = 128;
constexpr int kThumbnailQualityPercent = 70;

EncodedQuery stored_query(const bank::MemoryBank& bank, const bank::BankTable& table,
                          const Query& query) {
  const auto record = bank.find(*query.id);
  auto features = bank.find_features(*query.id);
  if (!record || !features) {
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
  encoded.identity.own_row = table.row_of(*query.id);
  encoded.identity.as_of = query.as_of ? query.as_of : record->posted_at;
  return encoded;
}

void check_can_be_encoded(const Query& query, std::span<const std::string> titles,
                          const bank::BankSchema& schema) {
  const bool all_have_titles = std::none_of(titles.begin(), titles.end(),
                                            [](const std::string& title) { return title.empty(); });
  if (!query.id && !query.has_clip() && !all_have_titles) {
    throw Error(ErrorKind::kInvalidInput,
                "nothing to ask about: give --title, --video or both, or --id of a stored record");
  }
  if (foreign_features(schema.encoders_name).retrieval) {
    throw Error(ErrorKind::kInvalidInput,
                "the bank's retrieval vectors were made elsewhere (" + schema.encoders_name +
                    "), so nothing new can be compared with them; ask about a record with --id");
  }
}

/// The query's clip, decoded here where it was not before; null where it has none.
std::shared_ptr<const DecodedClip> clip_of(const Query& query, const bank::BankSchema& schema,
                                           const encoders::EncoderTraits& traits, int num_threads,
                                           const std::stop_token& stop) {
  if (query.clip != nullptr || query.video.empty()) return query.clip;
  return std::make_shared<const DecodedClip>(
      decode_clip(query.video, traits, schema.num_frames, num_threads, stop));
}

/// What is known of a clip that is not in the bank before anything is encoded.
EncodedQuery new_query(const bank::BankTable& table, const bank::BankSchema& schema,
                       const Query& query, const DecodedClip* decoded) {
  EncodedQuery encoded;
  encoded.title = query.title;
  encoded.context = query.context;
  if (decoded != nullptr) {
    encoded.thumbnails = decoded->thumbnails;
    encoded.clip = decoded->clip;
    encoded.warning = decoded->warning;
    add_clip_context(encoded.clip, schema.context_columns, encoded.context);
  }
  encoded.posted_at = query.posted_at;
  encoded.identity.own_row = table.row_of(query.own_id);
  encoded.identity.as_of = query.as_of ? query.as_of : query.posted_at;
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
    instance.has_thumbnails = !record->thumbnails.empty();
    instance.posted_at = record->posted_at;
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

DecodedClip to_decoded(media::SampledClip clip) {
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

DecodedClip decode_clip(const std::filesystem::path& video, const encoders::EncoderTraits& traits,
                        int num_frames, int decoder_threads, const std::stop_token& stop) {
  media::SampleOptions options;
  options.num_frames = num_frames;
  options.max_side_px = traits.max_frame_side_px;
  options.decoder_threads = decoder_threads;
  options.stop = stop;
  return to_decoded(media::sample_frames(video, options));
}

EncodedQuery encode_query(const bank::MemoryBank& bank, const bank::BankTable& table,
                          const encoders::EncoderSet& encoders, const Query& query, int num_threads,
                          const std::stop_token& stop) {
  return std::move(
      encode_queries(bank, table, encoders, std::span(&query, 1), num_threads, stop).front());
}

std::vector<EncodedQuery> encode_queries(const bank::MemoryBank& bank, const bank::BankTable& table,
                                         const encoders::EncoderSet& encoders,
                                         std::span<const Query> queries, int num_threads,
                                         const std::stop_token& stop) {
  const bank::BankSchema schema = bank.info().schema;
  std::vector<EncodedQuery> encoded(queries.size());
  std::vector<std::shared_ptr<const DecodedClip>> clips;  // alive while they are encoded
  std::vector<encoders::EncoderInput> items;
  std::vector<std::size_t> owners;
  for (std::size_t i = 0; i < queries.size(); ++i) {
    const Query& query = queries[i];
    if (query.id) {
      encoded[i] = stored_query(bank, table, query);
      continue;
    }
    check_can_be_encoded(query, std::span(&query.title, 1), schema);
    const auto clip = clip_of(query, schema, encoders.traits(), num_threads, stop);
    encoded[i] = new_query(table, schema, query, clip.get());
    items.push_back({clip ? encoders::Clip(clip->frames) : encoders::Clip(), query.title});
    clips.push_back(clip);
    owners.push_back(i);
  }
  if (items.empty()) return encoded;
  std::vector<encoders::Encoding> encodings = encoders.encode(items, {num_threads, stop});
  for (std::size_t n = 0; n < owners.size(); ++n) {
    EncodedQuery& query = encoded[owners[n]];
    query.captions = std::move(encodings[n].captions);
    query.features.visual_tokens = to_half(encodings[n].visual_tokens);
    query.features.text_tokens = to_half(encodings[n].text_tokens);
    query.features.retrieval_vector = std::move(encodings[n].retrieval_vector);
  }
  return encoded;
}

std::vector<EncodedQuery> encode_titles(const bank::MemoryBank& bank, const bank::BankTable& table,
                                        const encoders::EncoderSet& encoders, const Query& query,
                                        const std::vector<std::string>& titles, int num_threads,
                                        const std::stop_token& stop) {
  const bank::BankSchema schema = bank.info().schema;
  check_can_be_encoded(query, titles, schema);
  encoders::EncodedClip clip;
  EncodedQuery asked;
  if (query.id) {
    asked = stored_query(bank, table, query);
    clip.captions = asked.captions;
  } else {
    const auto decoded = clip_of(query, schema, encoders.traits(), num_threads, stop);
    asked = new_query(table, schema, query, decoded.get());
    if (decoded != nullptr) clip = encoders.encode_clip(decoded->frames, {num_threads, stop});
    asked.features.visual_tokens = to_half(clip.visual_tokens);
    asked.captions = clip.captions;
  }
  const std::vector<std::string_view> views(titles.begin(), titles.end());
  std::vector<encoders::Encoding> encodings =
      encoders.encode_titles(clip, views, {num_threads, stop});
  std::vector<EncodedQuery> queries;
  for (std::size_t i = 0; i < titles.size(); ++i) {
    EncodedQuery encoded = asked;
    encoded.title = titles[i];
    encoded.features.text_tokens = to_half(encodings[i].text_tokens);
    encoded.features.retrieval_vector = std::move(encodings[i].retrieval_vector);
    queries.push_back(std::move(encoded));
  }
  return queries;
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
                         encoders::Precision precision, SearchMethod method) {
  const encoders::EncoderSet encoders =
      open_bank_encoders(bank_directory, bank.info().schema, precision);
  // What a query is does not depend on a table; where it is in one, the search finds out.
  const auto no_rows =
      bank::make_vector_table({}, {}, bank.info().schema.retrieval_dim, [](const auto&) {});
  EncodedQuery encoded = encode_query(bank, *no_rows, encoders, query, num_threads, stop);
  retrieval::BankQuery asked{encoded.features.retrieval_vector, query.id.value_or(query.own_id),
                             encoded.identity.as_of, query.horizon};
  const auto policy = retrieval::RetrievalPolicy::deployed().with_labels_as_of();
  const std::shared_ptr<const retrieval::SegmentedIndex> index =
      method == SearchMethod::kExact ? nullptr : open_bank_index(bank_directory, bank, num_threads);
  if (index != nullptr && !index->faults().empty() && !encoded.warning) {
    encoded.warning = index->faults().front();
  }
  const retrieval::BankSearchResult found =
      index != nullptr ? retrieval::search_index(*index, asked, k, policy, num_threads, stop)
                       : retrieval::search_bank(bank, asked, k, policy, num_threads, stop);
  return {describe_instances(bank, *found.table, found.result, /*similarity_scale=*/1.0,
                             found.identity),
          std::move(encoded.captions), std::move(encoded.warning)};
}

}  // namespace mmra::pipeline
