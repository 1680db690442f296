"""The words of factory strings: what each stands for, and what is said of those that are not known."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable
from typing import Literal, NoReturn

from annkit._core import (
    ITQ,
    OPQ,
    PCA,
    PQ,
    SQ,
    Center,
    Codec,
    Index,
    Normalize,
    RaBitQ,
    Raw,
    Rotation,
    SignBits,
    Transform,
)

_IDMAP = re.compile(r"IDMap2?")
LISTS = re.compile(r"(B?)IVF([1-9]\d*)([kM]?)(_HNSW([1-9]\d*)?|\(HNSW([1-9]\d*)?\))?")
GRAPH = re.compile(r"(?:(B)(?=HNSW\d))?HNSW([1-9]\d*)?")
HALF_DEGREE = 32  # of graphs whose word has no number
TABLES = re.compile(r"(B?)MIH([1-9]\d*)?")
ROTATED_LSH = re.compile(r"LSHr(t?a?)")
REFINE = re.compile(r"RFlat|Refine\((.*)\)")
_OPQ_BITS = 4  # where no PQ follows: its own default

_EXPECTED = {
    "transform": "a transform (PCA64, PCAR64, PCAW64, OPQ32, OPQ32_64, ITQ64, RR, HR, L2norm, Center), IVF1024, "
    "HNSW32, MIH or a codec",
    "codec": "a codec (Flat, SQ8, SQ6, SQ4, SQfp16, SQbf16, PQ32, PQ32x10, PQ32x4fs, PQ32x4fsr, RaBitQ, RaBitQ4, LSH)",
    "signs": "signs (LSH, LSHt) or the end",
    "refine": "RFlat, a refinement such as Refine(SQ8), or the end",
}
_SPELLINGS = {
    "transform": [
        "PCA64",
        "PCAR64",
        "PCAW64",
        "PCAWR64",
        "OPQ32",
        "OPQ32_64",
        "ITQ64",
        "RR",
        "RR64",
        "HR",
        "HR64",
        "L2norm",
        "Center",
        "IVF1024",
        "IVF1024_HNSW32",
        "HNSW32",
        "BHNSW32",
        "BFlat",
        "BIVF1024",
        "BIVF1024_HNSW32",
        "MIH",
        "BMIH",
        "IDMap",
    ],
    "codec": [
        "Flat",
        "SQ8",
        "SQ6",
        "SQ4",
        "SQfp16",
        "SQbf16",
        "SQ8_direct",
        "PQ32",
        "PQ32x4fs",
        "PQ32x4fsr",
        "PQ32x10",
        "RaBitQ",
        "RaBitQ4",
        "RaBitQfs",
        "LSH",
        "LSHt",
        "LSHa",
    ],
    "signs": ["LSH", "LSHt"],
    "refine": ["RFlat", "Refine(Flat)", "Refine(SQ8)", "Refine(SQfp16)", "IDMap", "IDMap2"],
}
# Words of Faiss that nothing here answers to.
_ABSENT = (
    (r"NSG.*|NNDescent.*", "annkit has one kind of graph: HNSW32 takes its place"),
    (
        r"IVF\d+[kM]?_NSG.*",
        "annkit has one kind of graph: IVF1024_HNSW32 takes its place",
    ),
    (r"IVF\d+[kM]?\(.*\)", "a graph finds the lists of annkit's IVF, if anything does: IVF1024_HNSW32"),
    (r"IMI.*", "annkit has no multi-index: IVF with more lists takes its place"),
    (r"LSH\d+r?t?", "a transform gives the number of bits: RR64,LSH, PCA64,LSH or ITQ64,LSH"),
    (r"ITQ", "annkit's ITQ says how many bits it makes: ITQ64"),
    (r"P?(RQ|LSQ)\d.*|RCQ.*|ZnLattice.*", "annkit has no additive or lattice codes: PQ and RaBitQ take their place"),
    (r"Pad\d+", "annkit does not pad rows"),
    (r"BHash\d+(x\d+)?", "exact tables of substrings take its place: BMIH, or BMIH4 with 4 tables"),
    (r"Residual\d+.*", "its lists are those of IVF: IVF1024,PQ32"),
    (r"FlatDedup", "annkit keeps equal rows apart: Flat takes its place"),
    (r"SQ0|SQ(tqmse|eden|tq)\d?", "annkit has SQ8, SQ6, SQ4, SQfp16 and SQbf16, and RaBitQ for fewer bits"),
    (r"PQ\d+\+\d+", "annkit refines by a word at the end: PQ32,Refine(PQ16)"),
)


def half_degree(match: re.Match[str]) -> int:
    """Return half the links of the graph in a word that LISTS matches; 0 for none."""
    return int(match[5] or match[6] or HALF_DEGREE) if match[4] else 0


def did_you_mean(given: object, words: Iterable[str]) -> str:
    """Return the question that a message ends with, or nothing where no word is spelled nearly so."""
    exact = {word.lower(): word for word in words}
    low = str(given).lower()
    near = difflib.get_close_matches(low, exact, 1, 0.78)
    near = near or [word for word in exact if len(low) > 1 and word.startswith(low)]
    return f'; did you mean "{exact[near[0]]}"?' if near else ""


def transforms_of(word: str, bits: int = _OPQ_BITS) -> list[Transform] | None:
    """Return what a word stands for; bits are those of the PQ behind it, for which OPQ learns its rotation."""
    if match := re.fullmatch(r"PCA(W?)(R?)(\d+)", word):
        pca = PCA(int(match[3]), whiten=bool(match[1]))
        return [pca, Rotation()] if match[2] else [pca]
    if match := re.fullmatch(r"OPQ(\d+)(?:_(\d+))?", word):
        return [OPQ(int(match[1]), dim=int(match[2]) if match[2] else None, bits=bits)]
    if match := re.fullmatch(r"(RR|HR)(\d+)?", word):
        dim = int(match[2]) if match[2] else None
        return [Rotation(dim, kind="hadamard" if match[1] == "HR" else "random")]
    if match := re.fullmatch(r"ITQ(\d+)", word):
        return [ITQ(int(match[1]))]
    if re.fullmatch(r"L2[nN]orm", word):
        return [Normalize()]
    return [Center()] if word == "Center" else None


_RawType = Literal["f32", "f16", "bf16", "u8", "i8"]
_RAW: dict[str, _RawType] = {
    "Flat": "f32",
    "SQfp16": "f16",
    "SQbf16": "bf16",
    "SQ8_direct": "u8",
    "SQ8_direct_signed": "i8",
}


def codec_of(word: str) -> tuple[Codec, bool | None] | None:
    """Return the codec, and whether lists hold residuals (None: the codec's own way)."""
    if word in _RAW:
        return Raw(_RAW[word]), None
    if match := re.fullmatch(r"SQ([468])", word):
        return SQ(int(match[1])), None
    # Faiss's fast-scan is for 4 bits, of rows as they are unless an r says residuals; _64 is its block size.
    if match := re.fullmatch(r"PQ(\d+)x4fs(r?)(?:_\d+)?", word):
        return PQ(int(match[1]), bits=4), bool(match[2])
    if match := re.fullmatch(r"PQ(\d+)(?:x(\d+))?(?:np)?", word):
        return PQ(int(match[1]), bits=int(match[2] or 8)), None
    if match := re.fullmatch(r"RaBitQ(?:fs)?([1-9])?(?:_\d+)?", word):
        return RaBitQ(int(match[1] or 1)), None
    if match := re.fullmatch(r"LSH(t?)(a?)", word):
        return SignBits("median" if match[1] else "zero", asymmetric=bool(match[2])), None
    return None


class Words:
    """The words of a string, one after the other, and the messages about them."""

    def __init__(self, spec: str) -> None:
        self.spec = spec
        self.words: list[tuple[int, str]] = []
        start = depth = 0
        for at, letter in enumerate(spec + ","):
            depth += (letter == "(") - (letter == ")")
            if letter == "," and (depth <= 0 or at == len(spec)):
                word = spec[start:at]
                if match := re.fullmatch(r"(HNSW\d*_)(.+)", word):  # HNSW32_SQ8 is HNSW32,SQ8
                    self.words += [(start, match[1][:-1]), (start + match.end(1), match[2])]
                else:
                    self.words.append((start, word))
                start = at + 1
        self.next = 0

    def peek(self) -> str | None:
        while self.next < len(self.words) and _IDMAP.fullmatch(self.words[self.next][1]):
            self.next += 1
        return self.words[self.next][1] if self.next < len(self.words) else None

    def bits_of_pq(self) -> int:
        """Return the bits of the PQ that follows, or else those that OPQ has by itself."""
        for _, word in self.words[self.next :]:
            try:
                found = codec_of(word)
            except ValueError:  # which the word's own turn reports
                break
            if found is not None:
                return found[0].bits if isinstance(found[0], PQ) else _OPQ_BITS
        return _OPQ_BITS

    def take(self) -> None:
        self.next += 1

    def here(self) -> str:
        at, word = self.words[self.next]
        return f'"{word}", word {self.next + 1} of "{self.spec}" (from character {at + 1} on)'

    def build(self, make: Callable[[], Index]) -> Index:
        """Make a part, and say of which word its error is."""
        try:
            return make()
        except ValueError as error:
            raise ValueError(f'factory string "{self.spec}": {error}') from None

    def fail(self, state: str) -> NoReturn:
        expected = f"expected {_EXPECTED[state]}"
        if self.peek() is None:
            raise ValueError(f'factory string "{self.spec}" ends too early: {expected}')
        word = self.words[self.next][1]
        for pattern, why in _ABSENT:
            if re.fullmatch(pattern, word):
                raise ValueError(f"{self.here()}, is Faiss's: {why}")
        states = ["transform", "codec"] if state == "transform" else [state]
        spellings = [spelling for one in states for spelling in _SPELLINGS[one]]
        # Numbers are left out of the comparison, and put back.
        folded = {re.sub(r"\d+", "", spelling).lower(): spelling for spelling in reversed(spellings)}
        exact = {spelling.lower(): spelling for spelling in spellings}
        close = difflib.get_close_matches(word.lower(), exact, 1, 0.78)
        hint = exact[close[0]] if close else None
        if hint is None and (near := difflib.get_close_matches(re.sub(r"\d+", "", word).lower(), folded, 1, 0.6)):
            hint = folded[near[0]]
        mean = f'; did you mean "{hint}"?' if hint and hint != word else ""
        indexes = (LISTS, GRAPH, TABLES, ROTATED_LSH)
        known = bool(transforms_of(word) or codec_of(word) or any(index.fullmatch(word) for index in indexes))
        refined = REFINE.fullmatch(word)
        known = known or word == "BFlat" or bool(refined and codec_of(refined[1] or "Flat"))
        what = "does not belong there" if known else "is not known"
        raise ValueError(f"{self.here()}, {what}: {expected}{mean}")
