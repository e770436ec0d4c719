#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <queue>
#include <span>
#include <vector>

namespace mmra::retrieval {

/// A vector of an index by its place there, and how similar it is as far as the index can tell.
struct Found {
  std::int32_t place;
  float score;
};

/// The better one comes first; ties by place.
[[nodiscard]] inline bool is_better(const Found& a, const Found& b) {
  return a.score != b.score ? a.score > b.score : a.place < b.place;
}

/// Whether the vector at this place may be among the results.
using Admission = std::function<bool(std::size_t place)>;

/// A hierarchical navigable small-world graph (Malkov and Yashunin, arXiv:1603.09320) as FAISS lays
/// it out. Not owned.
struct GraphView {
  std::span<const std::size_t> list_begins;  ///< of each place in `neighbours`, all levels together
  std::span<const std::int32_t> neighbours;  ///< a list ends with its room, or with -1
  std::span<const std::int32_t> level_ends;  ///< room of levels 0 … l in a place's list, from 0 on
  std::int32_t entry = -1;
  std::int32_t max_level = -1;

  [[nodiscard]] std::span<const std::int32_t> neighbours_of(std::int32_t place, int level) const {
    const std::size_t begin = list_begins[static_cast<std::size_t>(place)];
    const auto from = static_cast<std::size_t>(level_ends[static_cast<std::size_t>(level)]);
    const auto to = static_cast<std::size_t>(level_ends[static_cast<std::size_t>(level) + 1]);
    return neighbours.subspan(begin + from, to - from);
  }
};

/// Which places a walk has been to. Kept from walk to walk, since clearing it would cost more than
/// a walk; one a thread.
class VisitedMarks {
 public:
  /// Forgets all, and has room for so many places.
  void begin(std::size_t num_places) {
    if (marks_.size() < num_places || round_ == UINT16_MAX) {
      marks_.assign(std::max(num_places, marks_.size()), 0);
      round_ = 0;
    }
    ++round_;
  }
  /// Whether it is the first visit.
  bool visit(std::int32_t place) {
    std::uint16_t& mark = marks_[static_cast<std::size_t>(place)];
    const bool is_first = mark != round_;
    mark = round_;
    return is_first;
  }

 private:
  std::vector<std::uint16_t> marks_;
  std::uint16_t round_ = 0;
};

/// One walk from the graph's entry to the `width` best places that are admitted (null: all are),
/// best first: algorithms 2 and 5 of the paper. The walk passes through places that are not
/// admitted, so that a filter costs time and not recall. Scorer: void score(places, scores), the
/// similarity of the query with each of the places.
template <typename Scorer>
class GraphWalk {
 public:
  /// `without`: a place that is walked around as if it were not there, but for the upper levels.
  GraphWalk(const GraphView& graph, Scorer& scorer, std::size_t width, const Admission* admits,
            std::int32_t without = -1)
      : graph_(graph), scorer_(scorer), width_(width), admits_(admits), without_(without) {}

  std::vector<Found> run() {
    if (graph_.entry < 0 || width_ == 0) return {};
    fresh_.assign(1, graph_.entry);
    score_fresh();
    Found at{graph_.entry, scores_[0]};
    for (int level = graph_.max_level; level > 0; --level) at = climb(at, level);
    return search_base(at);
  }

 private:
  /// The best place that steps to better neighbours lead to.
  Found climb(Found at, int level) {
    for (bool moved = true; moved;) {
      moved = false;
      fresh_.clear();
      for (const std::int32_t place : graph_.neighbours_of(at.place, level)) {
        if (place < 0) break;
        fresh_.push_back(place);
      }
      score_fresh();
      for (std::size_t i = 0; i < fresh_.size(); ++i) {
        if (scores_[i] <= at.score) continue;
        at = {fresh_[i], scores_[i]};
        moved = true;
      }
    }
    return at;
  }

  std::vector<Found> search_base(Found start) {
    thread_local VisitedMarks visited;
    visited.begin(graph_.list_begins.size());
    visited.visit(start.place);
    if (without_ >= 0) visited.visit(without_);
    frontier_.push(start);
    take(start);
    while (!frontier_.empty()) {
      const Found at = frontier_.top();
      if (is_full() && at.score < best_.top().score) break;
      frontier_.pop();
      find_fresh(graph_.neighbours_of(at.place, 0), visited);
      score_fresh();
      for (std::size_t i = 0; i < fresh_.size(); ++i) look_at({fresh_[i], scores_[i]});
    }
    return finish();
  }

  /// Those of a list that were not visited yet. Nobody can foresee which, so that nothing is
  /// decided by a jump: a wrong guess of the processor would cost more than a place too much.
  void find_fresh(std::span<const std::int32_t> list, VisitedMarks& visited) {
    fresh_.resize(list.size());
    std::size_t count = 0;
    for (const std::int32_t place : list) {
      if (place < 0) break;
      fresh_[count] = place;
      count += visited.visit(place) ? 1 : 0;
    }
    fresh_.resize(count);
    for (const std::int32_t place : fresh_) {
      __builtin_prefetch(&graph_.list_begins[static_cast<std::size_t>(place)]);
    }
  }

  void score_fresh() {
    scores_.resize(fresh_.size());
    scorer_.score(fresh_, scores_.data());
  }

  void look_at(const Found& found) {
    if (is_full() && found.score <= best_.top().score) return;
    prefetch_list(found.place);
    frontier_.push(found);
    take(found);
  }

  void take(const Found& found) {
    if (admits_ != nullptr && !(*admits_)(static_cast<std::size_t>(found.place))) return;
    best_.push(found);
    if (best_.size() > width_) best_.pop();
  }

  [[nodiscard]] bool is_full() const { return best_.size() >= width_; }

  /// Of a place that may be the next one.
  void prefetch_list(std::int32_t place) const {
    const auto list = graph_.neighbours_of(place, 0);
    constexpr std::size_t kPlacesOfCacheLine = 16;
    for (std::size_t i = 0; i < list.size(); i += kPlacesOfCacheLine) {
      __builtin_prefetch(list.data() + i);
    }
  }

  std::vector<Found> finish() {
    std::vector<Found> found;
    for (; !best_.empty(); best_.pop()) found.push_back(best_.top());
    std::reverse(found.begin(), found.end());
    return found;
  }

  struct IsWorse {
    bool operator()(const Found& a, const Found& b) const { return is_better(b, a); }
  };
  struct IsBetter {
    bool operator()(const Found& a, const Found& b) const { return is_better(a, b); }
  };

  const GraphView& graph_;
  Scorer& scorer_;
  std::size_t width_;
  const Admission* admits_;
  std::int32_t without_;
  std::vector<std::int32_t> fresh_;  ///< places that are looked at next
  std::vector<float> scores_;        ///< of each
  std::priority_queue<Found, std::vector<Found>, IsWorse> frontier_;  ///< the best on top
  std::priority_queue<Found, std::vector<Found>, IsBetter> best_;     ///< the worst on top
};

}  // namespace mmra::retrieval
