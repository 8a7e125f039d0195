"""Bad ArrayRecord files, for the table in data/test_bad_input.py: what builds them in a folder, and the message."""

from data_builders import write_records


def records(labels=(0, 1) * 4, *, test=(), change=None, **options):
    """A case with these labels, whose training file is changed as bytes."""

    def build(root):
        path = root / "set/train.array_record"
        write_records(path, labels, **options)
        if test:
            write_records(root / "set/test.array_record", test)
        if change:
            path.write_bytes(change(path.read_bytes()))
        return f"arrayrecord:{root}/set"

    return build


def shards(lost):
    """A case with two of three shards."""

    def build(root):
        for number in {0, 1, 2} - {lost}:
            write_records(root / f"set/x-train.array_record-{number:05}-of-00003", [0, 1])
        return f"arrayrecord:{root}/set"

    return build


def flipped(content, at):
    return content[:at] + bytes([content[at] ^ 255]) + content[at + 1 :]


RECORDS = {
    "no directory": (
        lambda root: f"arrayrecord:{root}/none",
        r"none is not a directory; give one with the files PATH/\*train\*\.array_record",
    ),
    "no files": (lambda root: f"arrayrecord:{root}", r"data has no ArrayRecord files of a training split; the files PATH/\*train\*"),
    "no records": (records([]), r"set, train holds no images; at least two classes with images are wanted"),
    "another file": (
        records(change=lambda content: b"text"),
        r"set/train\.array_record or a file beside it is no ArrayRecord file or is cut short \(.+\); write it again",
    ),
    "cut short": (records(change=lambda content: content[:-100]), r"is no ArrayRecord file or is cut short \(.+\); write it again"),
    **{
        f"no shard {lost}": (
            shards(lost),
            rf"has x-train\.array_record-{lost - 1:05}-of-00003, but no x-train\.array_record-{lost:05}-of-00003; put that shard there, or",
        )
        for lost in (1, 2)
    },
    "damaged record": (
        records(change=lambda content: flipped(content, content.find(b"PNG"))),
        r"set is damaged at example 0 \(.*hash mismatch.*\); write it again",
    ),
    **{
        f"{images} images and {len(labels)} labels": (
            records([labels, 1], images=images),
            rf"set is damaged at example 0 \(it has {images} images and {len(labels)} labels, wanted a tf\.train\.Example with one encoded",
        )
        for images, labels in ((0, [0]), (2, [0]), (1, [0, 1]))
    },
    "no label": (
        records([0, 1, None, 1]),
        r"set, train: example 2 has no label; give every one a label, -1 where it is unknown",
    ),
    "labels for testing alone": (records([None] * 4, test=[0, 1]), r"set, train: example 0 has no label; give every one a label"),
    "no test label": (records(test=[0, None]), r"set, test: example 1 has no label; give every one a label"),
    "one class": (records([0, 0, 0]), r"set, train holds labels of less than two classes; at least two are wanted"),
    "low label": (records([0, 1, -2]), r"set, train has labels from -2 to 1, wanted -1 to 1; correct the labels"),
    "lowest label": (records([0, 1, -(2**40)]), r"set, train has labels from -2147483648 to 1, wanted -1 to 1; correct the labels"),
    "gap": (records([0, 2, 2**40]), r"set, train: class 1 has no images, though labels go up to 2147483647; number the classes from 0"),
    "test label": (records(test=[0, 2]), r"set, test has labels from 0 to 2, wanted -1 to 1; correct the labels"),
}
