#!/usr/bin/env python3
"""Runs Hugging Face's BERT tokenizer and writes tests/golden/tokenizer/*, which text/word_piece.h must equal.

Usage: python3 tools/golden/tokenizer.py tests/golden/tokenizer [MINILM]
       (tokenizers 0.19.1, transformers 4.41.2)

MINILM is the folder of sentence-transformers/all-MiniLM-L6-v2, for minilm.json.

vocab.txt, tokenizer.json, tokenizer_config.json: a small tokenizer, as transformers saves it.
code_points.json: CRC-32 of what each normalisation step and the division into words do to every code
  point, one a block of 4096.
texts.json: texts with their ids, or the CRC-32 of the ids (int32, little-endian) for each set of
  options, and the text that decode makes of the ids.
minilm.json: texts with their ids in the vocabulary of a real model.
"""

import json
import random
import struct
import sys
import zlib
from pathlib import Path

import tokenizers
import transformers
from tokenizers import AddedToken, normalizers, pre_tokenizers
from transformers import BertTokenizerFast

BLOCK = 4096
MAX_TOKENS = 48
FULL_IDS = 200  # texts whose ids are written whole
OFF = dict(clean_text=False, handle_chinese_chars=False, strip_accents=False, lowercase=False)
STEPS = {
    "clean_text": {**OFF, "clean_text": True},
    "split_chinese": {**OFF, "handle_chinese_chars": True},
    "strip_accents": {**OFF, "strip_accents": True},
    "lower_case": {**OFF, "lowercase": True},
    "all": dict(clean_text=True, handle_chinese_chars=True, strip_accents=True, lowercase=True),
}
OPTIONS = {
    "uncased": dict(do_lower_case=True, strip_accents=None, tokenize_chinese_chars=True),
    "cased": dict(do_lower_case=False, strip_accents=None, tokenize_chinese_chars=True),
    "accents": dict(do_lower_case=True, strip_accents=False, tokenize_chinese_chars=True),
    "stripped": dict(do_lower_case=False, strip_accents=True, tokenize_chinese_chars=False),
}
WORDS = """the a of and to in is you that it he was for on are as with his they I at be this have from
 or one had by word but not what all were we when your can said there use an each which she do how
 their if will up other about out many then them these so some her would make like him into time has
 look two more write go see number no way could people my than first water been call who oil its now
 find long down day did get come made may part video viral dance cat dog funny cooking recipe city
 night Paris Berlin don isn 't 've ll re café naïve über straße Привет мир fun challenge wow""".split()
ENDINGS = "s ing ed er est ly tion ness ment able ful less y ty al ic ous ive ize en 20 24 99 ß é ü".split()
CHARACTERS = ("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
              "éèüöäñçøåàîôûβαγδабвгдежзийклмнопрстуфхцчшщыьэюя"
              "مرحباكيفالسلام" "नमस्ते" "สวัสดี" "你好世界中国日本語のすしカナ漢字한국어"
              "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~…—–“”‘’«»¡¿。，！？、「」"
              "😀😂🔥❤👍🎉👩👨👧🏽🇫🇷\u200d\ufe0f€£¥©®™°")
FRAGMENTS = [
    "the cat", "Dance CHALLENGE", "isn't it", "don't", "#viral #FunnyVideo", "@user_name", "10:30 a.m.",
    "$5.99!!!", "wow...", "café", "cafe\u0301", "NAÏVE", "nai\u0308ve", "Straße", "STRASSE", "İstanbul",
    "ΣΊΣΥΦΟΣ", "Привет, мир", "Ёлка", "مرحبا كيف", "السلامُ عَلَيْكُم", "नमस्ते दुनिया", "สวัสดี", "你好世界",
    "中国 video", "日本語のすし", "カナ漢字", "한국어", "各\u4e00\u9fff\u3400", "\U00020000\U0002a6df",
    "\U0002b820\U0002b91f\U0002b920", "😀😂🔥", "👩‍👩‍👧‍👦", "👍🏽", "🇫🇷🇩🇪", "❤️", "a\u200db", "soft\u00adhyphen",
    "zero\u200bwidth", "tab\there", "line\nbreak\r\nand\rmore", "nul\x00byte", "bell\x07", "\ufeffbom",
    "\ufffd\ufffd", "a\u00a0b\u3000c\u2003d\u2028e\u0085f", "x\u1680y", "[CLS]", "[SEP]", "[MASK]", "[UNK]",
    "[PAD]", "[ CLS ]", "[cls]", "[CLS][SEP]", "##ing", "a##b", "…—–", "“quoted”", "«guillemets»", "¿qué?",
    "。，！？", "e\u0301\u0323\u0327", "\u0301alone", "ﬁne ﬂuff", "Ａｂｃ", "①②③", "ⅷ", "ǅ ǆ", "ŉ", "ǰ", "ΐ",
    "\u1e9e", "\U0001d400\U0001d7d8", "𝓯𝓪𝓷𝓬𝔂", "ᏣᎳᎩ ꭰ", "Ⴀⴀ Ა", "𐐀𐐨", "각 \u1100\u1161\u11a8",
    "ป่าไม้", "ကမ္ဘာ", "ខ្មែរ", "עִבְרִית", "ไทย video", "e\u0489x", "a\u20e3", "1\ufe0f\u20e3", "x" * 99, "y" * 100,
    "z" * 101, "ab" * 60, "é" * 100, "e\u0301" * 100, "the" * 40, "100%", "C++", "a_b-c", "http://x.y/z?q=1",
    "\u0904\u093c", "\u0915\u093c\u094d", "\U00011938", "\u302e\u302f", "\ua8c4\u0301", "\u17d2\u17d3", "",
]


def small_vocabulary():
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    pieces += [c for c in CHARACTERS] + ["##" + c for c in CHARACTERS if c.isalnum()]
    pieces += WORDS + [word.lower() for word in WORDS] + ["##" + ending for ending in ENDINGS]
    pieces += ["##" + word for word in WORDS[:40]] + ["cafe", "naive", "strasse", "i\u0307", "don't", "'s", "n't"]
    return list(dict.fromkeys(pieces))


def crc(data):
    return zlib.crc32(data) & 0xFFFFFFFF


def crc_of_ids(ids):
    return crc(struct.pack(f"<{len(ids)}i", *ids))


def code_point_checksums():
    steps = {name: normalizers.BertNormalizer(**step).normalize_str for name, step in STEPS.items()}
    words = pre_tokenizers.BertPreTokenizer().pre_tokenize_str
    blocks = {name: [] for name in [*STEPS, "words"]}
    for begin in range(0, 0x110000, BLOCK):
        outputs = {name: [] for name in blocks}
        for c in range(begin, begin + BLOCK):
            if 0xD800 <= c <= 0xDFFF:
                continue
            for name, step in steps.items():
                outputs[name].append(step("x" + chr(c) + "y"))
            outputs["words"].append("\0".join(word for word, _ in words("x" + chr(c) + "y")))
        for name in blocks:
            blocks[name].append(crc("\0".join(outputs[name]).encode()))
    return blocks


def random_texts(generator, count):
    texts = []
    marks = [c for c in range(0x300, 0x20000) if chr(c) in MARKS]
    for index in range(count):
        kind = index % 5
        if kind == 0:
            parts = [generator.choice(FRAGMENTS) for _ in range(generator.randint(1, 6))]
            texts.append(generator.choice(["", " ", "  "]).join(parts))
        elif kind == 1:
            texts.append("".join(generator.choice(CHARACTERS + "    ") for _ in range(generator.randint(1, 40))))
        elif kind == 2:
            texts.append(" ".join(generator.choice(WORDS) + generator.choice(ENDINGS + [""] * 20)
                                  + generator.choice(["", "", "", "!", "?", ",", "'s", " .", "'"])
                                  for _ in range(generator.randint(1, 14))))
        elif kind == 3:
            texts.append("".join(generator.choice(["a", "ß", "", " "])
                                 + "".join(chr(generator.choice(marks)) for _ in range(generator.randint(1, 5)))
                                 for _ in range(4)))
        else:
            ranges = [(0x20, 0x7F), (0xA0, 0x250), (0x370, 0x530), (0x590, 0x700), (0x900, 0x1000),
                      (0x2000, 0x2C00), (0x3000, 0x3200), (0x1F300, 0x1F700), (0, 0xD800), (0xE000, 0x30000)]
            texts.append("".join(chr(generator.randrange(*generator.choice(ranges)))
                                 for _ in range(generator.randint(1, 24))))
    return texts


def is_mark(text):
    """Canonically reordered against one of two marks, or stripped."""
    return MARK_NORMALIZER.normalize_str(text) == "" or NFD(text + "\u0334") != text + "\u0334"


NFD = normalizers.NFD().normalize_str
MARK_NORMALIZER = normalizers.BertNormalizer(**STEPS["strip_accents"])
MARKS = {chr(c) for c in range(0x300, 0x20000) if not 0xD800 <= c <= 0xDFFF and is_mark(chr(c))}


def encode(tokenizer, text, max_tokens=MAX_TOKENS):
    return tokenizer(text, truncation=True, max_length=max_tokens)["input_ids"]


def text_cases(vocabulary_file):
    by_options = {name: BertTokenizerFast(str(vocabulary_file), **options) for name, options in OPTIONS.items()}
    generator = random.Random(20240714)
    texts = list(dict.fromkeys(FRAGMENTS + random_texts(generator, 2400)))
    size = len(by_options["uncased"])
    cases = []
    for index, text in enumerate(texts):
        ids = {name: encode(tokenizer, text) for name, tokenizer in by_options.items()}
        decoded = by_options["cased"].decode(ids["cased"], skip_special_tokens=True,
                                             clean_up_tokenization_spaces=True)
        case = {"text": text, "crcs": [crc_of_ids(ids[name]) for name in OPTIONS], "decoded": crc(decoded.encode())}
        if index < FULL_IDS:
            case["uncased"] = ids["uncased"]
            case["decoded_cased"] = decoded
        cases.append(case)
    decodes = []
    for _ in range(300):
        ids = [generator.randrange(size + 3) for _ in range(generator.randint(0, 12))]
        decodes.append({"ids": ids, "text": by_options["uncased"].decode(
            ids, skip_special_tokens=True, clean_up_tokenization_spaces=True)})
    broken = []
    for data in ["ff", "61c32062", "e4bda0e5a5", "c0af", "eda080", "f4908080", "61f09f98", "80bf61", "e28080e2"]:
        text = bytes.fromhex(data).decode("utf-8", errors="replace")
        broken.append({"bytes": data, "ids": encode(by_options["uncased"], text)})
    lengths = []
    for max_tokens in (2, 3, 4, 7, 200):
        text = "the cats dancing in Paris, isn't it? 你好 [MASK] 😀"
        lengths.append({"text": text, "max_tokens": max_tokens,
                        "ids": encode(by_options["uncased"], text, max_tokens)})
    return {"max_tokens": MAX_TOKENS, "options": list(OPTIONS), "cases": cases, "decodes": decodes,
            "broken": broken, "lengths": lengths, "added": added_cases(vocabulary_file)}


ADDED = [
    AddedToken("<v>"), AddedToken("<v><w>"), AddedToken("HÉllo", normalized=True),
    AddedToken("<L>", lstrip=True, normalized=False), AddedToken("<R>", rstrip=True, normalized=False),
    AddedToken("<B>", lstrip=True, rstrip=True), AddedToken("<S>", special=True),
    AddedToken(" sp ", normalized=True), AddedToken("ing", normalized=True), AddedToken("你好"),
]
ADDED_FRAGMENTS = ["<v>", "<w>", "hello", "HÉLLO", "<L>", "<R>", "<B>", "<S>", " ", "  ", "\n", "sp", "ing", "doing",
                   "你", "好", "[MASK]", "[", "cat", "é", "\u00a0", "<", "[CLS]", "."]


def added_cases(vocabulary_file):
    tokenizer = BertTokenizerFast(str(vocabulary_file), **OPTIONS["uncased"])
    tokenizer.add_tokens(ADDED)
    generator = random.Random(11)
    texts = ["".join(generator.choice(ADDED_FRAGMENTS) for _ in range(generator.randint(1, 14)))
             for _ in range(600)]
    texts += ["<B> sp  hello", "<B>你好", "<v><w><v>", "a<B> <B>b"]
    tokens = [{"id": index, "content": token.content, "special": token.special, "normalized": token.normalized,
               "lstrip": token.lstrip, "rstrip": token.rstrip}
              for index, token in sorted(tokenizer.added_tokens_decoder.items())]
    return {"tokens": tokens, "texts": texts,
            "crcs": [crc_of_ids(encode(tokenizer, text)) for text in texts],
            "decoded": [crc(tokenizer.decode(encode(tokenizer, text), skip_special_tokens=True).encode())
                        for text in texts]}


def minilm_cases(folder):
    tokenizer = BertTokenizerFast.from_pretrained(folder)
    generator = random.Random(7)
    texts = [text for text in FRAGMENTS if len(text) < 60] + random_texts(generator, 150)
    return {"max_tokens": 64, "vocabulary_size": len(tokenizer),
            "cases": [{"text": text, "ids": encode(tokenizer, text, 64)} for text in texts]}


def write(path, value, versions):
    text = json.dumps({"versions": versions, **value}, ensure_ascii=False, separators=(",", ":"))
    path.write_text(text.replace('},{"', '},\n{"') + "\n", encoding="utf-8")


def main():
    if len(sys.argv) not in (2, 3):
        raise SystemExit(__doc__)
    versions = f"tokenizers {tokenizers.__version__}, transformers {transformers.__version__}"
    directory = Path(sys.argv[1])
    directory.mkdir(parents=True, exist_ok=True)
    vocabulary = directory / "vocab.txt"
    vocabulary.write_text("\n".join(small_vocabulary()) + "\n", encoding="utf-8")
    BertTokenizerFast(str(vocabulary), **OPTIONS["uncased"]).save_pretrained(directory)
    (directory / "special_tokens_map.json").unlink()
    write(directory / "texts.json", text_cases(vocabulary), versions)
    write(directory / "code_points.json", {"block": BLOCK, "crcs": code_point_checksums()}, versions)
    if len(sys.argv) == 3:
        write(directory / "minilm.json", minilm_cases(sys.argv[2]), versions)


if __name__ == "__main__":
    main()
