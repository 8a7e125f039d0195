"""Every kind of bad data gives one line that says what came, what was wanted and what to do; nothing is written or left behind."""

import io
import os
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from array_cases import ARRAYS
from data_builders import cifar10_members, cifar100_members, picture, stl10_members, tar_bytes, write_folder
from record_cases import RECORDS
from sslx import data
from sslx.data._decode import KINDS


def folder(change, **options):
    """A case that spoils a good folder with `change(root)`."""

    def build(root):
        write_folder(root / "set", **options)
        change(root / "set")
        return f"folder:{root}/set"

    return build


def image_file(content, name="train/cat/000.png"):
    return folder(lambda root: (root / name).write_bytes(content(root / name) if callable(content) else content))


def saved(kind, pixels, **options):
    file = io.BytesIO()
    (pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)).save(file, kind, **options)
    return file.getvalue()


def bomb():
    """A PNG whose header announces 60,000 x 60,000 pixels."""

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(99))) + chunk(b"IEND", b"")


def remove(*names):
    return lambda root: [(root / name).unlink() for name in names]


def link(target):
    return lambda root: os.symlink(target, root / "train/cat/link.png")


CATS = [f"train/cat/{i:03d}.png" for i in range(3)]
FRAMES = [Image.fromarray(picture(i)) for i in range(3)]
FOLDERS = {
    "no folder": (lambda root: f"folder:{root}/none", r"none is not a directory; give a folder with the layout PATH/train/<class>/"),
    "no path": (lambda root: "folder:", r"'folder:' names nothing behind the colon; write folder:PATH"),
    "a file": (lambda root: (root / "x").write_text("x") and f"folder:{root}/x", r"x is not a directory"),
    "empty": (lambda root: f"folder:{root}", r"has no directory train/; the layout PATH/train/<class>/\*\.png .* is wanted"),
    "no classes": (lambda root: (root / "set/train").mkdir(parents=True) or f"folder:{root}/set", r"train has no class directories"),
    "empty class": (folder(remove(*CATS)), f"train/cat is a class with no images; add {KINDS} files or remove the directory"),
    "one class": (folder(lambda root: None, classes=("cat",)), r"set/train holds labels of less than two classes; at least two are wanted"),
    "one image": (
        folder(lambda root: None, train=1, test=0),
        r"class cat has one image, which cannot be split .*; add images or a test set",
    ),
    "new test class": (
        folder(lambda root: (root / "test/cat").rename(root / "test/cow")),
        r"test/cow is a class without training images; add",
    ),
    "images beside directories": (
        folder(lambda root: (root / "train").rename(root / "images") and Image.new("RGB", (8, 8)).save(root / "0.png")),
        r"set has no directory train/; the layout .*; without labels PATH/\*\.png and no directories\) is wanted",
    ),
    "test images without labels": (
        folder(lambda root: [(root / "test").mkdir(), Image.new("RGB", (8, 8)).save(root / "test/0.png")], test=0),
        r"set/test has no class directories; the layout",
    ),
    "training images without labels": (
        folder(lambda root: [(root / "train").mkdir(), Image.new("RGB", (8, 8)).save(root / "train/0.png")], train=0),
        r"test/cat is a class without training images",
    ),
    "no image": (image_file(b"just some text"), rf"cat/000\.png is no readable {KINDS} image; remove or replace it"),
    "another format": (image_file(saved("GIF", picture(0))), rf"cat/000\.png is no readable {KINDS} image"),
    "empty image": (image_file(b""), rf"cat/000\.png is no readable {KINDS} image"),
    "cut image": (image_file(lambda path: path.read_bytes()[:-40]), r"cat/000\.png cannot be decoded \(.+\); remove or replace it"),
    "cut jpeg": (
        image_file(saved("JPEG", picture(0, (64, 64)))[:-300], "train/dog/009.jpg"),
        r"dog/009\.jpg cannot be decoded \(.*truncated",
    ),
    "16 bits": (
        image_file(saved("PNG", np.zeros((8, 8), np.uint16))),
        r"000\.png has more than 8 bits per channel \(mode I;16\), wanted 8; convert",
    ),
    "transparent": (
        image_file(saved("PNG", picture(0, channels=4))),
        r"000\.png has transparent pixels, whose colour is undefined; put it on a background and save it as RGB",
    ),
    "transparent colour of a palette": (
        image_file(saved("PNG", Image.fromarray(picture(0)).quantize(4), transparency=0)),
        r"000\.png has transparent pixels, whose colour is undefined",
    ),
    "animated": (
        image_file(saved("WEBP", FRAMES[0], save_all=True, append_images=FRAMES[1:]), "test/cat/5.webp"),
        r"5\.webp has 3 frames, wanted a still image; save one of its frames",
    ),
    "bomb": (image_file(bomb()), r"000\.png has more than [0-9,]+ pixels, as a decompression bomb has; remove it or scale it down"),
    "unlabelled, but no images": (
        folder(lambda root: [(root / "unlabelled").mkdir(), (root / "unlabelled/0.gif").touch()]),
        f"set/unlabelled holds no images; add {KINDS} files or remove the directory",
    ),
    "link to nothing": (folder(link("gone.png")), r"link\.png is a link to .*gone\.png, which does not exist; remove or mend it"),
    "link to itself": (folder(link("link.png")), r"link\.png"),
}


def archive(name, members, **changes):
    """A case with one archive of which some members are changed, or left out (None)."""

    def build(root):
        file = {"cifar10": "cifar-10-binary", "cifar100": "cifar-100-binary", "stl10": "stl10_binary"}[name] + ".tar.gz"
        content = dict(members()[0])
        for member, change in changes.items():
            path = next(key for key in content if member in key)
            content[path] = change and change(content[path])
        (root / file).write_bytes(tar_bytes({key: value for key, value in content.items() if value is not None}))
        return name

    return build


def cut(fraction):
    def build(root):
        name = archive("cifar10", cifar10_members)(root)
        path = root / "cifar-10-binary.tar.gz"
        path.write_bytes(path.read_bytes()[: int(fraction * path.stat().st_size)])
        return name

    return build


def relabel(record, label):
    return lambda content: b"".join(bytes([label]) + content[i + 1 : i + record] for i in range(0, len(content), record))


CIFAR, LAST = 3073, {"test_batch": lambda content: content[:-1]}
ARCHIVES = {
    "no archive": (
        lambda root: "cifar10",
        r"cifar10 is not in .*: looked for cifar-10-binary\.tar\.gz or cifar-10-batches-bin/; get it with: wget -P \S+ https://www\.cs",
    ),
    "cut in a member": (cut(0.5), r"cifar-10-binary\.tar\.gz is truncated or damaged \(.+\); delete it and get the original again"),
    "cut early": (cut(0.001), r"cifar-10-binary\.tar\.gz is truncated or damaged"),
    "not an archive": (
        lambda root: (root / "stl10_binary.tar.gz").write_text("<html>404</html>") and "stl10",
        r"stl10_binary\.tar\.gz is truncated or damaged \(.+\); delete it and get the original again",
    ),
    "no member": (
        archive("cifar10", cifar10_members, data_batch_4=None),
        r"holds no data_batch_4\.bin: it is truncated or another archive; delete it",
    ),
    "record size": (
        archive("cifar10", cifar10_members, **LAST),
        r"test_batch\.bin has 9218 bytes, wanted a multiple of 3073, one record per image",
    ),
    "empty member": (
        archive("cifar100", cifar100_members, **{"train.bin": lambda content: b""}),
        r"train\.bin has 0 bytes, wanted a multiple of 3074",
    ),
    "label": (
        archive("cifar10", cifar10_members, test_batch=relabel(CIFAR, 10)),
        r"test_batch\.bin has labels from 10 to 10, wanted 0 to 9; correct the labels",
    ),
    "stl label": (
        archive("stl10", stl10_members, train_y=lambda content: b"\x00\x01\x02\x03"),
        r"train_y\.bin .* has labels from -1 to 2, wanted 0 to 9",
    ),
    "stl count": (
        archive("stl10", stl10_members, test_y=lambda content: b"\x01\x02"),
        r"has 3 test images and 2 labels; get the original again",
    ),
    "one class": (
        archive("cifar100", cifar100_members, **{"test.bin": lambda content: content[:3074]}),
        r"test\.bin holds labels of less than two classes",
    ),
    "not prepared": (
        lambda root: "tfds:mnist",
        r"mnist is not prepared: looked for .*mnist/<version>/dataset_info\.json; get it with: python -c \"from sslx\.data import prepare;",
    ),
    "wrongly prepared": (
        lambda root: (
            (root / "mnist/3.0.1").mkdir(parents=True) or ((root / "mnist/3.0.1/dataset_info.json").write_text("{}") and "tfds:mnist")
        ),
        r"3\.0\.1 is no prepared set of images with a train split \(.+\); prepare it again with sslx\.data\.prepare",
    ),
    "unknown": (lambda root: "cifar-10", r"unknown data set 'cifar-10'; choose one of digits, cifar10, .*; did you mean cifar10\?"),
}

CASES = {
    f"{room}: {name}": case
    for room, cases in (("folder", FOLDERS), ("npz", ARRAYS), ("archive", ARCHIVES), ("arrayrecord", RECORDS))
    for name, case in cases.items()
}


def files_below(root):
    return {path: path.stat().st_mtime_ns for path in root.rglob("*") if path.is_file()}


@pytest.mark.parametrize("case", CASES)
def test_bad_data_is_refused_in_one_line(case, tmp_path, cache, monkeypatch, capfd):
    build, message = CASES[case]
    root = tmp_path / "data"
    root.mkdir()
    name = build(root)
    before = files_below(root)
    with pytest.raises(data.DataError, match=message) as caught:
        data.load(name, data_dir=root)
    assert str(caught.value).isprintable()
    assert caught.value.__cause__ is None
    assert files_below(root) == before
    assert not cache.exists() or list(cache.iterdir()) == []
    assert capfd.readouterr().err == ""


def test_without_a_data_directory_the_two_ways_to_name_one_are_said():
    with pytest.raises(
        data.DataError, match=r"stl10 needs a data directory that holds .*: pass --data-dir DIR or set SSLX_DATA; get it with: wget"
    ):
        data.load("stl10")
