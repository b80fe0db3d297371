"""The tables that thinout knows: two of medicine (UCI) and five with rare classes (KEEL)."""

from __future__ import annotations

from thinout.lab.data._tables import Column, Layout, Table
from thinout.lab.data._types import DataFile, DataSet

_UCI = "CC BY 4.0, as the UCI Machine Learning Repository states it"

_MEASURES = (
    "radius",
    "texture",
    "perimeter",
    "area",
    "smoothness",
    "compactness",
    "concavity",
    "concave points",
    "symmetry",
    "fractal dimension",
)
_BREAST = Table(
    columns=tuple(Column(f"{kind} {measure}") for kind in ("mean", "se", "worst") for measure in _MEASURES),
    layouts={
        "wdbc.data": Layout(label=1, labels={"B": 0, "M": 1}, ignored=(0,)),
        "breast-cancer-wdbc.csv": Layout(label=30, labels={"1": 0, "0": 1}, header="names"),  # 1 is benign there
    },
    counts=(357, 212),
)

_HEART = Table(
    columns=(
        Column("age"),
        Column("sex", levels=(("0", "0.0", "female"), ("1", "1.0", "male"))),
        Column(
            "chest pain",
            levels=(
                ("1", "1.0", "typical ang"),
                ("2", "2.0", "atypical ang"),
                ("3", "3.0", "non-anginal"),
                ("4", "4.0", "asymptomatic"),
            ),
        ),
        Column("blood pressure"),
        Column("cholesterol"),
        Column("fasting blood sugar"),
        Column(
            "rest ECG",
            levels=(("0", "0.0", "normal"), ("1", "1.0", "ST-T abnormal"), ("2", "2.0", "left vent hypertrophy")),
        ),
        Column("largest heart rate"),
        Column("angina by exercise"),
        Column("ST depression"),
        Column("slope", levels=(("1", "1.0", "upsloping"), ("2", "2.0", "flat"), ("3", "3.0", "downsloping"))),
        Column("vessels coloured", may_miss=True),
        Column(
            "thal",
            levels=(("3", "3.0", "normal"), ("6", "6.0", "fixed defect"), ("7", "7.0", "reversable defect")),
            may_miss=True,
        ),
    ),
    layouts={
        "processed.cleveland.data": Layout(label=13, labels={"0": 0, "1": 1, "2": 1, "3": 1, "4": 1}),
        "heart-cleveland.csv": Layout(label=13, labels={"0": 0, "1": 1}, header="names"),
    },
    counts=(164, 139),
)

BREAST_CANCER = DataSet(
    name="breast-cancer",
    title="Breast cancer Wisconsin (diagnostic): cell nuclei, benign or malignant",
    classes=("benign", "malignant"),
    shape=(_BREAST.num_features,),
    num_train=569,
    num_test=0,
    licence=_UCI,
    source="https://archive.ics.uci.edu/dataset/17/breast+cancer+wisconsin+diagnostic",
    folder="tabular",
    files=(DataFile("wdbc.data"),),
    read=_BREAST.read,
    other_files=(
        DataFile(
            "breast-cancer-wdbc.csv",
            size=121_355,
            sha256="69503fc58a90f8be86bde011e92f7c9eb38062473fc2187fac4d1f9fe13881fb",
        ),
    ),
)

HEART_DISEASE = DataSet(
    name="heart-disease",
    title="Heart disease, Cleveland: narrowed vessels or not, from 13 findings, six values missing",
    classes=("healthy", "diseased"),
    shape=(_HEART.num_features,),
    num_train=303,
    num_test=0,
    licence=_UCI,
    source="https://archive.ics.uci.edu/dataset/45/heart+disease",
    folder="tabular",
    files=(DataFile("processed.cleveland.data"),),
    read=_HEART.read,
    other_files=(
        DataFile(
            "heart-cleveland.csv",
            size=23_875,
            sha256="976c651b093bf5cb3452b87ab2f66cc519f254470bdaa8a70c0bcff430d5c5b0",
        ),
    ),
)

_NEGATIVE = {"negative": 0, "positive": 1}


def _keel(  # six facts about each of five sets
    keel_name: str, title: str, counts: tuple[int, int], columns: tuple[Column, ...], size: int, sha256: str
) -> DataSet:
    last = len(columns)
    table = Table(
        columns=columns,
        layouts={
            f"{keel_name}.dat": Layout(label=last, labels=_NEGATIVE, header="keel"),
            f"{keel_name}.csv": Layout(label=last, labels=_NEGATIVE, header="names"),
        },
        counts=counts,
    )
    return DataSet(
        name=keel_name.lower().replace("_", "-"),
        title=f"{title}, 1:{counts[0] / counts[1]:.0f} (KEEL)",
        classes=("negative", "positive"),
        shape=(table.num_features,),
        num_train=sum(counts),
        num_test=0,
        licence="not stated by KEEL; made of sets of the UCI Machine Learning Repository",
        source="https://sci2s.ugr.es/keel/imbalanced.php",
        folder="tabular/imbalanced",
        files=(DataFile(f"{keel_name}.dat"),),
        read=table.read,
        other_files=(DataFile(f"{keel_name}.csv", size=size, sha256=sha256),),
    )


def _numbers(count: int, start: int = 1) -> tuple[Column, ...]:
    return tuple(Column(f"column {number}") for number in range(start, start + count))


def _nominal(number: int, *levels: str) -> Column:
    return Column(f"column {number}", levels=tuple((level,) for level in levels))


KEEL = (
    _keel(
        "abalone19",
        "Abalones of 19 rings among all",
        (4142, 32),
        (_nominal(1, "M", "F", "I"), *_numbers(7, start=2)),
        218_887,
        "343f592d66d24be9bd1c3c99d243583140e8a5abcc4b0cabc78479d7bf73d6c9",
    ),
    _keel(
        "kddcup-rootkit-imap_vs_back",
        "Attacks rootkit and imap among back",
        (2203, 22),
        (
            *_numbers(1),
            _nominal(2, "tcp", "udp"),
            _nominal(3, "http", "imap4", "telnet", "other", "ftp", "ftp_data"),
            _nominal(4, "SF", "RSTR", "S2", "SH", "S1", "S0"),
            *_numbers(37, start=5),
        ),
        339_797,
        "f3000d28531480017db3d0b167078a6c7a18c84256681bba04cf62effb73d8fe",
    ),
    _keel(
        "page-blocks0",
        "Blocks of a page that are no text",
        (4913, 559),
        _numbers(10),
        276_123,
        "b7802386829df67f3f68a9fe182777af89c007957d0c9123fd16de5eaef76bee",
    ),
    _keel(
        "winequality-red-4",
        "Red wines of quality 4 among all",
        (1546, 53),
        _numbers(11),
        103_072,
        "7324c85ea2d81092c248cdf8329dca2191bb6b90ff886cc353a8d5a27357ac5d",
    ),
    _keel(
        "yeast6",
        "Yeast proteins of one site among all",
        (1449, 35),
        _numbers(8),
        72_734,
        "7f6591708a4bed6fbd6c5941d956ddf7d291f12d6091c2b6f7faedddbe4b10f7",
    ),
)

TABLE_SETS = (BREAST_CANCER, HEART_DISEASE, *KEEL)
