"""The cache of decoded images: hit, miss, race, failure."""

import os
import resource
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from data_builders import picture, stl10_members, tar_bytes, write_folder, write_records
from sslx import data
from sslx.data import _cache, _examples, _folder, _stl10


@pytest.fixture
def images(tmp_path):
    write_folder(tmp_path / "set")
    return f"folder:{tmp_path}/set"


def test_the_second_start_maps_the_cache_and_decodes_nothing(images, cache, monkeypatch):
    first = data.load(images)
    assert len(list(cache.iterdir())) == 1
    monkeypatch.setattr(_folder, "decode", None)
    again = data.load(images)
    assert isinstance(again.train_images, np.memmap)
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("change", ["content", "time", "new", "removed"])
def test_a_change_of_the_sources_is_seen(images, tmp_path, change):
    before = data.load(images)
    path = tmp_path / "set/train/cat/000.png"
    if change == "time":
        os.utime(path, ns=(1, 1))
    elif change == "removed":
        path.unlink()
    else:
        target = path if change == "content" else path.with_name("zzz.png")
        Image.fromarray(picture(77)).save(target)
    after = data.load(images)
    assert len(list((tmp_path / "cache").iterdir())) == 2
    assert len(after.train_images) == len(before.train_images) + {"new": 1, "removed": -1}.get(change, 0)
    if change == "content":
        np.testing.assert_array_equal(after.train_images[0], picture(77))


def test_a_file_of_the_same_name_size_and_time_elsewhere_is_another_source(tmp_path, monkeypatch):
    found = set()
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        Path("set.tar.gz").touch()
        os.utime("set.tar.gz", (1, 1))
        found.add(_cache.source("set.tar.gz"))
    assert len(found) == 2


@pytest.mark.parametrize(
    ("environment", "place"),
    [
        ({"SSLX_CACHE": "/mine", "XDG_CACHE_HOME": "/caches"}, "/mine"),
        ({"XDG_CACHE_HOME": "/caches"}, "/caches/sslx"),
        ({"XDG_CACHE_HOME": ""}, "/home/me/.cache/sslx"),
        ({}, "/home/me/.cache/sslx"),
    ],
)
def test_where_the_cache_lies(environment, place, monkeypatch):
    for name in ("SSLX_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"HOME": "/home/me", **environment}.items():
        monkeypatch.setenv(name, value)
    assert _cache.cache_root() == Path(place)


def test_of_several_writers_each_gets_the_data_and_one_entry_stays(images, cache):
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: data.load(images), range(4)))
    assert all((x.train_images == found[0].train_images).all() for x in found)
    assert len(list(cache.iterdir())) == 1


def test_what_a_killed_process_left_is_removed(images, cache):
    whole = data.load(images)
    [entry] = cache.iterdir()
    (entry / "facts.json").unlink()
    (cache / f"{entry.name}.partial-1").mkdir()
    (cache / "another.partial-1").mkdir()
    np.testing.assert_array_equal(data.load(images).train_images, whole.train_images)
    assert sorted(path.name for path in cache.iterdir()) == sorted([entry.name, "another.partial-1"])


def test_a_full_disk_is_one_clear_line_and_leaves_nothing(tmp_path, cache):
    write_folder(tmp_path / "set", size=(64, 64))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        with pytest.raises(data.DataError, match=r"cannot write the cache .* \(File too large\); make room there or set SSLX_CACHE"):
            data.load(f"folder:{tmp_path}/set")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(cache.iterdir()) == []
    assert data.load(f"folder:{tmp_path}/set").train_images.shape == (6, 64, 64, 3)


@pytest.mark.parametrize("kind", ["folder", "arrayrecord", "stl10"])
def test_images_that_do_not_fit_the_disk_are_told_before_they_are_decoded(kind, tmp_path, cache, monkeypatch):
    write_folder(tmp_path / "set")
    write_records(tmp_path / "train.array_record", [0, 1] * 5)
    (tmp_path / "stl10_binary.tar.gz").write_bytes(tar_bytes(stl10_members()[0]))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=9))
    for module, decoder in ((_folder, "decode"), (_examples, "decode"), (_stl10, "blocks")):
        monkeypatch.setattr(module, decoder, lambda *_: pytest.fail("too early"))
    place = {"folder": f"{tmp_path}/set", "arrayrecord": str(tmp_path)}.get(kind)
    with pytest.raises(data.DataError, match=r"images need 0\.\d MiB in the cache .*/cache, where 0\.0 MiB are free; .* set SSLX_CACHE to"):
        data.load(f"{kind}:{place}" if place else kind, data_dir=tmp_path)
    assert list(cache.iterdir()) == []


def test_the_room_that_is_lacking_is_told_in_mebibytes(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=6 * 2**20))
    _cache.check_room(tmp_path, (2, 2**10, 2**10, 3))
    with pytest.raises(data.DataError, match=r"need 12\.0 MiB in the cache .*, where 6\.0 MiB are free"):
        _cache.check_room(tmp_path, (4, 2**10, 2**10, 3))


def test_a_cache_that_cannot_be_made_or_is_damaged_says_what_to_do(images, cache):
    cache.write_text("a file")
    with pytest.raises(data.DataError, match=r"cannot write the cache .*; make room there or set SSLX_CACHE to another directory"):
        data.load(images)
    cache.unlink()
    data.load(images)
    entry = next(cache.iterdir())
    (entry / "train_images.npy").write_bytes(b"no array")
    with pytest.raises(data.DataError, match=r"the cache entry .* is damaged .*; delete that directory and start again"):
        data.load(images)
