"""The data sets that thinout knows.

Addresses and md5 sums of MNIST and Fashion-MNIST are those of torchvision/datasets/mnist.py and of Zalando's README;
the sha256 sums were taken from files whose md5 sums are these.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from thinout.lab.data._ants_bees import ANTS_BEES
from thinout.lab.data._cifar10 import CIFAR10, CIFAR10_JPEG, CIFAR10_JPEG_SMALL
from thinout.lab.data._gtsrb import GTSRB, GTSRB_SMALL
from thinout.lab.data._idx import read_idx
from thinout.lab.data._places import BUNDLED_SET, file_sha256
from thinout.lab.data._sampling import stratified_subset
from thinout.lab.data._table_sets import TABLE_SETS
from thinout.lab.data._tub import DONKEY_TUB
from thinout.lab.data._types import Bytes, DataFile, DataSet, ImageData, bad_data, check_labelled
from thinout.lab.data._uci import UCI_SETS
from thinout.lab.data._ucr import UCR_SETS

SMALL_SEED = 2017
SMALL_TRAIN = 400  # images per class
SMALL_TEST = 200

BUNDLED_ARRAYS = ("train_images", "train_labels", "test_images", "test_labels")

_DIGITS = tuple("0123456789")
_CLOTHES = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")


def small(data: ImageData) -> ImageData:
    """Cut the fixed selection of 4,000 + 2,000 images that makes `NAME-small` out of `NAME`."""
    return stratified_subset(data, name=f"{data.name}-small", train=SMALL_TRAIN, test=SMALL_TEST, seed=SMALL_SEED)


def _read_idx_set(dataset: DataSet, paths: Mapping[str, Path]) -> ImageData:
    arrays = [_read_member(file, paths[file.name]) for file in dataset.files]
    return _image_data(dataset, *arrays)


def _read_member(file: DataFile, path: Path) -> Bytes:
    rank = 3 if "images" in file.name else 1
    return read_idx(path, rank=rank, max_bytes=file.raw_size or file.size, sha256=file.raw_sha256)


def _read_small(dataset: DataSet, paths: Mapping[str, Path]) -> ImageData:
    return small(_read_idx_set(replace(dataset, name=dataset.name.removesuffix("-small")), paths))


def _read_bundled(dataset: DataSet, paths: Mapping[str, Path]) -> ImageData:
    (file,) = dataset.files
    path = paths[file.name]
    if (digest := file_sha256(path)) != file.sha256:
        bad_data(path, "file", f"of sha256 {file.sha256}", digest, "Install thinout again.")
    with np.load(path, allow_pickle=False) as content:
        return _image_data(dataset, *(content[name] for name in BUNDLED_ARRAYS))


def _image_data(
    dataset: DataSet, train_images: Bytes, train_labels: Bytes, test_images: Bytes, test_labels: Bytes
) -> ImageData:
    train, test = train_labels.astype(np.int64), test_labels.astype(np.int64)
    check_labelled(f"{dataset.name} (train)", train_images, train, dataset.num_classes)
    check_labelled(f"{dataset.name} (test)", test_images, test, dataset.num_classes)
    return ImageData(dataset.name, dataset.num_classes, train_images, train, test_images, test)


_MNIST_FILES = (
    DataFile(
        "train-images-idx3-ubyte.gz",
        size=9_912_422,
        sha256="440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        url="https://ossci-datasets.s3.amazonaws.com/mnist/train-images-idx3-ubyte.gz",
        raw_size=47_040_016,
        raw_sha256="ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    ),
    DataFile(
        "train-labels-idx1-ubyte.gz",
        size=28_881,
        sha256="3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        url="https://ossci-datasets.s3.amazonaws.com/mnist/train-labels-idx1-ubyte.gz",
        raw_size=60_008,
        raw_sha256="65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    ),
    DataFile(
        "t10k-images-idx3-ubyte.gz",
        size=1_648_877,
        sha256="8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        url="https://ossci-datasets.s3.amazonaws.com/mnist/t10k-images-idx3-ubyte.gz",
        raw_size=7_840_016,
        raw_sha256="0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    ),
    DataFile(
        "t10k-labels-idx1-ubyte.gz",
        size=4_542,
        sha256="f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
        url="https://ossci-datasets.s3.amazonaws.com/mnist/t10k-labels-idx1-ubyte.gz",
        raw_size=10_008,
        raw_sha256="ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ),
)

_FASHION_FILES = (
    DataFile(
        "train-images-idx3-ubyte.gz",
        size=26_421_880,
        sha256="3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        url="http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/train-images-idx3-ubyte.gz",
        raw_size=47_040_016,
        raw_sha256="c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    ),
    DataFile(
        "train-labels-idx1-ubyte.gz",
        size=29_515,
        sha256="a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        url="http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/train-labels-idx1-ubyte.gz",
        raw_size=60_008,
        raw_sha256="bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    ),
    DataFile(
        "t10k-images-idx3-ubyte.gz",
        size=4_422_102,
        sha256="346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        url="http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/t10k-images-idx3-ubyte.gz",
        raw_size=7_840_016,
        raw_sha256="5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    ),
    DataFile(
        "t10k-labels-idx1-ubyte.gz",
        size=5_148,
        sha256="67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
        url="http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/t10k-labels-idx1-ubyte.gz",
        raw_size=10_008,
        raw_sha256="0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    ),
)

_MNIST = DataSet(
    name="mnist",
    title="MNIST: handwritten digits",
    classes=_DIGITS,
    shape=(1, 28, 28),
    num_train=60_000,
    num_test=10_000,
    licence="not stated by its publisher (LeCun, Cortes, Burges); commonly given as CC BY-SA 3.0",
    source="http://yann.lecun.com/exdb/mnist/",
    folder="mnist",
    files=_MNIST_FILES,
    read=_read_idx_set,
)

_FASHION = DataSet(
    name="fashion-mnist",
    title="Fashion-MNIST: pictures of clothes",
    classes=_CLOTHES,
    shape=(1, 28, 28),
    num_train=60_000,
    num_test=10_000,
    licence="MIT, Copyright 2017 Zalando SE",
    source="https://github.com/zalandoresearch/fashion-mnist",
    folder="fashion-mnist",
    files=_FASHION_FILES,
    read=_read_idx_set,
)

_MNIST_SMALL = replace(
    _MNIST,
    name="mnist-small",
    title="4,000 + 2,000 images of MNIST, a fixed stratified selection",
    num_train=4_000,
    num_test=2_000,
    read=_read_small,
)

_FASHION_SMALL = replace(
    _FASHION,
    name=BUNDLED_SET,
    title="4,000 + 2,000 images of Fashion-MNIST, a fixed stratified selection; part of the package",
    num_train=4_000,
    num_test=2_000,
    folder=None,
    files=(
        DataFile(
            "fashion-mnist-small.npz",
            size=2_630_200,
            sha256="0980aaa4c65a622bb1adf855b7658691843eec311f791b1d2592d47b3286c6d6",
        ),
    ),
    read=_read_bundled,
)

_IMAGES = (_FASHION_SMALL, _FASHION, _MNIST, _MNIST_SMALL)
_PHOTOS = (ANTS_BEES, CIFAR10, CIFAR10_JPEG, CIFAR10_JPEG_SMALL, GTSRB, GTSRB_SMALL)
_ARRAYS = (*TABLE_SETS, *UCI_SETS, *UCR_SETS, DONKEY_TUB)
DATA_SETS = {data.name: data for data in (*_IMAGES, *_PHOTOS, *_ARRAYS)}
