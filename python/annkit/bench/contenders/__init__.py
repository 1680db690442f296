"""The methods the bench knows. To add one, write a `Contender` and put it in `CONTENDERS`."""

from __future__ import annotations

from annkit.bench.contenders.base import Contender, Task
from annkit.bench.contenders.faiss_peers import FaissBinary, FaissBinaryFlat, FaissDirect, FaissFactory, FaissFlat
from annkit.bench.contenders.graph_peers import Hnswlib, Rabitqlib, Svs, Usearch, Vsag
from annkit.bench.contenders.list_peers import Scann
from annkit.bench.contenders.own import OwnBinary, OwnBits, OwnFlat, OwnGraph, OwnIvf, OwnLsh

__all__ = ["CONTENDERS", "FAMILIES", "PEERS", "Contender", "Task", "by_name"]

CONTENDERS: tuple[Contender, ...] = (
    OwnFlat("f32"),
    OwnFlat("f32", scan="sq8"),
    OwnFlat("f16"),
    OwnFlat("u8"),
    OwnFlat("i8"),
    OwnBits(),
    OwnBinary("BMIH", "flat"),
    OwnBinary("BIVF{lists}", "ivf"),
    OwnIvf("IVF,Flat"),
    OwnIvf("IVF,SQ8"),
    OwnIvf("IVF,SQ8,RFlat", k_factors=(2, 6)),
    OwnIvf("IVF,PQx4fs"),
    OwnIvf("IVF,PQx4fs,RSQ8", k_factors=(4, 16), brief=False),
    OwnIvf("IVF,RaBitQ,RSQ8", k_factors=(8, 32), brief=False),
    OwnIvf("PCA,IVF,SQ8,Rf16", k_factors=(2, 8)),
    OwnLsh(),
    OwnGraph("HNSW,Flat"),
    OwnGraph("HNSW,SQ8,Rf32", k_factors=(1, 2)),
    OwnGraph("PCA,HNSW,SQ8,Rf32", k_factors=(1, 3)),
    OwnGraph("BHNSW"),
    FaissFlat(None),
    FaissFlat(1),
    FaissDirect("uint8", "QT_8bit_direct"),
    FaissDirect("int8", "QT_8bit_direct_signed"),
    FaissBinaryFlat(),
    FaissFactory("IVF{lists},Flat", "ivf"),
    FaissFactory("IVF{lists},SQ8", "ivf"),
    FaissFactory("IVF{lists},PQ{half}x4fs,RFlat", "ivf", k_factors=(4, 32)),
    FaissFactory("HNSW32,Flat", "graph"),
    FaissFactory("HNSW32,SQ8", "graph"),
    FaissBinary("BIVF{lists}", "ivf"),
    FaissBinary("BHNSW32", "graph"),
    Hnswlib(),
    Usearch("f32"),
    Usearch("bf16"),
    Usearch("i8"),
    Usearch("b1"),
    Rabitqlib(0),
    Rabitqlib(4),
    Vsag("sq8_uniform"),
    Vsag("rabitq"),
    Scann(),
    Svs(),
)

PEERS = tuple(dict.fromkeys(c.library for c in CONTENDERS if c.library != "annkit"))
FAMILIES = tuple(dict.fromkeys(c.family for c in CONTENDERS))


def by_name(name: str) -> Contender:
    """Return the contender of that name."""
    return next(contender for contender in CONTENDERS if contender.name == name)
