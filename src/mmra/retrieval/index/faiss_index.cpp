#include "mmra/retrieval/index/faiss_index.h"

#include <faiss/IndexFlat.h>
#include <faiss/IndexHNSW.h>
#include <faiss/IndexIVFFlat.h>
#include <faiss/IndexIVFPQ.h>
#include <faiss/IndexIVFPQFastScan.h>
#include <faiss/IndexPQ.h>
#include <faiss/IndexPreTransform.h>
#include <faiss/IndexRefine.h>
#include <faiss/IndexScalarQuantizer.h>
#include <faiss/impl/AuxIndexStructures.h>
#include <faiss/impl/FaissException.h>
#include <faiss/impl/IDSelector.h>
#include <faiss/impl/io.h>
#include <faiss/index_factory.h>
#include <faiss/index_io.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <mutex>
#include <optional>
#include <regex>
#include <utility>

#include "mmra/core/error.h"
#include "mmra/core/huge_pages.h"
#include "mmra/retrieval/index/quick_centres.h"
#include "mmra/retrieval/index/scalar_codes.h"
#include "mmra/retrieval/openmp_threads.h"
#include "mmra/retrieval/similarity.h"

namespace mmra::retrieval {
namespace {

// FAISS's own rule is 39 to 256 vectors a centroid; more of them cost time and change nothing.
constexpr std::size_t kTrainingVectorsPerList = 64;
constexpr std::size_t kTrainingVectorsPerCode = 256;
constexpr std::size_t kLeastTrainingVectors = 16'384;
// Lists of fewer vectors make searches no faster: to begin with one costs as much as some tens.
constexpr std::size_t kLeastVectorsPerList = 256;
// So many vectors are added at a time to all but graphs.
constexpr std::size_t kVectorsPerAdd = 16'384;
constexpr int kSmallestGraphWidth = 16;
constexpr int kLargestGraphWidth = 1024;
// Taken, not measured: for each place of its width a graph's search looks at about twenty vectors,
// and each of them, since it lies somewhere else in memory, costs as much as five that follow each
// other.
constexpr double kCostPerWidth = 20.0 * 5.0;
// Of lists of codes, measured on a Zen 4 at 128 dimensions in a million vectors: comparing a query
// with a centre in bytes takes 0.7 ns, to begin with a list, which lies somewhere else, 300 ns, to
// compare a vector as the last of many 15 ns, and a place that is proposed 40 ns.
constexpr double kCostPerCentre = 0.05;
constexpr double kCostPerList = 20.0;
constexpr double kCostPerPlace = 2.5;

std::string first_line_of(const std::exception& error) {
  std::string what = error.what();
  // "Error in <function> at <file>:<line>: Error: <condition> failed: <what>"
  const std::size_t colon = what.rfind("failed: ");
  if (colon != std::string::npos) what = what.substr(colon + 8);
  return what.substr(0, what.find('\n'));
}

/// FAISS asks it between the steps of long work, one for the whole process: whether who builds on
/// this thread is to stop. (A graph is made by several threads; that of the build is one of them.)
class Interrupter final : public faiss::InterruptCallback {
 public:
  bool want_interrupt() override {
    return of_this_thread() != nullptr && of_this_thread()->stop_requested();
  }
  static const std::stop_token*& of_this_thread() {
    thread_local const std::stop_token* stop = nullptr;
    return stop;
  }
};

/// FAISS hears of `stop` as long as this lives, on this thread.
class Interruptible {
 public:
  explicit Interruptible(const std::stop_token& stop) {
    static std::once_flag once;
    std::call_once(once,
                   [] { faiss::InterruptCallback::instance = std::make_unique<Interrupter>(); });
    Interrupter::of_this_thread() = &stop;
  }
  Interruptible(const Interruptible&) = delete;
  Interruptible& operator=(const Interruptible&) = delete;
  ~Interruptible() { Interrupter::of_this_thread() = nullptr; }
};

/// The index within wrappers that transform or refine.
template <typename Index>  // faiss::Index, or const of it
Index* unwrapped(Index* index) {
  for (;;) {
    if (const auto* transforming = dynamic_cast<const faiss::IndexPreTransform*>(index)) {
      index = transforming->index;
    } else if (const auto* refining = dynamic_cast<const faiss::IndexRefine*>(index)) {
      index = refining->base_index;
    } else {
      return index;
    }
  }
}

const faiss::IndexIVF* lists_of(const faiss::Index& index) {
  return dynamic_cast<const faiss::IndexIVF*>(unwrapped(&index));
}

const faiss::IndexIVFPQFastScan* packed_lists_of(const faiss::Index& index) {
  return dynamic_cast<const faiss::IndexIVFPQFastScan*>(unwrapped(&index));
}

/// Of an index that keeps vectors as codes of parts of them; null of any other.
faiss::ProductQuantizer* quantizer_of(faiss::Index& index) {
  faiss::Index* inner = unwrapped(&index);
  if (const auto* graph = dynamic_cast<faiss::IndexHNSW*>(inner)) inner = graph->storage;
  if (auto* lists = dynamic_cast<faiss::IndexIVFPQ*>(inner)) return &lists->pq;
  if (auto* lists = dynamic_cast<faiss::IndexIVFPQFastScan*>(inner)) return &lists->pq;
  if (auto* codes = dynamic_cast<faiss::IndexPQ*>(inner)) return &codes->pq;
  return nullptr;
}

/// Training for searches by Hamming distance, which nobody makes here, takes minutes. And FAISS
/// prints a warning where a centroid gets few vectors: whether they are enough is told by the
/// recall that is measured afterwards.
void prepare_training(faiss::Index& index) {
  faiss::Index* inner = unwrapped(&index);
  if (auto* lists = dynamic_cast<faiss::IndexIVF*>(inner)) lists->cp.min_points_per_centroid = 1;
  if (auto* lists = dynamic_cast<faiss::IndexIVFPQ*>(inner)) lists->do_polysemous_training = false;
  if (auto* codes = dynamic_cast<faiss::IndexPQ*>(inner)) codes->do_polysemous_training = false;
  if (auto* quantizer = quantizer_of(index)) quantizer->cp.min_points_per_centroid = 1;
}

/// What a graph under construction asks of its vectors: Debian's FAISS is compiled without AVX2.
class QuickProducts final : public faiss::FlatCodesDistanceComputer {
 public:
  explicit QuickProducts(const faiss::IndexFlat& vectors)
      : FlatCodesDistanceComputer(vectors.codes.data(), vectors.code_size),
        dim_(static_cast<std::size_t>(vectors.d)) {}
  void set_query(const float* query) override { query_ = query; }
  float distance_to_code(const std::uint8_t* code) override {
    return quick_similarity(query_, reinterpret_cast<const float*>(code), dim_);
  }
  float symmetric_dis(idx_t a, idx_t b) override { return quick_similarity(at(a), at(b), dim_); }

 private:
  [[nodiscard]] const float* at(idx_t place) const {
    return reinterpret_cast<const float*>(codes + static_cast<std::size_t>(place) * code_size);
  }
  std::size_t dim_;
  const float* query_ = nullptr;
};

class QuickFlat final : public faiss::IndexFlatIP {
 public:
  using IndexFlatIP::IndexFlatIP;
  [[nodiscard]] faiss::FlatCodesDistanceComputer* get_FlatCodesDistanceComputer() const override {
    return new QuickProducts(*this);  // FAISS deletes it
  }
};

ScalarCodes scalar_codes_of(const faiss::IndexScalarQuantizer& storage) {
  const auto dim = static_cast<std::size_t>(storage.d);
  const std::span<const float> trained(storage.sq.trained);
  return {storage.codes.data(), trained.first(dim), trained.subspan(dim, dim)};
}

/// The same of vectors in bytes.
class QuickCodeProducts final : public faiss::FlatCodesDistanceComputer {
 public:
  explicit QuickCodeProducts(const faiss::IndexScalarQuantizer& storage)
      : FlatCodesDistanceComputer(storage.codes.data(), storage.code_size),
        codes_(scalar_codes_of(storage)) {}
  void set_query(const float* query) override { query_.emplace(codes_, query); }
  float distance_to_code(const std::uint8_t* code) override { return query_->similarity(code); }
  float symmetric_dis(idx_t a, idx_t b) override {
    return codes_.similarity(codes_.code(static_cast<std::size_t>(a)),
                             codes_.code(static_cast<std::size_t>(b)));
  }

 private:
  ScalarCodes codes_;
  std::optional<ScalarCodeQuery> query_;
};

class QuickScalarQuantizer final : public faiss::IndexScalarQuantizer {
 public:
  using IndexScalarQuantizer::IndexScalarQuantizer;
  [[nodiscard]] faiss::FlatCodesDistanceComputer* get_FlatCodesDistanceComputer() const override {
    return new QuickCodeProducts(*this);  // FAISS deletes it
  }
};

/// Of a graph over vectors in bytes, else null.
const faiss::IndexScalarQuantizer* bytes_of(const faiss::Index& index) {
  const auto* graph = dynamic_cast<const faiss::IndexHNSW*>(&index);
  if (graph == nullptr) return nullptr;
  const auto* storage = dynamic_cast<const faiss::IndexScalarQuantizer*>(graph->storage);
  const bool is_of_bytes =
      storage != nullptr && storage->sq.qtype == faiss::ScalarQuantizer::QT_8bit;
  return is_of_bytes ? storage : nullptr;
}

/// Of an empty graph over vectors as they are or in bytes.
void quicken(faiss::Index& index) {
  auto* graph = dynamic_cast<faiss::IndexHNSW*>(&index);
  if (graph == nullptr || !graph->own_fields) return;
  std::unique_ptr<faiss::Index> quick;
  if (dynamic_cast<const faiss::IndexFlat*>(graph->storage) != nullptr) {
    quick = std::make_unique<QuickFlat>(index.d);
  } else if (bytes_of(index) != nullptr) {
    quick = std::make_unique<QuickScalarQuantizer>(index.d, faiss::ScalarQuantizer::QT_8bit,
                                                   faiss::METRIC_INNER_PRODUCT);
  } else {
    return;
  }
  delete graph->storage;
  graph->storage = quick.release();
}

/// Lists whose vectors are those of the nearest centre, which is found by comparing with all.
void quicken_lists(faiss::Index& index, int num_threads) {
  auto* lists = dynamic_cast<faiss::IndexIVF*>(&index);
  if (lists == nullptr || !lists->own_fields) return;
  if (dynamic_cast<const faiss::IndexFlat*>(lists->quantizer) == nullptr) return;
  auto quick = std::make_unique<QuickCentres>(static_cast<std::size_t>(index.d), num_threads);
  delete lists->quantizer;
  lists->quantizer = quick.release();
}

std::unique_ptr<faiss::Index> make_index(const std::string& spec, std::size_t dim) {
  try {
    std::unique_ptr<faiss::Index> index(
        faiss::index_factory(static_cast<int>(dim), spec.c_str(), faiss::METRIC_INNER_PRODUCT));
    prepare_training(*index);
    quicken(*index);
    if (const auto* lists = packed_lists_of(*index)) CodeLists::require_blocks(*lists);
    return index;
  } catch (const Error&) {
    throw;
  } catch (const std::exception& error) {
    throw Error(ErrorKind::kInvalidInput, "FAISS makes no index " + spec + " for vectors of " +
                                              std::to_string(dim) + " dimensions (" +
                                              first_line_of(error) +
                                              "); try HNSW32, or Flat for exact search");
  }
}

/// How many vectors to train on; 0: it wants none.
std::size_t training_size(faiss::Index& index, std::size_t num_vectors) {
  if (index.is_trained) return 0;
  const faiss::IndexIVF* lists = lists_of(index);
  const faiss::ProductQuantizer* quantizer = quantizer_of(index);
  return std::min(num_vectors,
                  std::max({lists == nullptr ? 0 : lists->nlist * kTrainingVectorsPerList,
                            quantizer == nullptr ? 0 : quantizer->ksub * kTrainingVectorsPerCode,
                            kLeastTrainingVectors}));
}

/// Vectors from all over the whole, in their order, so that each time is in it.
std::vector<float> sample_of(std::span<const float> vectors, std::size_t dim, std::size_t size) {
  const std::size_t num_vectors = vectors.size() / dim;
  std::vector<float> sample;
  sample.reserve(size * dim);
  for (std::size_t i = 0; i < size; ++i) {
    const auto row = vectors.subspan(i * num_vectors / size * dim, dim);
    sample.insert(sample.end(), row.begin(), row.end());
  }
  return sample;
}

void train(faiss::Index& index, std::span<const float> vectors, std::size_t dim) {
  const std::size_t size = training_size(index, vectors.size() / dim);
  if (size == 0) return;
  const std::vector<float> sample = sample_of(vectors, dim, size);
  index.train(static_cast<faiss::Index::idx_t>(size), sample.data());
}

const faiss::IndexHNSW* as_graph(const faiss::Index& index) {
  return dynamic_cast<const faiss::IndexHNSW*>(&index);
}

/// A graph gets all vectors at once: FAISS then begins with those of the upper levels, and the same
/// width finds 95.5 % instead of 92.3 % (200,000 x 128, width 24). It hears between vectors who
/// wants to stop. Of others it hears that between pieces.
void add_all(faiss::Index& index, std::span<const float> vectors, const IndexBuild& how) {
  const auto dim = static_cast<std::size_t>(index.d);
  const std::size_t num_vectors = vectors.size() / dim;
  const std::size_t piece = as_graph(index) != nullptr ? num_vectors : kVectorsPerAdd;
  for (std::size_t first = 0; first < num_vectors; first += piece) {
    if (how.stop.stop_requested()) throw Interrupted();
    const std::size_t count = std::min(piece, num_vectors - first);
    index.add(static_cast<faiss::Index::idx_t>(count), vectors.data() + first * dim);
    if (how.added) how.added(count);
  }
}

/// Inverted lists whose search can be told width and filter each time.
const faiss::IndexIVF* as_plain_lists(const faiss::Index& index) {
  const bool is_plain = dynamic_cast<const faiss::IndexIVFFlat*>(&index) != nullptr ||
                        dynamic_cast<const faiss::IndexIVFPQ*>(&index) != nullptr ||
                        dynamic_cast<const faiss::IndexIVFScalarQuantizer*>(&index) != nullptr;
  return is_plain ? dynamic_cast<const faiss::IndexIVF*>(&index) : nullptr;
}

GraphView view_of(const faiss::HNSW& graph) {
  GraphView view;
  view.list_begins = std::span(graph.offsets).first(graph.levels.size());
  view.neighbours = graph.neighbors;
  view.level_ends = graph.cum_nneighbor_per_level;
  view.entry = graph.entry_point;
  view.max_level = graph.max_level;
  return view;
}

/// Vectors as they are.
class FlatScorer {
 public:
  FlatScorer(const float* vectors, std::span<const float> query)
      : vectors_(vectors), query_(query) {}
  void score(std::span<const std::int32_t> places, float* scores) const {
    quick_similarities(query_.data(), vectors_, query_.size(), places, scores);
  }

 private:
  const float* vectors_;
  std::span<const float> query_;
};

/// Vectors in bytes.
class ByteScorer {
 public:
  ByteScorer(const ScalarCodes& codes, std::span<const float> query)
      : query_(codes, query.data()) {}
  void score(std::span<const std::int32_t> places, float* scores) const {
    query_.similarities(places, scores);
  }

 private:
  ScalarCodeQuery query_;
};

/// Vectors in other codes, which FAISS reads.
class CodeScorer {
 public:
  CodeScorer(const faiss::Index& storage, std::span<const float> query)
      : computer_(storage.get_distance_computer()) {
    computer_->set_query(query.data());
  }
  void score(std::span<const std::int32_t> places, float* scores) const {
    for (std::size_t i = 0; i < places.size(); ++i) scores[i] = (*computer_)(places[i]);
  }

 private:
  std::unique_ptr<faiss::DistanceComputer> computer_;
};

class Selector final : public faiss::IDSelector {
 public:
  explicit Selector(const Admission& admits) : admits_(admits) {}
  [[nodiscard]] bool is_member(idx_t id) const override {
    return admits_(static_cast<std::size_t>(id));
  }

 private:
  const Admission& admits_;
};

class BytesReader final : public faiss::IOReader {
 public:
  explicit BytesReader(std::span<const std::byte> bytes) : bytes_(bytes) {}
  size_t operator()(void* to, size_t size, size_t count) override {
    if (size == 0 || count == 0) return count;
    const std::size_t whole = std::min(count, (bytes_.size() - at_) / size);
    if (whole > 0) std::memcpy(to, bytes_.data() + at_, whole * size);
    at_ += whole * size;
    return whole;
  }

 private:
  std::span<const std::byte> bytes_;
  std::size_t at_ = 0;
};

class SinkWriter final : public faiss::IOWriter {
 public:
  explicit SinkWriter(const std::function<void(const void*, std::size_t)>& sink) : sink_(sink) {}
  size_t operator()(const void* data, size_t size, size_t count) override {
    if (size * count > 0) sink_(data, size * count);
    return count;
  }

 private:
  const std::function<void(const void*, std::size_t)>& sink_;
};

std::unique_ptr<const CodeLists> code_lists_of(const faiss::Index& index) {
  const faiss::IndexIVFPQFastScan* lists = packed_lists_of(index);
  return lists == nullptr ? nullptr : std::make_unique<const CodeLists>(*lists);
}

/// The query as the index within wrappers knows it.
std::vector<float> transformed(const faiss::Index& index, std::span<const float> query) {
  std::vector<float> vector(query.begin(), query.end());
  const faiss::Index* within = &index;
  for (;;) {
    if (const auto* refining = dynamic_cast<const faiss::IndexRefine*>(within)) {
      within = refining->base_index;
    } else if (const auto* transforming = dynamic_cast<const faiss::IndexPreTransform*>(within)) {
      for (const faiss::VectorTransform* transform : transforming->chain) {
        std::vector<float> next(static_cast<std::size_t>(transform->d_out));
        transform->apply_noalloc(1, vector.data(), next.data());
        vector = std::move(next);
      }
      within = transforming->index;
    } else {
      return vector;
    }
  }
}

const faiss::IndexFlat* flat_vectors_of(const faiss::Index& index) {
  const faiss::IndexHNSW* graph = as_graph(index);
  return dynamic_cast<const faiss::IndexFlat*>(graph != nullptr ? graph->storage : &index);
}

}  // namespace

FaissIndex::FaissIndex(std::unique_ptr<faiss::Index> index)
    : index_(std::move(index)), code_lists_(code_lists_of(*index_)) {
  if (const auto* bytes = bytes_of(*index_)) {
    scalar_codes_ = std::make_unique<const ScalarCodes>(scalar_codes_of(*bytes));
  }
}
FaissIndex::FaissIndex(FaissIndex&& other) noexcept = default;
FaissIndex& FaissIndex::operator=(FaissIndex&& other) noexcept = default;
FaissIndex::~FaissIndex() = default;

void FaissIndex::check_spec(const std::string& spec, std::size_t dim) {
  static_cast<void>(make_index(spec, dim));
}

std::size_t FaissIndex::num_needed(const std::string& spec, std::size_t dim) {
  const std::unique_ptr<faiss::Index> index = make_index(spec, dim);
  const faiss::IndexIVF* lists = lists_of(*index);
  const faiss::ProductQuantizer* quantizer = quantizer_of(*index);
  return std::max({std::size_t{1}, lists == nullptr ? 0 : lists->nlist,
                   quantizer == nullptr ? 0 : quantizer->ksub});
}

std::string FaissIndex::spec_for_part(const std::string& spec, std::size_t num_vectors) {
  static const std::regex kLists("IVF([0-9]{1,9})");
  std::smatch match;
  if (!std::regex_search(spec, match, kLists)) return spec;
  const std::size_t most = std::max(std::size_t{1}, num_vectors / kLeastVectorsPerList);
  const std::size_t num_lists = std::min<std::size_t>(std::stoul(match[1]), most);
  return match.prefix().str() + "IVF" + std::to_string(num_lists) + match.suffix().str();
}

FaissIndex FaissIndex::build(const IndexBuild& how, std::span<const float> vectors,
                             std::size_t dim) {
  std::unique_ptr<faiss::Index> index = make_index(how.spec, dim);
  const Interruptible interruptible(how.stop);
  const OpenMpThreads threads(how.num_threads);
  quicken_lists(*index, how.num_threads);
  try {
    train(*index, vectors, dim);
    add_all(*index, vectors, how);
  } catch (const faiss::FaissException& error) {
    if (how.stop.stop_requested()) throw Interrupted();
    throw Error(ErrorKind::kInvalidInput, "FAISS cannot make the index " + how.spec + " of " +
                                              std::to_string(vectors.size() / dim) + " vectors (" +
                                              first_line_of(error) +
                                              "); take one with fewer lists, or HNSW32");
  }
  return FaissIndex(std::move(index));
}

FaissIndex FaissIndex::read(std::span<const std::byte> bytes) {
  BytesReader reader(bytes);
  try {
    FaissIndex index(std::unique_ptr<faiss::Index>(faiss::read_index(&reader)));
    move_to_huge_pages(std::as_bytes(index.vectors()));
    if (const auto* storage = bytes_of(*index.index_)) {
      move_to_huge_pages(std::as_bytes(std::span(storage->codes)));
    }
    if (const faiss::IndexHNSW* graph = as_graph(*index.index_)) {
      move_to_huge_pages(std::as_bytes(std::span(graph->hnsw.neighbors)));
      move_to_huge_pages(std::as_bytes(std::span(graph->hnsw.offsets)));
    }
    return index;
  } catch (const faiss::FaissException& error) {
    throw Error(ErrorKind::kCorruptData, "not an index of FAISS (" + first_line_of(error) + ")");
  }
}

void FaissIndex::write(const std::function<void(const void* data, std::size_t size)>& sink) const {
  SinkWriter writer(sink);
  faiss::write_index(index_.get(), &writer);
}

std::size_t FaissIndex::num_vectors() const { return static_cast<std::size_t>(index_->ntotal); }
std::size_t FaissIndex::dim() const { return static_cast<std::size_t>(index_->d); }

std::span<const float> FaissIndex::vectors() const {
  const faiss::IndexFlat* flat = flat_vectors_of(*index_);
  if (flat == nullptr) return {};
  return {flat->get_xb(), num_vectors() * dim()};
}

int FaissIndex::least_width() const {
  if (as_graph(*index_) != nullptr) return kSmallestGraphWidth;
  return lists_of(*index_) != nullptr ? 1 : 0;
}

int FaissIndex::most_width() const {
  if (as_graph(*index_) != nullptr) return kLargestGraphWidth;
  const auto* lists = lists_of(*index_);
  return lists != nullptr ? static_cast<int>(lists->nlist) : 0;
}

bool FaissIndex::looks_wider_for_filters() const {
  return code_lists_ != nullptr || as_plain_lists(*index_) != nullptr;
}

void FaissIndex::set_width(int width) {
  if (width <= 0 || as_graph(*index_) != nullptr || as_plain_lists(*index_) != nullptr) return;
  if (auto* lists = dynamic_cast<faiss::IndexIVF*>(unwrapped(index_.get()))) {
    lists->nprobe = static_cast<std::size_t>(width);
  }
}

double FaissIndex::cost_of(SearchEffort effort, double share) const {
  const auto all = static_cast<double>(num_vectors());
  if (as_graph(*index_) != nullptr) {
    return std::min(all, kCostPerWidth * effort.width) / share;  // it walks on until it has enough
  }
  const faiss::IndexIVF* lists = lists_of(*index_);
  if (lists == nullptr) return all / share;
  const auto num_lists = static_cast<double>(lists->nlist);
  const double looked_at = all * effort.width / num_lists;
  if (code_lists_ == nullptr) return num_lists + looked_at;
  const auto bytes = static_cast<double>(sizeof(float) * dim());
  return num_lists * kCostPerCentre + effort.width * kCostPerList +
         looked_at * share * static_cast<double>(lists->code_size) / bytes +
         effort.places * kCostPerPlace;
}

std::size_t FaissIndex::places_for(std::size_t k, SearchEffort effort) const {
  if (effort.places > 0) {
    constexpr std::size_t kMeasuredFor = 10;
    const auto places = static_cast<std::size_t>(effort.places);
    return std::max(places, (places * k + kMeasuredFor - 1) / kMeasuredFor);
  }
  const bool is_whole = flat_vectors_of(*index_) != nullptr ||
                        dynamic_cast<const faiss::IndexIVFFlat*>(index_.get()) != nullptr;
  if (is_whole) return k + 6;
  // Bytes are off by a thousandth; other codes by more than neighbours lie apart.
  return scalar_codes_ != nullptr ? k + 10 : 10 * k + 32;
}

bool FaissIndex::only_proposes() const {
  return code_lists_ != nullptr || (as_graph(*index_) != nullptr && vectors().empty());
}

std::vector<Found> FaissIndex::search(std::span<const float> query, std::size_t count, int width,
                                      const Admission* admits, double share, std::size_t end,
                                      std::span<const float> prepared,
                                      std::int32_t without_place) const {
  if (code_lists_ != nullptr) return search_code_lists(query, count, width, admits, end, prepared);
  const faiss::IndexHNSW* graph = as_graph(*index_);
  if (graph == nullptr) return search_by_faiss(query, count, width, admits, share);
  const GraphView view = view_of(graph->hnsw);
  // Not wider for a filter: a walk goes on until so many that are admitted have been found.
  const std::size_t wide = std::max(count, static_cast<std::size_t>(width));
  std::vector<Found> found;
  if (const float* vectors = this->vectors().data()) {
    FlatScorer scorer(vectors, query);
    found = GraphWalk<FlatScorer>(view, scorer, wide, admits, without_place).run();
  } else if (scalar_codes_ != nullptr) {
    ByteScorer scorer(*scalar_codes_, query);
    found = GraphWalk<ByteScorer>(view, scorer, wide, admits, without_place).run();
  } else {
    CodeScorer scorer(*graph->storage, query);
    found = GraphWalk<CodeScorer>(view, scorer, wide, admits, without_place).run();
  }
  if (found.size() > count) found.resize(count);
  return found;
}

std::vector<float> FaissIndex::prepare(std::span<const float> queries) const {
  const bool is_wrapped = index_.get() != unwrapped(index_.get());
  if (code_lists_ == nullptr || is_wrapped) return {};
  return code_lists_->score_lists(queries);
}

std::vector<Found> FaissIndex::search_code_lists(std::span<const float> query, std::size_t count,
                                                 int width, const Admission* admits,
                                                 std::size_t end,
                                                 std::span<const float> prepared) const {
  const auto num_probed = static_cast<std::size_t>(std::max(width, 1));
  if (!prepared.empty()) {
    return code_lists_->search(query, prepared, count, num_probed, end, admits);
  }
  const OpenMpThreads alone(1);
  const std::vector<float> within = transformed(*index_, query);
  return code_lists_->search(within, code_lists_->score_lists(within), count, num_probed, end,
                             admits);
}

std::vector<Found> FaissIndex::search_by_faiss(std::span<const float> query, std::size_t count,
                                               int width, const Admission* admits,
                                               double share) const {
  const OpenMpThreads alone(1);  // callers divide queries among threads of their own
  const double scarcity = admits == nullptr ? 1.0 : 1.0 / std::max(share, 1e-3);
  std::optional<Selector> selector;
  faiss::SearchParametersIVF in_lists;
  const faiss::SearchParameters* parameters = nullptr;
  std::size_t asked = count;
  if (const faiss::IndexIVF* lists = as_plain_lists(*index_)) {
    in_lists.nprobe = std::min(lists->nlist, static_cast<std::size_t>(std::max(width, 1)));
    if (admits != nullptr) in_lists.sel = &selector.emplace(*admits);
    parameters = &in_lists;
  } else {
    asked = static_cast<std::size_t>(std::ceil(static_cast<double>(count) * scarcity * 1.5));
  }
  asked = std::min(asked, num_vectors());
  std::vector<float> scores(asked);
  std::vector<faiss::Index::idx_t> places(asked, -1);
  index_->search(1, query.data(), static_cast<faiss::Index::idx_t>(asked), scores.data(),
                 places.data(), parameters);
  std::vector<Found> found;
  for (std::size_t i = 0; i < asked && found.size() < count; ++i) {
    if (places[i] < 0) continue;
    if (admits != nullptr && !selector && !(*admits)(static_cast<std::size_t>(places[i]))) continue;
    found.push_back({static_cast<std::int32_t>(places[i]), scores[i]});
  }
  return found;
}

}  // namespace mmra::retrieval
