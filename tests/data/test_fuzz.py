"""Damaged files of every kind: a data set or a DataError, and never anything else."""

import io
import shutil
import uuid

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from PIL import Image

from data_builders import cifar100_members, picture, tar_bytes, write_folder
from sslx import data
from sslx.data._decode import FORMATS


def cases(count):
    return settings(
        max_examples=count,
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )


@st.composite
def edits(draw):
    """A change of some bytes: (place as a fraction, how many go, what comes)."""
    place = draw(st.floats(0, 1))
    return place, draw(st.sampled_from([0, 1, 4, 64, 10**6])), draw(st.binary(max_size=8))


def apply(content, changes):
    for place, gone, new in changes:
        at = int(place * len(content))
        content = content[:at] + new + content[at + gone :]
    return content


def outcome(name, cache, **options):
    """Load; a DataError is one line and leaves nothing, a data set is consistent."""
    error = None
    try:
        found = data.load(name, **options)
    except data.DataError as caught:
        error = caught
    if error is not None:
        assert str(error).isprintable()
        assert not cache.exists() or list(cache.iterdir()) == []
        return False
    assert len(found.train_images) == len(found.train_labels) > 0
    assert len(found.test_images) == len(found.test_labels) > 0
    assert found.train_images.shape[1:] == found.test_images.shape[1:]
    assert max(found.train_labels.max(), found.test_labels.max()) < len(found.classes)
    shutil.rmtree(cache, ignore_errors=True)
    return True


def encoded(save):
    file = io.BytesIO()
    save(file)
    return file.getvalue()


ARRAYS = {"images": picture(0, (6, 4)).reshape(6, 4, 3, 1), "labels": np.array([0, 1] * 3)}
NPZ = [encoded(lambda file: np.savez(file, **ARRAYS)), encoded(lambda file: np.savez_compressed(file, **ARRAYS))]
TAR = [tar_bytes(cifar100_members()[0], mode) for mode in ("w:gz", "w")]
IMAGE = {kind: encoded(lambda file, kind=kind: Image.fromarray(picture(0)).save(file, kind)) for kind in FORMATS}


@cases(400)
@given(content=st.sampled_from(NPZ), changes=st.lists(edits(), min_size=1, max_size=3))
def test_damaged_npz_files(content, changes, tmp_path, cache):
    path = tmp_path / "set.npz"
    path.write_bytes(apply(content, changes))
    outcome(f"npz:{path}", cache)


@cases(300)
@given(
    kind=st.sampled_from([np.uint8, np.uint8, np.uint8, np.float32, bool]),
    shape=st.sampled_from([(3, 3), (3, 3, 1), (3, 3, 3), (3, 3, 2), (0, 3), (), (1, 1, 1, 1)]),
    labels=st.lists(st.integers(0, 1), min_size=2, max_size=8)
    | st.lists(st.integers(-3, 3))
    | st.sampled_from([[[0], [1]], [0.5], [2**62, -(2**62)]]),
    missing=st.sampled_from([0, 0, 0, 1]),
    test=st.lists(st.integers(0, 1), min_size=2, max_size=3) | st.lists(st.integers(-1, 2)) | st.none(),
)
def test_arrays_of_any_shape_and_type(kind, shape, labels, missing, test, tmp_path, cache):
    extra = {} if test is None else {"test_images": np.zeros((len(test), *shape), kind), "test_labels": np.array(test)}
    np.savez(tmp_path / "set.npz", images=np.zeros((max(len(labels) - missing, 0), *shape), kind), labels=np.array(labels), **extra)
    outcome(f"npz:{tmp_path}/set.npz", cache)


@cases(300)
@given(content=st.sampled_from(TAR), changes=st.lists(edits(), min_size=1, max_size=3))
def test_damaged_archives(content, changes, tmp_path, cache):
    (tmp_path / "cifar-100-binary.tar.gz").write_bytes(apply(content, changes))
    outcome("cifar100", cache, data_dir=tmp_path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("fuzz")
    write_folder(root, train=1, test=1, size=(4, 4))
    return root


@cases(300)
@given(kind=st.sampled_from(sorted(IMAGE)), changes=st.lists(edits(), min_size=1, max_size=3))
def test_damaged_images(kind, changes, folder, cache):
    path = folder / "train" / "cat" / f"damaged.{kind.lower()}"
    path.write_bytes(apply(IMAGE[kind], changes))
    outcome(f"folder:{folder}", cache)
    path.unlink()


FILES = st.sets(st.sampled_from(["0.png", "1.PNG", "2.png", "3.txt", ".png", "4.png.bak", "x.jpg", "\udcff.png"]), max_size=4)
GOOD = st.sets(st.sampled_from(["0.png", "1.png", "2.png"]), min_size=2)
EXTRA = st.sampled_from(["train", "train/a", "train/a/sub", "train/.x", "train/é\n", "test/a", "test/b", "test/c"])


@cases(200)
@given(good=st.dictionaries(st.sampled_from(["train/a", "train/b", "test/a"]), GOOD), extra=st.dictionaries(EXTRA, FILES, max_size=2))
def test_folders_of_any_layout(good, extra, tmp_path, cache):
    root = tmp_path / uuid.uuid4().hex
    root.mkdir()
    for tree in (good, extra):
        for directory, files in tree.items():
            (root / directory).mkdir(parents=True, exist_ok=True)
            for file in files:
                (root / directory / file).write_bytes(IMAGE["PNG"])
    outcome(f"folder:{root}", cache)
    shutil.rmtree(root)


@cases(100)
@given(
    name=st.text(max_size=12)
    | st.just("a" * 300)
    | st.sampled_from(["folder:", "npz:", "tfds:", "cifar10:", "../x"]).flatmap(lambda p: st.text(max_size=6).map(p.__add__))
)
def test_any_name(name, tmp_path, cache):
    if name != "digits":
        assert not outcome(name, cache, data_dir=tmp_path)
