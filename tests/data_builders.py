"""Small data sets on disk, in the layouts and binary formats that sslx.data reads."""

import io
import tarfile

import numpy as np
from PIL import Image

CIFAR10_FILES = [*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"]


def picture(seed, size=(8, 8), channels=3):
    """Random pixels [*size, channels]."""
    return np.random.default_rng(seed).integers(0, 256, (*size, channels)).astype(np.uint8)


def write_folder(root, *, classes=("cat", "dog"), train=3, test=2, size=(8, 8), extension="png"):
    """PATH/train/<class>/*.png and PATH/test/<class>/*.png; returns the pixels by file."""
    pixels = {}
    for split, count in (("train", train), ("test", test)):
        for c, name in enumerate(classes):
            for i in range(count):
                path = root / split / name / f"{i:03d}.{extension}"
                path.parent.mkdir(parents=True, exist_ok=True)
                pixels[path] = picture(100 * c + 10 * i + (split == "test"), size)
                Image.fromarray(pixels[path]).save(path)
    return pixels


def tar_bytes(members, mode="w:gz"):
    """An archive of {name: bytes}."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode) as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return file.getvalue()


def cifar_records(labels, seed, *, coarse=False):
    """One record per label: label byte(s), then red, green and blue planes row by row; also the images [N, 32, 32, 3]."""
    images = np.random.default_rng(seed).integers(0, 256, (len(labels), 32, 32, 3)).astype(np.uint8)
    head = [[7, label] if coarse else [label] for label in labels]
    rows = [bytes(h) + image.transpose(2, 0, 1).tobytes() for h, image in zip(head, images, strict=True)]
    return b"".join(rows), images


def cifar10_members():
    """Members of a small CIFAR-10 archive, in the jumbled order of the original; also the images by file."""
    members, images = {"cifar-10-batches-bin/batches.meta.txt": "\n".join(f"name{i}" for i in range(10)).encode() + b"\n\n"}, {}
    for seed in (3, 0, 5, 1, 4, 2):
        name = CIFAR10_FILES[seed]
        members[f"cifar-10-batches-bin/{name}"], images[name] = cifar_records([seed, (seed + 1) % 10, 9], seed)
    return members, images


def cifar100_members():
    """Members of a small CIFAR-100 archive; also the images by file."""
    members, images = {"cifar-100-binary/fine_label_names.txt": "\n".join(f"fine{i}" for i in range(100)).encode()}, {}
    for seed, name in enumerate(("train.bin", "test.bin")):
        members[f"cifar-100-binary/{name}"], images[name] = cifar_records([0, 99, 50], seed, coarse=True)
    return members, images


def stl10_members():
    """Members of a small STL-10 archive; also the images by file."""
    members, images = {"stl10_binary/class_names.txt": b"\n".join(b"stl%d" % i for i in range(10))}, {}
    for seed, (name, count) in enumerate({"train_X.bin": 4, "test_X.bin": 3, "unlabeled_X.bin": 5}.items()):
        images[name] = np.random.default_rng(seed).integers(0, 256, (count, 96, 96, 3)).astype(np.uint8)
        members[f"stl10_binary/{name}"] = b"".join(image.transpose(2, 1, 0).tobytes() for image in images[name])
    return members | {"stl10_binary/train_y.bin": bytes([1, 10, 5, 5]), "stl10_binary/test_y.bin": bytes([2, 3, 10])}, images


def png(pixels):
    """The bytes of an image file."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def write_records(path, labels, seed=0, *, images=1):
    """An ArrayRecord file of tf.train.Examples, one random picture per label (None leaves the label out); returns the pictures.

    For bad files a label may be a list of several, and the picture may come more or less than once.
    """
    from array_record.python.array_record_module import ArrayRecordWriter
    from tensorflow_datasets.proto import tf_example_pb2

    path.parent.mkdir(parents=True, exist_ok=True)
    writer, pictures = ArrayRecordWriter(str(path), "group_size:1"), [picture(seed + i) for i in range(len(labels))]
    for pixels, label in zip(pictures, labels, strict=True):
        example = tf_example_pb2.Example()
        example.features.feature["image"].bytes_list.value.extend([png(pixels)] * images)
        if label is not None:
            example.features.feature["label"].int64_list.value.extend(label if isinstance(label, list) else [label])
        writer.write(example.SerializeToString())
    writer.close()
    return pictures
