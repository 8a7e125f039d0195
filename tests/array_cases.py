"""Bad NumPy archives, for the table in data/test_bad_input.py: what builds them in a folder, and the message."""

import numpy as np

from data_builders import picture

IMAGES, LABELS = picture(0, (10, 8, 8)).reshape(10, 8, 8, 3), np.array([0, 1] * 5)


def npz(**arrays):
    """A case with these arrays, good images and labels where none are named; None leaves an array out."""

    def build(root):
        every = {"images": IMAGES, "labels": LABELS} | arrays
        np.savez(root / "set.npz", **{name: array for name, array in every.items() if array is not None})
        return f"npz:{root}/set.npz"

    return build


def spoilt(change):
    def build(root):
        name = npz()(root)
        path = root / "set.npz"
        path.write_bytes(change(path.read_bytes()))
        return name

    return build


PICKLED = np.array([{"a": 1}, None] * 5, dtype=object)
ARRAYS = {
    "no file": (lambda root: f"npz:{root}/none.npz", r"none\.npz does not exist; give an archive written by np\.savez"),
    "not an archive": (
        spoilt(lambda content: b"nothing"),
        r"set\.npz is no readable \.npz archive of plain arrays \(.*\); write it again with np\.savez",
    ),
    "cut archive": (spoilt(lambda content: content[:-100]), r"is no readable \.npz archive of plain arrays"),
    "damaged array": (
        spoilt(lambda content: content[:300] + b"damage" + content[306:]),
        r"is no readable \.npz archive of plain arrays \(Bad CRC-32",
    ),
    "objects": (npz(images=PICKLED), r"is no readable \.npz archive of plain arrays \(.*allow_pickle"),
    "arrays of other names": (
        npz(images=None, labels=None, x_train=IMAGES, y_train=LABELS),
        r"has no array 'images' \(but x_train, y_train\); save it",
    ),
    "labels of the test images only": (
        npz(labels=None, test_images=IMAGES, test_labels=LABELS),
        r"has no array 'labels' \(but images, test_images, test_labels\); save it with np\.savez\(path, images=\.\.\., labels=\.\.\.\)",
    ),
    "one image without a label": (npz(images=IMAGES[:1], labels=None), r"the data set has one image, which cannot be split .*; add images"),
    "floats": (npz(images=IMAGES / 255), r"images have dtype float64, wanted uint8 from 0 to 255; convert them"),
    "channels first": (
        npz(images=IMAGES.transpose(0, 3, 1, 2)),
        r"images have shape \(10, 3, 8, 8\), wanted .* with 1 or 3 channels; transpose",
    ),
    "no images": (npz(images=IMAGES[:0], labels=LABELS[:0]), r"images have shape \(0, 8, 8, 3\), wanted"),
    "no test images": (
        npz(test_images=IMAGES[:0], test_labels=LABELS[:0]),
        r"test_images have shape \(0, 8, 8, 3\), wanted one image or more; fill the array or leave it out",
    ),
    "float labels": (
        npz(labels=LABELS / 2),
        r"labels have shape \(10,\) and dtype float64, wanted whole numbers \[N\]; number the classes from 0",
    ),
    "one hot": (npz(labels=np.eye(2, dtype=int)[LABELS]), r"labels have shape \(10, 2\) and dtype int64"),
    "short labels": (npz(labels=LABELS[:7]), r"10 images have 7 labels; give every image one label, -1 if it has none"),
    "one label": (npz(labels=LABELS * 0), r"labels holds labels of less than two classes; at least two are wanted"),
    "low label": (npz(labels=LABELS - 2), r"labels has labels from -2 to -1, wanted -1 to 0; correct the labels"),
    "lowest label": (npz(labels=LABELS - 2**40), r"labels has labels from -2147483648 to -2147483648, wanted -1 to 0; correct the labels"),
    "gap": (npz(labels=LABELS * 2), r"class 1 has no images, though labels go up to 2; number the classes from 0 without gaps"),
    "huge label": (npz(labels=LABELS * 2**40), r"class 1 has no images, though labels go up to 2147483647"),
    "no test labels": (npz(test_images=IMAGES), r"has test_images without test_labels; save both or neither"),
    "test size": (
        npz(test_images=IMAGES[:, :4], test_labels=LABELS),
        r"test_images have shape \(4, 8, 3\), images \(8, 8, 3\); bring both to one size",
    ),
    "test label": (
        npz(test_images=IMAGES, test_labels=LABELS + 1),
        r"test_labels has labels from 1 to 2, wanted 0 to 1; correct the labels",
    ),
}
