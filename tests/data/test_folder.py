"""Image folders: order, colours, sizes, split and cache."""

import os

import numpy as np
import pytest
from PIL import Image

from data_builders import picture, write_folder
from sslx import data


def test_images_come_in_the_order_of_class_and_name_with_their_labels(tmp_path):
    pixels = write_folder(tmp_path / "set", classes=("dog", "cat", "ant"))
    (tmp_path / "set/train/cat/notes.txt").write_text("not an image")
    (tmp_path / "set/train/.hidden").mkdir()
    (tmp_path / "set/test/cat/.nomedia").touch()
    (tmp_path / "set/train/ant.png").write_text("in no class")
    (tmp_path / "set/test/dog/puppies/empty").mkdir(parents=True)
    pixels[tmp_path / "set/test/dog/puppies/8.png"] = picture(8)
    Image.fromarray(picture(8)).save(tmp_path / "set/test/dog/puppies/8.png")
    calls = []
    found = data.load(f"folder:{tmp_path}/set", progress=lambda done, total: calls.append((done, total)))
    assert found.classes == ("ant", "cat", "dog")
    np.testing.assert_array_equal(found.train_labels, [0, 0, 0, 1, 1, 1, 2, 2, 2])
    np.testing.assert_array_equal(found.test_labels, [0, 0, 1, 1, 2, 2, 2])
    assert (found.train_labels.dtype, found.test_labels.dtype) == (np.int32, np.int32)
    for split, images in (("train", found.train_images), ("test", found.test_images)):
        np.testing.assert_array_equal(images, [pixels[path] for path in sorted(pixels) if split in path.parts])
    kinds = "other files than PNG, JPEG, WebP, BMP, PPM or TIFF, or outside of the classes and parts that are read"
    assert found.notes == (f"passed over: 2 ({kinds}), the first {tmp_path}/set/train/ant.png",)
    assert calls == [(16, 16), (9, 16), (16, 16)]  # headers first, which takes minutes where there are many


@pytest.mark.parametrize("extension", ["jpg", "JPEG", "webp", "bmp", "ppm", "tif", "TIFF"])
def test_other_formats_are_read(tmp_path, extension):
    write_folder(tmp_path / "set", extension=extension, size=(16, 12))
    found = data.load(f"folder:{tmp_path}/set")
    with Image.open(tmp_path / f"set/test/dog/001.{extension}") as image:
        np.testing.assert_array_equal(found.test_images[-1], np.asarray(image.convert("RGB")))


def test_without_a_test_directory_a_fifth_of_every_class_is_held_out(tmp_path):
    pixels = write_folder(tmp_path / "set", train=10, test=0)
    found = data.load(f"folder:{tmp_path}/set")
    np.testing.assert_array_equal(np.bincount(found.train_labels), [8, 8])
    np.testing.assert_array_equal(np.bincount(found.test_labels), [2, 2])
    both = {image.tobytes() for images in (found.train_images, found.test_images) for image in images}
    assert both == {image.tobytes() for image in pixels.values()}
    assert "a fifth of every class, 4 images, is held out for testing" in found.notes[0]
    again = data.load(f"folder:{tmp_path}/set")
    np.testing.assert_array_equal(again.test_images, found.test_images)


@pytest.mark.parametrize("name", ["validation", "val"])
def test_other_names_of_the_test_directory_are_known(name, tmp_path):
    write_folder(tmp_path / "set")
    expected = data.load(f"folder:{tmp_path}/set")
    (tmp_path / "set/test").rename(tmp_path / "set" / name)
    found = data.load(f"folder:{tmp_path}/set")
    np.testing.assert_array_equal(found.test_images, expected.test_images)
    np.testing.assert_array_equal(found.train_images, expected.train_images)
    assert found.notes == ()
    (tmp_path / "set" / name / "dog").rename(tmp_path / "set" / name / "wolf")
    with pytest.raises(data.DataError, match=rf"{name}/wolf is a class without training images"):
        data.load(f"folder:{tmp_path}/set")


@pytest.mark.parametrize(("name", "inner"), [("unlabelled", ("", "")), ("unlabeled", ("", "some/more"))])
def test_more_images_without_labels_are_kept_apart(name, inner, tmp_path):
    write_folder(tmp_path / "set")
    expected = data.load(f"folder:{tmp_path}/set")
    (tmp_path / "set/unlabelled").mkdir()  # which may be empty
    for i, directory in enumerate(inner):
        top = tmp_path / "set" / name / directory
        top.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture(i)).save(top / f"{i}.png")
    found = data.load(f"folder:{tmp_path}/set")
    np.testing.assert_array_equal(found.unlabelled_images, [picture(i) for i in range(2)])
    for mine, theirs in zip(found._replace(unlabelled_images=None), expected, strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_what_lies_beside_the_parts_that_are_read_is_named(tmp_path, monkeypatch):
    write_folder(tmp_path / "set")
    (tmp_path / "set/README.md").touch()
    for name in ("val/cat", "unlabelled", "unlabeled", "extra", "empty", "lost+found"):
        (tmp_path / "set" / name).mkdir(parents=True)
    for name in ("val/cat/0", "unlabelled/0", "unlabeled/1", "extra/2", "3"):
        Image.fromarray(picture(7)).save(tmp_path / f"set/{name}.png")
    (tmp_path / "set/unlabeled/1.png").rename(tmp_path / "set/unlabeled/1.txt")  # no image, in a part that is not read
    scandir = os.scandir

    def denied(path):
        if str(path).endswith("lost+found"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", denied)
    found = data.load(f"folder:{tmp_path}/set")
    assert (len(found.train_images), len(found.test_images), len(found.unlabelled_images)) == (6, 4, 1)
    (note,) = found.notes
    assert note.startswith("passed over: 5 (")
    assert note.endswith(f"the first {tmp_path}/set/3.png")


@pytest.mark.parametrize("count", [1, 2, 12])
def test_all_images_that_cannot_be_decoded_are_named_at_once(count, tmp_path):
    write_folder(tmp_path / "set", train=20)
    paths = sorted((tmp_path / "set/train/cat").iterdir())[:count]
    for path in paths:
        path.write_bytes(path.read_bytes()[:-40])  # the header is whole
    with pytest.raises(data.DataError) as caught:
        data.load(f"folder:{tmp_path}/set")
    named = str(caught.value).split(" | ")
    assert [line.split(" cannot be decoded")[0] for line in named[:10]] == list(map(str, paths[:10]))
    assert named[10:] == ["2 more"] * (count == 12)


def test_a_relative_path_is_the_absolute_one(tmp_path, monkeypatch):
    """Two folders of one name, sizes and times are told apart."""
    for name, level in (("one", 200), ("two", 201)):
        (tmp_path / name / "set").mkdir(parents=True)
        for i in range(10):
            path = tmp_path / name / "set" / f"{i}.png"
            Image.new("RGB", (8, 8), (level, level, level)).save(path)
            os.utime(path, (1, 1))
        monkeypatch.chdir(tmp_path / name)
        assert data.load("folder:set").train_images.max() == level


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (".", "train/cow is a class with no images"),
        ("../test", "set/test/cat is read twice; remove one of the links to it"),
        ("cat", "set/train/cat is read twice; remove one of the links to it"),
        ("nowhere", "train/cow is a link to .*/nowhere, which does not exist; remove or mend it"),
    ],
)
def test_a_class_that_is_a_link_to_classes_or_nothing_is_none(target, message, tmp_path):
    write_folder(tmp_path / "set")
    os.symlink(target, tmp_path / "set/train/cow")
    with pytest.raises(data.DataError, match=message):
        data.load(f"folder:{tmp_path}/set")


@pytest.mark.parametrize("train", ["", "train"])
def test_images_in_no_class_directory_are_a_data_set_without_labels(tmp_path, train):
    top = tmp_path / "set" / train
    top.mkdir(parents=True)
    pixels = [picture(i) for i in range(10)]
    for i, each in enumerate(pixels):
        Image.fromarray(each).save(top / f"{i}.png")
    (top / "notes.txt").touch()
    found = data.load(f"folder:{tmp_path}/set")
    assert (found.classes, set(found.train_labels), set(found.test_labels)) == ((), {-1}, {-1})
    assert (len(found.train_images), len(found.test_images)) == (8, 2)
    assert {image.tobytes() for image in (*found.train_images, *found.test_images)} == {each.tobytes() for each in pixels}
    held_out, passed_over = found.notes
    assert held_out == "there is no test/ (or validation/, val/) directory: a fifth of all, 2 images, is held out for testing"
    assert passed_over.endswith(str(top / "notes.txt"))


def test_test_images_without_labels_are_taken_for_training_images_without_labels(tmp_path):
    for split, count in (("train", 3), ("val", 2)):
        (tmp_path / "set" / split).mkdir(parents=True)
        for i in range(count):
            Image.fromarray(picture(10 * count + i)).save(tmp_path / "set" / split / f"{i}.png")
    (tmp_path / "set/test").mkdir()  # with nothing in it
    found = data.load(f"folder:{tmp_path}/set")
    np.testing.assert_array_equal(found.test_images, [picture(20), picture(21)])
    assert (len(found.train_images), found.classes, found.notes) == (3, (), ())


def test_validation_images_without_folders_of_classes_are_not_for_testing(tmp_path):
    write_folder(tmp_path / "set", train=10, test=0)
    (tmp_path / "set/val").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "set/val/001.png")
    assert "a fifth of every class, 4 images, is held out for testing" in data.load(f"folder:{tmp_path}/set").notes[0]


def test_images_of_several_sizes_are_brought_to_one_and_it_is_said(tmp_path):
    write_folder(tmp_path / "set", size=(10, 14))
    gradient = np.repeat(np.arange(0, 200, 10, dtype=np.uint8)[:, None], 30, 1)
    Image.fromarray(np.repeat(gradient[..., None], 3, -1)).save(tmp_path / "set/train/cat/big.png")
    found = data.load(f"folder:{tmp_path}/set")
    assert found.train_images.shape == (7, 10, 10, 3)
    assert found.notes == ("images come in 2 sizes, 10x14 to 20x30: each was scaled to cover 10x10 pixels and cut at the centre",)
    np.testing.assert_allclose(found.train_images[3, :, :, 0], np.repeat(np.arange(5, 200, 20)[:, None], 10, 1), atol=3)


def test_grey_palette_and_opaque_images_become_rgb(tmp_path):
    write_folder(tmp_path / "set", classes=("a", "b"), train=1)
    grey, colour = picture(0)[..., 0], picture(1)
    Image.fromarray(grey).save(tmp_path / "set/train/a/grey.png")
    Image.fromarray(np.dstack([colour, np.full((8, 8), 255, np.uint8)])).save(tmp_path / "set/train/a/opaque.png")
    Image.fromarray((grey > 99).astype(np.uint8)).convert("P").save(tmp_path / "set/train/a/palette.png")
    found = data.load(f"folder:{tmp_path}/set")
    np.testing.assert_array_equal(found.train_images[1], np.repeat(grey[..., None], 3, -1))
    np.testing.assert_array_equal(found.train_images[2], colour)
    assert found.notes == ("1 of 9 images are grey: their level stands in all three channels",)


def test_links_are_followed(tmp_path):
    """To a file, and to classes elsewhere whose images lie further down, as subsets of ImageNet are made; but not in circles."""
    write_folder(tmp_path / "set")
    os.symlink("000.png", tmp_path / "set/train/cat/link.png")
    found = data.load(f"folder:{tmp_path}/set")
    np.testing.assert_array_equal(found.train_images[3], found.train_images[0])
    (tmp_path / "part/train").mkdir(parents=True)
    for name in ("cat", "dog"):
        (tmp_path / "elsewhere" / name).mkdir(parents=True)
        (tmp_path / "set/train" / name).rename(tmp_path / "elsewhere" / name / "images")
        os.symlink(tmp_path / "elsewhere" / name, tmp_path / "part/train" / name)
    os.symlink("..", tmp_path / "elsewhere/cat/images/up")
    os.symlink(tmp_path / "set/test", tmp_path / "part/test")
    linked = data.load(f"folder:{tmp_path}/part")
    for mine, theirs in zip(linked[1:-1], found[1:-1], strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert linked.notes[0].endswith("the first " + str(tmp_path / "part/train/cat/images/up"))


def test_validation_with_a_table_of_classes_stands_in_for_a_test_part_without_labels(tmp_path):
    """TinyImageNet as it is published: train/<class>/images, test/images, val/images and val/val_annotations.txt."""
    write_folder(tmp_path / "set", test=0)
    for i, part in enumerate(("test", "val", "val")):
        (tmp_path / "set" / part / "images").mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture(50 + i)).save(tmp_path / "set" / part / f"images/{i}.png")
    table = tmp_path / "set/val/val_annotations.txt"
    table.write_text("1.png\tdog\t0\t0\t1\t1\n2.png\tcat\t0\t0\t1\t1\n")
    found = data.load(f"folder:{tmp_path}/set")
    np.testing.assert_array_equal(found.test_images, [picture(51), picture(52)])
    assert [found.classes[label] for label in found.test_labels] == ["dog", "cat"]
    table.write_text("1.png\tdog\n")
    with pytest.raises(data.DataError, match=r"val_annotations.txt does not have .*val/images/2.png; add its class or remove the image"):
        data.load(f"folder:{tmp_path}/set")


def test_validation_images_sorted_into_classes_need_no_table(tmp_path):
    """What scripts make of TinyImageNet, the table left behind."""
    write_folder(tmp_path / "set")
    (tmp_path / "set/test").rename(tmp_path / "set/val")
    (tmp_path / "set/val/val_annotations.txt").touch()
    assert len(data.load(f"folder:{tmp_path}/set").test_images) == 4


def test_unlabelled_images_are_no_link_to_others(tmp_path):
    """A fifth of which is held out for testing."""
    write_folder(tmp_path / "set", test=0)
    os.symlink("train", tmp_path / "set/unlabelled")
    with pytest.raises(data.DataError, match="set/train/cat is read twice"):
        data.load(f"folder:{tmp_path}/set")


def test_test_images_without_classes_give_way_to_validation_images_with_them(tmp_path):
    write_folder(tmp_path / "set")
    (tmp_path / "set/test").rename(tmp_path / "set/val")
    (tmp_path / "set/test").mkdir()
    Image.fromarray(picture(7)).save(tmp_path / "set/test/0.png")
    found = data.load(f"folder:{tmp_path}/set")
    assert len(found.test_images) == 4
    assert found.notes[-1].endswith(f"the first {tmp_path}/set/test")
