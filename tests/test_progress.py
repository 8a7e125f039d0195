"""What is said of a run on standard error."""

from sslx.presets import preset
from sslx.progress import Watcher


def test_a_run_begins_with_what_is_trained_and_where(capsys):
    start = {"run": "he[b]r[/x]e:x:", "config": preset("cifar10-byol", batch_size=512), "steps": 97, "devices": 8, "notes": ["a note"]}
    with Watcher() as watcher:
        watcher.watch("start", start)
        watcher.watch("validation", {"step": 20, "rankme": 3.5, "turn": "seed 7, 1 of 2"})
    assert capsys.readouterr().err.splitlines() == [
        "training byol with resnet18 on cifar10: 97 steps of 512 images on 8 devices, preset cifar10-byol",
        "a note",
        "run folder he[b]r[/x]e:x:",
        "seed 7, 1 of 2: step 20/97: RankMe 3.5",
    ]
