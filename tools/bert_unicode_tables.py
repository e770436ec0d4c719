#!/usr/bin/env python3
"""Asks Hugging Face's `tokenizers` about every code point and writes src/mmra/text/bert_unicode_tables.h.

Usage: python3 tools/bert_unicode_tables.py src/mmra/text/bert_unicode_tables.h   (tokenizers 0.19.1)

Its Rust libraries carry Unicode tables of their own (categories of Unicode 8, normalisation of
Unicode 9), so a newer library's categories give other tokens: marks that were added since are kept,
punctuation that was added since does not split. Models were trained with that.
"""

import sys
from pathlib import Path

import tokenizers
from tokenizers import normalizers, pre_tokenizers

OPTIONS = dict(clean_text=False, handle_chinese_chars=False, strip_accents=False, lowercase=False)
# Marks of one combining class each, from Unicode 9 and older, that a class is recognised by.
REFERENCES = {
    1: 0x0334, 7: 0x093C, 8: 0x3099, 9: 0x094D, 202: 0x0327, 214: 0x1DCE, 216: 0x031B,
    218: 0x302A, 220: 0x0323, 222: 0x059A, 224: 0x302E, 226: 0x1D16D, 228: 0x05AE,
    230: 0x0301, 232: 0x0315, 233: 0x035C, 234: 0x035D, 240: 0x0345,
}


def normalizer(**changes):
    return normalizers.BertNormalizer(**{**OPTIONS, **changes}).normalize_str


def code_points():
    return (c for c in range(0x110000) if not 0xD800 <= c <= 0xDFFF)


def ranges_of(values):
    """Sorted (first, last, value) of runs of consecutive code points with the same value."""
    runs = []
    for c, value in sorted(values.items()):
        if runs and runs[-1][1] == c - 1 and runs[-1][2] == value:
            runs[-1][1] = c
        else:
            runs.append([c, c, value])
    return runs


def combining_class(c, nfd):
    """The class by which `tokenizers` reorders c, 0 for none."""
    def reordered(text):
        return nfd(text) != text

    if not (reordered(chr(c) + chr(REFERENCES[1])) or reordered(chr(REFERENCES[240]) + chr(c))):
        return 0
    for value, reference in REFERENCES.items():
        if not reordered(chr(c) + chr(reference)) and not reordered(chr(reference) + chr(c)):
            return value
    raise SystemExit(f"no reference has the combining class of U+{c:04X}")


def collect():
    clean, chinese = normalizer(clean_text=True), normalizer(handle_chinese_chars=True)
    strip, nfd = normalizer(strip_accents=True), normalizers.NFD().normalize_str
    split = pre_tokenizers.BertPreTokenizer().pre_tokenize_str
    tables = {name: {} for name in ("Dropped", "Chinese", "Space", "Punctuation", "Mark", "Kept")}
    for c in code_points():
        text = chr(c)
        if clean(text) == "":
            tables["Dropped"][c] = True
        if chinese(text) != text:
            tables["Chinese"][c] = True
        words = len(split("a" + text + "b"))
        if words == 2:
            tables["Space"][c] = True
        if words == 3:
            tables["Punctuation"][c] = True
        if nfd(text) == text:
            if strip(text) == "":
                tables["Mark"][c] = True
            else:
                order = combining_class(c, nfd)
                if order != 0:
                    tables["Kept"][c] = order
    return tables


def table_text(name, kind, comment, values):
    lines = [f"/// {comment}", f"inline constexpr {kind} k{name}[] = {{"]
    line = "   "
    for first, last, value in ranges_of(values):
        entry = f" {{0x{first:X}, 0x{last:X}" + (f", {value}" if kind == "OrderedRange" else "") + "},"
        if len(line + entry) > 100:
            lines.append(line)
            line = "   "
        line += entry
    return "\n".join(lines + [line, "};", ""])


def main():
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    tables = collect()
    parts = [
        "// Made by tools/bert_unicode_tables.py from Hugging Face's tokenizers "
        f"{tokenizers.__version__}; do not edit.",
        "#pragma once",
        "",
        "namespace mmra::text::bert_tables {",
        "",
        "struct Range {\n  char32_t first = 0;\n  char32_t last = 0;\n};",
        "",
        "/// With a canonical combining class.",
        "struct OrderedRange {\n  char32_t first = 0;\n  char32_t last = 0;\n  int order = 0;\n};",
        "",
        table_text("Dropped", "Range", "What cleaning removes: controls, formats, private use, "
                   "U+0000 and U+FFFD.", tables["Dropped"]),
        table_text("Space", "Range", "White space.", tables["Space"]),
        table_text("Chinese", "Range", "Ideographs, each a word of its own; that 0x2B820 to 0x2B91F are "
                   "none is the reference's.", tables["Chinese"]),
        table_text("Punctuation", "Range", "Each a word of its own.", tables["Punctuation"]),
        table_text("StrippedMarks", "Range", "Nonspacing marks (Mn), which accent stripping removes.",
                   tables["Mark"]),
        table_text("KeptMarks", "OrderedRange", "Marks that accent stripping keeps but brings into "
                   "canonical order.", tables["Kept"]),
        "}  // namespace mmra::text::bert_tables",
        "",
    ]
    Path(sys.argv[1]).write_text("\n".join(parts))


if __name__ == "__main__":
    main()
