"""What is said of a run on standard error."""

from sslx.presets import preset
from sslx.progress import Watcher


def test_a_run_begins_with_what_is_trained_and_where(capsys):
    what = {"config": preset("cifar10-byol", batch_size=512), "steps": 97, "seeds": [7], "devices": 8}
    start = {"run": "he[b]r[/x]e:x:", **what, "notes": ["a note"]}
    with Watcher() as watcher:
        watcher.watch("start", start)
        watcher.watch("validation", {"step": 20, "rankme": 3.5, "seed": 7, "turn": "seed 7, 1 of 2"})
    assert capsys.readouterr().err.splitlines() == [
        "training byol with resnet18 on cifar10: 97 steps of 512 images on 8 devices, preset cifar10-byol",
        "a note",
        "run folder he[b]r[/x]e:x:",
        "seed 7, 1 of 2: step 20/97: RankMe 3.5",
    ]


def test_what_is_read_and_evaluated_is_said_now_and_then_where_no_bar_shows_it(capsys, monkeypatch):
    now = [100.0]
    monkeypatch.setattr("rich.console.monotonic", lambda: now[0])
    with Watcher() as watcher:
        for done in (20, 40):
            watcher.watch("data", {"done": done, "total": 60})
        for part, counts in (("features", {"done": 0, "total": 9}), ("features", {"done": 5, "total": 9}), ("knn", {}), ("linear", {})):
            now[0] += 20
            watcher.watch("evaluate", {"of": "frozen encoder", "part": part, "seed": 3, **counts})
    assert capsys.readouterr().err.splitlines() == [
        "reading images, 20 of 60",
        "evaluating the frozen encoder: features, 5 of 9",
        "evaluating the frozen encoder: linear probe",
    ]


def test_on_a_terminal_the_bar_shows_it(capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "100")
    with Watcher() as watcher:
        watcher.watch("evaluate", {"of": "frozen encoder", "part": "features", "done": 128, "total": 512})
        watcher.bar.refresh()
        watcher.watch("evaluate", {"of": "raw pixels", "part": "knn"})
        assert (watcher.bar.tasks[0].completed, watcher.bar.tasks[0].total) == (0, None)
    shown = capsys.readouterr().err
    assert "evaluating the frozen encoder: features" in shown
    assert "128/512" in shown
    assert "evaluating the frozen encoder: features, 128" not in shown
    assert "evaluating the raw pixels: nearest neighbours" in shown


def test_a_line_says_which_seed_the_loss_and_how_long_it_takes_on(capsys, monkeypatch):
    """However long a step takes, and anew where the next run begins."""
    now = [0.0]
    monkeypatch.setattr("rich.console.monotonic", lambda: now[0])
    start = {"run": "here", "config": preset("digits-vicreg"), "seeds": [3, 4], "steps": 600, "devices": 1, "notes": []}
    with Watcher() as watcher:
        for _ in range(2):
            watcher.watch("start", start)
            for step in (20, 40, 600):
                now[0] += 40 if step < 600 else 560
                watcher.watch("log", {"step": step, "loss": 17.481, "seed": 4})
                watcher.watch("log", {"step": step, "loss": 16.0, "seed": 3})
                watcher.watch("validation", {"step": step, "validation_accuracy": 0.5, "seed": 4})
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("seed 4: step 40/")]
    assert lines == ["seed 4: step 40/600, loss 17.48: kNN on validation images 50.0 %, 0:18:40 left"] * 2
