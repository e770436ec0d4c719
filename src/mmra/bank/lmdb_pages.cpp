#include "mmra/bank/lmdb_pages.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <string_view>
#include <vector>

namespace mmra::bank {
namespace {

// Names and numbers are those of LMDB's mdb.c.
constexpr std::uint32_t kMagic = 0xBEEFC0DE;
constexpr std::uint32_t kDataVersion = 1;
constexpr std::uint16_t kBranchPage = 0x01;
constexpr std::uint16_t kLeafPage = 0x02;
constexpr std::uint16_t kOverflowPage = 0x04;
constexpr std::uint16_t kMetaPage = 0x08;
constexpr std::uint16_t kBigData = 0x01;  // of a leaf's node: its value is on overflow pages
constexpr std::uint16_t kSubData = 0x02;  // of a leaf's node: its value is a tree
constexpr std::uint16_t kIntegerKey = 0x08;
constexpr std::uint64_t kNoPage = ~std::uint64_t{0};
constexpr std::size_t kPageHeaderBytes = 16;
constexpr std::size_t kNodeHeaderBytes = 8;
constexpr std::size_t kMaxKeyBytes = 511;
constexpr std::size_t kTreeBytes = 48;
constexpr std::size_t kMetaBytes = 136;
constexpr std::size_t kMinPageBytes = 512;
constexpr std::size_t kMaxPageBytes = 32768;
constexpr int kMaxDepth = 32;
constexpr std::uint64_t kMaxFileBytes = std::uint64_t{1} << 40U;  // the largest map of a bank
constexpr std::uint64_t kFirstTreePage = 2;
constexpr std::string_view kNames[] = {"features", "histories", "meta", "records", "thumbnails"};

/// Thrown and caught in this file alone.
struct Fault {
  std::string what;
};

[[noreturn]] void fail(const std::string& what) { throw Fault{what}; }

[[noreturn]] void fail_page(std::uint64_t page, const std::string& what) {
  fail("page " + std::to_string(page) + " " + what);
}

template <typename T>
T read(std::span<const std::byte> bytes, std::size_t offset) {
  if (bytes.size() < sizeof(T) || offset > bytes.size() - sizeof(T)) fail("it ends too early");
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof value);
  return value;
}

std::span<const std::byte> part(std::span<const std::byte> bytes, std::size_t offset,
                                std::size_t size) {
  if (offset > bytes.size() || size > bytes.size() - offset) fail("it ends too early");
  return bytes.subspan(offset, size);
}

/// MDB_db: one tree.
struct Tree {
  std::uint32_t pad = 0;  ///< the page size, in the tree of free pages
  std::uint16_t flags = 0;
  std::uint16_t depth = 0;
  std::uint64_t num_entries = 0;
  std::uint64_t root = kNoPage;
};

Tree read_tree(std::span<const std::byte> bytes) {
  return {read<std::uint32_t>(bytes, 0), read<std::uint16_t>(bytes, 4),
          read<std::uint16_t>(bytes, 6), read<std::uint64_t>(bytes, 32),
          read<std::uint64_t>(bytes, 40)};
}

/// MDB_meta: one of the two newest commits.
struct Meta {
  Tree free_pages;
  Tree main;  ///< of the names of the trees
  std::uint64_t last_page = 0;
  std::uint64_t transaction_id = 0;
};

Meta read_meta(std::span<const std::byte> page, std::uint64_t number) {
  if (read<std::uint64_t>(page, 0) != number || read<std::uint16_t>(page, 10) != kMetaPage) {
    fail_page(number, "is no meta page");
  }
  const auto body = part(page, kPageHeaderBytes, kMetaBytes);
  if (read<std::uint32_t>(body, 0) != kMagic || read<std::uint32_t>(body, 4) != kDataVersion) {
    fail_page(number, "is not a meta page of LMDB's data version 1");
  }
  return {read_tree(body.subspan(24, kTreeBytes)), read_tree(body.subspan(72, kTreeBytes)),
          read<std::uint64_t>(body, 120), read<std::uint64_t>(body, 128)};
}

std::size_t page_bytes_of(const Meta& meta, std::uint64_t number) {
  const std::size_t bytes = meta.free_pages.pad;
  if (!std::has_single_bit(bytes) || bytes < kMinPageBytes || bytes > kMaxPageBytes) {
    fail_page(number, "gives a page size of " + std::to_string(bytes) + " bytes");
  }
  return bytes;
}

std::array<Meta, 2> read_metas(std::span<const std::byte> file) {
  std::array<Meta, 2> metas;
  metas[0] = read_meta(file, 0);
  const std::size_t page_bytes = page_bytes_of(metas[0], 0);
  metas[1] = read_meta(part(file, page_bytes, kPageHeaderBytes + kMetaBytes), 1);
  if (page_bytes_of(metas[1], 1) != page_bytes) fail("its meta pages differ in the page size");
  for (std::uint64_t number = 0; number < metas.size(); ++number) {
    if (metas[number].last_page >= kMaxFileBytes / page_bytes) {
      fail_page(number, "gives a last page beyond any bank's");
    }
  }
  // LMDB takes the newer one, and counts on commit n being in page n mod 2.
  const Meta& newer = metas[metas[0].transaction_id < metas[1].transaction_id ? 1 : 0];
  if (newer.transaction_id % 2 != static_cast<std::size_t>(&newer - metas.data())) {
    fail("its meta pages hold the commits " + std::to_string(metas[0].transaction_id) + " and " +
         std::to_string(metas[1].transaction_id));
  }
  return metas;
}

/// A branch or leaf page whose node pointers lie inside it.
struct Page {
  std::uint64_t number = 0;
  bool is_branch = false;
  std::size_t num_nodes = 0;
  std::span<const std::byte> bytes;
};

struct Node {
  std::uint64_t value_bytes = 0;  ///< of a leaf's node
  std::uint64_t child = 0;        ///< of a branch's node
  std::uint16_t flags = 0;        ///< of a leaf's node
  std::string_view key;
  std::span<const std::byte> rest;  ///< of the page, behind the key
};

enum class TreeKind { kFreePages, kMain, kValues };

class PageWalk {
 public:
  PageWalk(std::span<const std::byte> file, const Meta& meta, PageCheck check)
      : file_(file), page_bytes_(meta.free_pages.pad), check_(check) {
    num_pages_ = std::min<std::uint64_t>(file.size() / page_bytes_, meta.last_page + 1);
    seen_.resize(num_pages_);
    const std::uint64_t num_meta_pages = std::min(num_pages_, kFirstTreePage);
    std::fill_n(seen_.begin(), num_meta_pages, true);
  }

  void walk(const Meta& meta) {
    if (meta.free_pages.flags != kIntegerKey) fail("the tree of free pages has unknown flags");
    walk_tree(meta.main, TreeKind::kMain, "the tree of names");
    for (const auto& [name, tree] : named_) walk_tree(tree, TreeKind::kValues, name);
    // After the others: no page may be free that is in use.
    walk_tree(meta.free_pages, TreeKind::kFreePages, "the tree of free pages");
  }

 private:
  struct Named {
    std::string name;
    Tree tree;
  };

  void walk_tree(const Tree& tree, TreeKind kind, const std::string& name) {
    if (kind != TreeKind::kFreePages && tree.flags != 0) fail(name + " has unknown flags");
    if ((tree.root == kNoPage) != (tree.depth == 0) || tree.depth > kMaxDepth) {
      fail(name + " has a root and a depth that do not belong together");
    }
    kind_ = kind;
    depth_ = tree.depth;
    num_entries_ = 0;
    previous_key_.reset();
    separator_.reset();
    if (tree.root != kNoPage) walk_page(tree.root, 1);
    if (num_entries_ != tree.num_entries) {
      fail(name + " has " + std::to_string(num_entries_) + " entries, expected " +
           std::to_string(tree.num_entries));
    }
  }

  /// Marks `count` pages as used; each may be used once, which also ends every cycle.
  void use(std::uint64_t first, std::uint64_t count) {
    if (first < kFirstTreePage || first >= num_pages_ || count > num_pages_ - first) {
      fail_page(first, "does not exist");
    }
    for (std::uint64_t page = first; page < first + count; ++page) {
      if (seen_[page]) fail_page(page, "is used twice");
      seen_[page] = true;
    }
  }

  [[nodiscard]] std::span<const std::byte> bytes_of(std::uint64_t page, std::size_t size) const {
    return part(file_, page * page_bytes_, size);
  }

  // Recursion is as deep as the tree, at most kMaxDepth.
  void walk_page(std::uint64_t number, int level) {
    const Page page = open_page(number, level);
    for (std::size_t i = 0; i < page.num_nodes; ++i) {
      const Node node = read_node(page, i);
      if (page.is_branch) {
        if (i > 0) {
          check_key(page, node.key);
          separator_ = node.key;
        }
        walk_page(node.child, level + 1);
      } else {
        check_key(page, node.key);
        if (separator_ && is_before(node.key, *separator_)) {
          fail_page(page.number, "has keys that its branch page does not lead to");
        }
        separator_.reset();
        previous_key_ = node.key;
        ++num_entries_;
        check_value(page, node);
      }
    }
  }

  Page open_page(std::uint64_t number, int level) {
    use(number, 1);
    Page page{number, level < depth_, 0, bytes_of(number, page_bytes_)};
    const auto flags = read<std::uint16_t>(page.bytes, 10);
    if (read<std::uint64_t>(page.bytes, 0) != number ||
        flags != (page.is_branch ? kBranchPage : kLeafPage)) {
      fail_page(number, page.is_branch ? "is no branch page" : "is no leaf page");
    }
    const std::size_t lower = read<std::uint16_t>(page.bytes, 12);
    const std::size_t upper = read<std::uint16_t>(page.bytes, 14);
    if (lower < kPageHeaderBytes || lower % 2 != 0 || lower > upper || upper > page_bytes_) {
      fail_page(number, "has no sound list of nodes");
    }
    page.num_nodes = (lower - kPageHeaderBytes) / 2;
    const bool needs_two = page.is_branch && kind_ != TreeKind::kFreePages;
    if (page.num_nodes < (needs_two ? 2U : 1U)) fail_page(number, "has too few nodes");
    return page;
  }

  static Node read_node(const Page& page, std::size_t index) {
    const std::size_t offset =
        read<std::uint16_t>(page.bytes, kPageHeaderBytes + sizeof(std::uint16_t) * index);
    const std::size_t upper = read<std::uint16_t>(page.bytes, 14);
    if (offset < upper || offset % 2 != 0 || offset + kNodeHeaderBytes > page.bytes.size()) {
      fail_page(page.number, "has a node outside of itself");
    }
    const std::uint64_t low = read<std::uint32_t>(page.bytes, offset);
    const std::uint64_t flags = read<std::uint16_t>(page.bytes, offset + 4);
    const std::size_t key_bytes = read<std::uint16_t>(page.bytes, offset + 6);
    const std::size_t key_begin = offset + kNodeHeaderBytes;
    if (key_bytes > kMaxKeyBytes || key_bytes > page.bytes.size() - key_begin) {
      fail_page(page.number, "has a key outside of itself");
    }
    Node node;
    node.key = {reinterpret_cast<const char*>(page.bytes.data() + key_begin), key_bytes};
    node.rest = page.bytes.subspan(key_begin + key_bytes);
    if (page.is_branch) {
      node.child = low | (flags << 32U);
    } else {
      node.value_bytes = low;
      node.flags = static_cast<std::uint16_t>(flags);
    }
    return node;
  }

  /// Keys rise from one node to the next, over all pages; a branch's are above all to their left.
  void check_key(const Page& page, std::string_view key) const {
    const bool sized =
        kind_ == TreeKind::kFreePages ? key.size() == sizeof(std::uint64_t) : !key.empty();
    if (!sized) fail_page(page.number, "has a key of " + std::to_string(key.size()) + " bytes");
    if (previous_key_ && !is_before(*previous_key_, key)) {
      fail_page(page.number, "has keys that are out of order");
    }
  }

  [[nodiscard]] bool is_before(std::string_view a, std::string_view b) const {
    if (kind_ != TreeKind::kFreePages) return a < b;
    return read<std::uint64_t>(std::as_bytes(std::span(a)), 0) <
           read<std::uint64_t>(std::as_bytes(std::span(b)), 0);
  }

  void check_value(const Page& page, const Node& node) {
    const auto value = value_of(page, node);
    if (kind_ == TreeKind::kMain) {
      const auto* const name = std::find(std::begin(kNames), std::end(kNames), node.key);
      if (node.flags != kSubData || value.size() != kTreeBytes || name == std::end(kNames)) {
        fail_page(page.number, "names something that is no tree of a bank");
      }
      named_.push_back({std::string(node.key), read_tree(value)});
    } else if (kind_ == TreeKind::kFreePages && check_ == PageCheck::kForChanging) {
      check_free_pages(page, value);
    }
  }

  std::span<const std::byte> value_of(const Page& page, const Node& node) {
    if (kind_ != TreeKind::kMain && (node.flags & ~kBigData) != 0) {
      fail_page(page.number, "has a node with unknown flags");
    }
    if ((node.flags & kBigData) == 0) {
      if (node.value_bytes > node.rest.size()) {
        fail_page(page.number, "has a value outside of itself");
      }
      return node.rest.first(node.value_bytes);
    }
    if (node.rest.size() < sizeof(std::uint64_t)) {
      fail_page(page.number, "has a value outside of itself");
    }
    return overflow_value(read<std::uint64_t>(node.rest, 0), node.value_bytes);
  }

  std::span<const std::byte> overflow_value(std::uint64_t first, std::uint64_t value_bytes) {
    const std::uint64_t needed = (kPageHeaderBytes - 1 + value_bytes) / page_bytes_ + 1;
    std::uint64_t count = needed;
    if (check_ == PageCheck::kForChanging && first < num_pages_) {
      const auto header = bytes_of(first, kPageHeaderBytes);
      count = read<std::uint32_t>(header, 12);
      if (read<std::uint64_t>(header, 0) != first ||
          read<std::uint16_t>(header, 10) != kOverflowPage || count < needed) {
        fail_page(first, "is no overflow page of its value");
      }
    }
    use(first, count);
    return part(file_, first * page_bytes_ + kPageHeaderBytes, value_bytes);
  }

  /// A list of page numbers, its length first.
  void check_free_pages(const Page& page, std::span<const std::byte> list) {
    const auto count = read<std::uint64_t>(list, 0);
    if (count > list.size() / sizeof(std::uint64_t) - 1) {
      fail_page(page.number, "has a list of free pages that is too short");
    }
    std::uint64_t previous = kNoPage;
    for (std::uint64_t i = 1; i <= count; ++i) {
      const auto free_page = read<std::uint64_t>(list, i * sizeof(std::uint64_t));
      if (free_page >= previous || free_page < kFirstTreePage) {
        fail_page(page.number, "has a list of free pages that is out of order");
      }
      // Free pages at the end of the file may never have been written.
      if (free_page < num_pages_) use(free_page, 1);
      previous = free_page;
    }
  }

  std::span<const std::byte> file_;
  std::size_t page_bytes_;
  PageCheck check_;
  std::uint64_t num_pages_ = 0;
  std::vector<bool> seen_;
  std::vector<Named> named_;
  // Of the tree that is being walked.
  TreeKind kind_ = TreeKind::kMain;
  int depth_ = 0;
  std::uint64_t num_entries_ = 0;
  std::optional<std::string_view> previous_key_;
  std::optional<std::string_view> separator_;  ///< the branch's key of the leaf that comes next
};

}  // namespace

std::optional<std::string> find_meta_fault(std::span<const std::byte> beginning) {
  try {
    static_cast<void>(read_metas(beginning));
  } catch (const Fault& fault) {
    return fault.what;
  }
  return std::nullopt;
}

std::optional<std::string> find_page_fault(std::span<const std::byte> file,
                                           std::uint64_t transaction_id, PageCheck check) {
  try {
    const Meta meta = read_metas(file)[transaction_id % 2];
    if (meta.transaction_id != transaction_id) {
      fail("page " + std::to_string(transaction_id % 2) + " holds the commit " +
           std::to_string(meta.transaction_id) + ", expected " + std::to_string(transaction_id));
    }
    PageWalk(file, meta, check).walk(meta);
  } catch (const Fault& fault) {
    return fault.what;
  }
  return std::nullopt;
}

}  // namespace mmra::bank
