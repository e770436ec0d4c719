#!/usr/bin/env python3
"""Recomputes the builtin text encoders in numpy for a few made-up titles.

Writes tests/golden/text/: builtin_titles.txt (fitted on), builtin_queries.txt (encoded) and
builtin_expected.safetensors (title vectors [queries x 1024], tokens [tokens x 512], token counts).
Follows docs/builtin-encoders.md and shares nothing with the C++: dense matrices, numpy's SVD, the
standard library's Unicode tables. Needs numpy; run from anywhere: python3 tools/golden_builtin_text.py
"""

import json
import math
import random
import struct
import unicodedata
from collections import Counter
from pathlib import Path

import numpy as np

OUT = Path(__file__).resolve().parent.parent / "tests" / "golden" / "text"
MASK = (1 << 64) - 1
TOKEN_BASIS, TOKEN_HASH, VECTOR_BASIS, VECTOR_HASH = 448, 64, 256, 768
MAX_TOKENS = 8
PHRASE_ENDS = set(",.!?;:#|~\n\r\u2026\u3001\u3002\uff0c\uff01\uff1f\uff1b\uff1a")
UNSPACED = [(0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x3005, 0x3007), (0x3040, 0x30FF),
            (0x31F0, 0x31FF), (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF),
            (0x1B000, 0x1B16F), (0x20000, 0x3FFFF)]


def made_up_titles():
    """Sentences from word lists, so that words and pairs recur without two titles being the same."""
    rng = random.Random(11)
    who = ["cat", "dog", "grandma", "little boy", "farmer", "chef", "street singer", "panda"]
    what = ["cooks noodles", "dances in the rain", "repairs an old bike", "paints a red wall",
            "sings a love song", "falls into the river", "learns to swim", "opens the gift"]
    where = ["at home", "in the village", "on the beach", "behind the school", "in Zürich"]
    tail = ["so funny!", "you will cry", "wait for the end", "part 2", "not what I expected?"]
    tags = ["# comedy", "# food", "#travel", "# daily life", ""]
    titles = []
    while len(titles) < 46:
        title = " ".join([rng.choice(["My", "The", "A"]), rng.choice(who), rng.choice(what),
                          rng.choice(where)]) + ", " + rng.choice(tail) + " " + rng.choice(tags)
        if title not in titles:
            titles.append(title.strip())
    return titles + ["我的猫跳舞, 太好笑了", "猫在河边唱歌", "", "😂 funny cat 😂"]


QUERIES = [
    "The cat dances in the rain, so funny! # comedy",
    "GRANDMA COOKS NOODLES AT HOME; wait for the end. You will cry! part 2, part 2, part 2, part 2, part 3",
    "A zebra juggles quinces in the village",
    "xylophone qwerty",
    "猫跳舞",
    "नमस्ते dog ที่นี่",
    "😂",
    "  ,.!  ",
    "a",
]


def kind(c):
    category = unicodedata.category(c)
    if category[0] == "M":
        return "mark"
    if category[0] in "LN" or category == "Pc":
        return "unspaced" if any(a <= ord(c) <= b for a, b in UNSPACED) else "letter"
    return "emoji" if 0x1F300 <= ord(c) <= 0x1FAFF else "other"


def phrases_of(title):
    """Words, in phrases."""
    text = unicodedata.normalize("NFKC", title).casefold()
    phrases, run = [[]], ""
    for c in text + " ":
        k = kind(c)
        if run and not (k == "mark" or (k == "letter" and kind(run[0]) == "letter")):
            phrases[-1].append(run)
            run = ""
        if k in ("letter", "unspaced", "emoji") or (k == "mark" and run):
            run += c
        if c in PHRASE_ENDS:
            phrases.append([])
    return [p for p in phrases if p]


def word_terms(words):
    return ["w:" + w for w in words] + ["w:%s %s" % pair for pair in zip(words, words[1:])]


def character_terms(words):
    terms = []
    for word in words:
        padded = " " + word + " "
        for size in (3, 4, 5):
            if len(padded) <= size:
                terms.append("c:" + padded)
                break
            terms += ["c:" + padded[i:i + size] for i in range(len(padded) - size + 1)]
    return terms


def fnv(term):
    value = 0xCBF29CE484222325
    for byte in term.encode():
        value = ((value ^ byte) * 0x100000001B3) & MASK
    return value


def mix(value):
    value = (value + 0x9E3779B97F4A7C15) & MASK
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & MASK
    return value ^ (value >> 31)


def hashed(term, seed, dim):
    row = np.zeros(dim)
    for entry in range(4):
        bits = mix((fnv(term) + seed * 0x632BE59BD9B4E019 + entry * 0x9E3779B97F4A7C15) & MASK)
        row[(bits >> 32) % dim] += 0.5 if bits & 1 else -0.5
    return row


def singular_vectors(weighted, terms, rank):
    """{term: row [rank]} as float16, from one {term: weight} a title."""
    dense = np.zeros((len(weighted), len(terms)))
    for i, title in enumerate(weighted):
        for j, term in enumerate(terms):
            dense[i, j] = np.float32(title.get(term, 0.0))
    _, values, vectors = np.linalg.svd(dense, full_matrices=False)
    basis = np.zeros((len(terms), rank))
    gaps = [1 - b / a for a, b in zip(values, values[1:]) if b > 1e-3 * values[0]]
    print("rank", len(gaps) + 1, "smallest gap", min(gaps))
    for i, (value, vector) in enumerate(zip(values[:rank], vectors)):
        if value > 1e-3 * values[0]:
            basis[:, i] = vector * np.sign(vector[np.abs(vector).argmax()])
    return dict(zip(terms, basis.astype(np.float16).astype(np.float64)))


class Encoder:
    def __init__(self, titles):
        words = [sum(phrases_of(title), []) for title in titles]
        self.num_titles = len(titles)
        self.counts = Counter()
        for w in words:
            self.counts.update(set(word_terms(w)) | set(character_terms(w)))
        known_words = [t for t, n in self.counts.items() if t[0] == "w" and n >= 2]
        self.token_basis = singular_vectors([self.weigh(word_terms(w)) for w in words], known_words,
                                            TOKEN_BASIS)
        frequent = [t for t, n in self.counts.items() if n >= 5]
        self.vector_basis = singular_vectors([self.weigh_both(w) for w in words], frequent,
                                             VECTOR_BASIS)
        self.basis_hashed = sum(np.outer(row, hashed(t, 2, VECTOR_HASH))
                                for t, row in self.vector_basis.items())
        self.scale = 1.0
        energy = sum(float((self.token(w) ** 2).sum()) for w in words if w)
        self.scale = math.sqrt((TOKEN_BASIS + TOKEN_HASH) * len(titles) / energy)

    def weigh(self, terms, over_all=False):
        weights = {t: (1 + math.log(n)) *
                      (math.log((1 + self.num_titles) / (1 + max(1, self.counts[t]))) + 1)
                   for t, n in Counter(terms).items()}
        seen = [w for t, w in weights.items() if t in self.counts]
        over = list(weights.values()) if over_all or not seen else seen
        length = math.sqrt(sum(w * w for w in over)) if over else 1.0
        return {t: w / length for t, w in weights.items()}

    def weigh_both(self, words):
        both = {**self.weigh(word_terms(words)), **self.weigh(character_terms(words))}
        return {t: w * math.sqrt(0.5) for t, w in both.items()}

    def token(self, words):
        terms = word_terms(words)
        basis = np.zeros(TOKEN_BASIS)
        for term, weight in self.weigh(terms).items():
            basis += weight * self.token_basis.get(term, 0.0)
        identity = np.zeros(TOKEN_HASH)
        for term, weight in self.weigh(terms, over_all=True).items():
            identity += 0.2 * weight * hashed(term, 1002, TOKEN_HASH)
        return self.scale * np.concatenate([basis, identity])

    def tokens(self, title):
        phrases = phrases_of(title)
        if not phrases:
            return []
        whole = sum(phrases, [])
        if len(phrases) > MAX_TOKENS - 1:
            phrases = phrases[:MAX_TOKENS - 2] + [sum(phrases[MAX_TOKENS - 2:], [])]
        return [self.token(whole)] + [self.token(p) for p in phrases]

    def vector(self, title):
        weights = self.weigh_both(sum(phrases_of(title), []))
        known = {t: w for t, w in weights.items() if self.counts[t] >= 2}
        basis, rest = np.zeros(VECTOR_BASIS), np.zeros(VECTOR_HASH)
        for term, weight in (known or weights).items():
            basis += weight * self.vector_basis.get(term, 0.0)
            rest += weight * hashed(term, 2, VECTOR_HASH)
        vector = np.concatenate([basis, rest - basis @ self.basis_hashed])
        return vector / max(np.linalg.norm(vector), 1e-12)


def write_safetensors(path, tensors):
    header, data = {}, b""
    for name, (dtype, values) in tensors.items():
        raw = values.tobytes()
        header[name] = {"dtype": dtype, "shape": list(values.shape),
                        "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def main():
    titles = made_up_titles()
    encoder = Encoder(titles)
    tokens = [encoder.tokens(q) for q in QUERIES]
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / "builtin_titles.txt").write_text("".join(t + "\n" for t in titles), encoding="utf-8")
    (OUT / "builtin_queries.txt").write_text("".join(q + "\n" for q in QUERIES), encoding="utf-8")
    write_safetensors(OUT / "builtin_expected.safetensors", {
        "vectors": ("F32", np.array([encoder.vector(q) for q in QUERIES], np.float32)),
        "tokens": ("F32", np.array([row for rows in tokens for row in rows], np.float32)),
        "num_tokens": ("I64", np.array([len(rows) for rows in tokens], np.int64)),
    })
    print(len(titles), "titles,", len(encoder.counts), "terms, scale", encoder.scale)


if __name__ == "__main__":
    main()
