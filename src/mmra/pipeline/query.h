#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "mmra/bank/memory_bank.h"
#include "mmra/bank/record.h"
#include "mmra/encoders/encoder_set.h"
#include "mmra/media/clip.h"
#include "mmra/model/predictor.h"
#include "mmra/retrieval/exact_search.h"

namespace mmra::pipeline {

/// A clip's frames as the encoders want them, and what people see of it.
struct DecodedClip {
  std::vector<media::Frame> frames;
  std::vector<std::vector<std::uint8_t>> thumbnails;  ///< JPEG, one a frame
  media::ClipInfo clip;
  std::optional<std::string> warning;
};

/// What is asked about: a record of the bank, or a title and/or a clip that is not in it.
struct Query {
  std::optional<std::string> id;
  std::string title;
  std::filesystem::path video;  ///< empty: no clip
  /// The clip where it has been decoded already, instead of `video`.
  std::shared_ptr<const DecodedClip> clip = nullptr;
  /// Where the bank happens to have the title or clip asked about under this id: never its
  /// instance.
  std::string own_id;
  /// Only records posted strictly before it are seen; the clip's own time where not given.
  std::optional<Timestamp> as_of;
  /// Of a search: popularities so long after posting (bank::label_of); else the bank's own labels.
  std::optional<Duration> horizon;
  /// What is known of a clip that is not in the bank; a stored record has its own.
  std::optional<Timestamp> posted_at;
  bank::Context context;

  [[nodiscard]] bool has_clip() const { return clip != nullptr || !video.empty(); }
};

/// A query ready for retrieval and prediction.
struct EncodedQuery {
  std::string title;
  bank::Features features;
  std::vector<std::string> captions;
  std::vector<std::vector<std::uint8_t>> thumbnails;  ///< JPEG, one a frame; empty without a clip
  media::ClipInfo clip;                               ///< zeros without a clip
  std::optional<std::string> warning;                 ///< the clip is truncated or damaged
  bank::Context context;  ///< what was given, and what the clip itself says
  std::optional<Timestamp> posted_at;
  retrieval::QueryIdentity identity;
};

/// Adds what a clip's file says (duration_s, width, height, frame_rate, has_audio) to the context,
/// where `columns` has it as a number and nothing is there yet.
void add_clip_context(const media::ClipInfo& clip,
                      const std::map<std::string, bank::ColumnType>& columns,
                      bank::Context& context);

/// "name=value" of each item, typed as the bank's columns are. Throws Error{kInvalidInput} naming
/// the item: not of this form, no such column, no number where the column has numbers, or twice.
[[nodiscard]] bank::Context parse_context(const std::vector<std::string>& items,
                                          const bank::BankSchema& schema);

/// Samples `num_frames` frames. The result does not depend on `decoder_threads`. Thread-safe.
/// Throws what media throws.
[[nodiscard]] DecodedClip decode_clip(const std::filesystem::path& video,
                                      const encoders::EncoderTraits& traits, int num_frames,
                                      int decoder_threads, const std::stop_token& stop);

/// What decode_clip makes of a clip that was sampled already.
[[nodiscard]] DecodedClip to_decoded(media::SampledClip clip);

/// Throws Error{kNotFound} for an unknown id, {kInvalidInput} where there is neither id, title nor
/// clip, where the clip cannot be read, or where the bank's retrieval vectors were made elsewhere.
[[nodiscard]] EncodedQuery encode_query(const bank::MemoryBank& bank, const bank::BankTable& table,
                                        const encoders::EncoderSet& encoders, const Query& query,
                                        int num_threads, const std::stop_token& stop);

/// The same of many at once, so that the encoders get full batches: what a query gives does not
/// depend on the others, but where one throws, all do.
[[nodiscard]] std::vector<EncodedQuery> encode_queries(const bank::MemoryBank& bank,
                                                       const bank::BankTable& table,
                                                       const encoders::EncoderSet& encoders,
                                                       std::span<const Query> queries,
                                                       int num_threads,
                                                       const std::stop_token& stop);

/// One clip under each of `titles` (`query.title` is not looked at): the clip is decoded and
/// encoded once; of a stored record (`query.id`) what the bank has of its clip is taken. Each is
/// what encode_query gives for that title. Throws as encode_query does.
[[nodiscard]] std::vector<EncodedQuery> encode_titles(const bank::MemoryBank& bank,
                                                      const bank::BankTable& table,
                                                      const encoders::EncoderSet& encoders,
                                                      const Query& query,
                                                      const std::vector<std::string>& titles,
                                                      int num_threads, const std::stop_token& stop);

/// Opens the encoders frozen in a bank and checks that they are those its schema names.
[[nodiscard]] encoders::EncoderSet open_bank_encoders(
    const std::filesystem::path& bank_directory, const bank::BankSchema& schema,
    encoders::Precision precision = encoders::Precision::kAuto);

/// One retrieved instance, for people and programs.
struct Instance {
  std::string id;
  std::string title;
  double similarity = 0.0;
  double weight = 0.0;  ///< softmax over the instances, paper eq. 4; sums to 1
  double popularity = 0.0;
  std::vector<std::string> captions;  ///< of its frames, as the bank has them
  bool has_thumbnails = false;
  std::optional<Timestamp> posted_at = {};
  /// Of a prediction (log2): the prediction minus what it would be without this instance. Nothing
  /// in a search, and where the model does not look at instances.
  std::optional<double> effect_log2;
};

struct SearchResult {
  std::vector<Instance> instances;    ///< best first, at most k
  std::vector<std::string> captions;  ///< of the query's frames; empty without a clip
  std::optional<std::string> warning;
};

/// How to look: by the bank's index, if it has one, or exactly.
enum class SearchMethod { kAsTheBankDoes, kExact };

/// The k most similar labelled records of the bank, the query itself left out.
[[nodiscard]] SearchResult search_bank(const bank::MemoryBank& bank,
                                       const std::filesystem::path& bank_directory,
                                       const Query& query, int k, int num_threads,
                                       const std::stop_token& stop,
                                       encoders::Precision precision = encoders::Precision::kAuto,
                                       SearchMethod method = SearchMethod::kAsTheBankDoes);

/// Looks up what people read about instances that a predictor chose and weighed by itself.
[[nodiscard]] std::vector<Instance> describe_instances(const bank::MemoryBank& bank,
                                                       const bank::BankTable& table,
                                                       const std::vector<model::UsedInstance>& used,
                                                       const retrieval::QueryIdentity& query = {});

/// Looks up what people read about the instances of one query (`result` has one), with their
/// weights softmax(similarity_scale · similarity), with the labels as of the query's time.
[[nodiscard]] std::vector<Instance> describe_instances(const bank::MemoryBank& bank,
                                                       const bank::BankTable& table,
                                                       const retrieval::RetrievalResult& result,
                                                       double similarity_scale,
                                                       const retrieval::QueryIdentity& query = {});

}  // namespace mmra::pipeline
