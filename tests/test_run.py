"""Whole runs on the digits with a tiny network: the folder, the frozen encoder, and a resumed run that is the same run."""

import dataclasses
import json
import shutil
import signal

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cheap_view import brighten
from sslx import augment, cli, data, evaluate, fit, folder, frozen, parallel, run
from sslx.evaluate import _few_label
from sslx.presets import preset
from sslx.train import train

SMALL = preset("digits-isoloss", model="mlp", target="ema", projector=(16, 8), steps=12, checkpoint_every=4, batch_size=64)
SPEED = {"images_per_second", "seconds_per_epoch", "model_flops_utilisation", "step_gflop", "peak_gflop_per_second"}
SPEED |= {"peak_memory_gib", "compile_seconds"}
EVALUATED = ("features of the training images", "features of the test images", "knn", "linear", "few_label")
STUB = {"knn_accuracy": 0.0, "linear_accuracy": 0.0, "few_label_accuracy": {"2": 0.0}, "few_label_std": {"2": 0.0}}


@pytest.fixture(scope="module", autouse=True)
def small_digits():
    """A third of the digits, views that compile in no time, and two draws of few labels: what a run needs most of its time for."""
    whole = data.load("digits")
    third = whole._replace(train_images=whole.train_images[:500], train_labels=whole.train_labels[:500])
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(data.DATASETS, "digits", lambda request: third)
        patch.setitem(augment.RECIPES, "digits", (brighten, brighten))
        patch.setattr(_few_label, "DRAWS", 2)
        yield


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run, its summary, and the events that were watched."""
    events = []
    out = tmp_path_factory.mktemp("runs") / "first"
    return out, run.pretrain(SMALL, out=out, watch=lambda kind, record: events.append((kind, record))), events


@pytest.fixture
def quick_scores(monkeypatch):
    """Skip the probes and the report where they do not matter."""
    monkeypatch.setattr(evaluate, "evaluate", lambda *_, **__: STUB)
    monkeypatch.setattr(run, "render", lambda *_: "a report")


def interrupt_at(step, of="checkpoint"):
    def watch(kind, record):
        if kind == of and record["step"] == step:
            raise KeyboardInterrupt

    return watch


def test_the_folder_holds_what_it_promises(finished):
    out, summary, _ = finished
    assert json.loads((out / "summary.json").read_text()) == summary
    assert folder.RunFolder(out).read_config() == SMALL
    records = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert records[-1]["step"] == 12
    assert {"step", "learning_rate"} | SPEED <= set(records[-1])
    assert records[-1]["learning_rate"] == pytest.approx(SMALL.build_optimizer(12)[0](11))  # with which the last step was taken
    assert set(folder.losses_of(records[-1])) == {"loss", "attraction", "restraint"}
    assert set(summary["speed"]) == SPEED
    assert all(value > 0 for value in summary["speed"].values())
    assert (out / "report.html").read_text().count("<figure>") == 6
    assert {"method", "dataset", "seed", "steps", "seconds", "rankme", "efficiency", "versions", "device"} <= set(summary)


def test_a_source_tree_that_is_not_installed_knows_its_version(monkeypatch):
    monkeypatch.setattr(run, "version", lambda name: {"sslx": None}.get(name, "1.0") or pytest.fail("asked for an installed sslx"))
    assert run.provenance()["versions"]["sslx"] == "0.1.0"


def test_one_compiled_program_serves_encoders_before_and_after_training(finished):
    out, _, _ = finished
    _, state, _ = frozen.load_run(out)
    apply, images = frozen.frozen_encoder("mlp"), np.zeros((3, 8, 8, 1), np.uint8)
    apply(frozen.variables_of(state), images)
    programs = apply._cache_size()  # pyright: ignore[reportFunctionMemberAccess]
    assert frozen.frozen_encoder("mlp") is apply
    apply(frozen.variables_of(parallel.lift("jit", 2).replicate(state)), images)
    assert apply._cache_size() == programs  # pyright: ignore[reportFunctionMemberAccess]


def test_the_summary_has_the_protocol_for_encoder_and_baselines(finished):
    _, summary, _ = finished
    for scores in (summary, *summary["baselines"].values()):
        assert set(scores["few_label_accuracy"]) == {"2", "5", "10"}
        assert 0.3 < scores["few_label_accuracy"]["10"] < 1
        assert 0.8 < scores["knn_accuracy"] <= 1
        assert 0.8 < scores["linear_accuracy"] <= 1
    assert set(summary["baselines"]) == {"random", "raw"}


def test_progress_is_told_in_order(finished):
    kinds = [kind for kind, _ in finished[2]]
    assert kinds[0] == "start"
    assert kinds.count("validation") == 3
    evaluated = [record for kind, record in finished[2] if kind == "evaluate"]
    assert kinds[-len(evaluated) :] == ["evaluate"] * len(evaluated)
    assert list(dict.fromkeys((record["of"], record["part"]) for record in evaluated)) == [
        *(("trained encoder", part) for part in EVALUATED),
        *(("random encoder", part) for part in EVALUATED),
        ("raw pixels", "accuracies"),
        ("trained encoder", "report"),
    ]
    assert {record["seed"] for record in evaluated} == {0}
    assert {record["total"] for record in evaluated if "total" in record} == {500, 360}


def test_the_frozen_encoder_gives_the_features_that_were_scored(finished):
    out, summary, _ = finished
    digits = data.load("digits")
    train, test = frozen.features(out, "digits", "train"), frozen.features(out, "digits", "test")
    assert evaluate.evaluate(train, test, digits, parts=("knn",))["knn_accuracy"] == summary["knn_accuracy"]
    apply, variables = frozen.load(out)
    np.testing.assert_allclose(apply(variables, digits.test_images[:3]), test[:3], rtol=1e-4, atol=1e-5)


def test_assess_repeats_the_scores_and_saves_features(finished, tmp_path):
    out, summary, _ = finished
    events = []
    scores = frozen.assess(out, ("linear",), save_to=str(tmp_path / "f.npz"), watch=lambda *event: events.append(event))
    assert scores == {"linear_accuracy": summary["linear_accuracy"]}
    assert events[-1] == ("evaluate", {"of": "frozen encoder", "part": "linear"})
    with np.load(tmp_path / "f.npz") as saved:
        assert saved["features"].shape[0] == len(saved["labels"]) == 500
        assert saved["test_features"].shape[0] == len(saved["test_labels"]) == 360


def test_a_resumed_run_is_the_same_run(finished, tmp_path, quick_scores):
    """Wherever its images lie by then, and however often it is saved from there on."""
    moved = dataclasses.replace(SMALL, data_dir="elsewhere", feed="host", checkpoint_every=6)
    with pytest.raises(KeyboardInterrupt):
        run.pretrain(SMALL, out=tmp_path / "second", watch=interrupt_at(12, of="log"))
    with folder_checkpoints(tmp_path / "second") as checkpoints:
        assert checkpoints.last() == 8
    run.pretrain(moved, out=tmp_path / "second", resume=True)
    assert folder.RunFolder(tmp_path / "second").read_config() == moved
    states = [frozen.load_run(out)[1] for out in (finished[0], tmp_path / "second")]
    whole, resumed = (jax.tree.map(np.asarray, (s.params, s.batch_stats, s.opt_state, s.target, s.method_state)) for s in states)
    jax.tree.map(np.testing.assert_array_equal, whole, resumed)
    for name in ("metrics.jsonl", "validation.jsonl"):
        assert untimed(tmp_path / "second" / name) == untimed(finished[0] / name)


def test_a_run_that_is_ended_is_saved_first_and_goes_on_from_there(finished, quick_scores, tmp_path, monkeypatch):
    """Where the command line has made SIGTERM an interruption; the second one does not wait."""

    def ended(*args, **named):
        for event in train(*args, **named):
            if event.step == 4:
                signal.raise_signal(signal.SIGTERM)
                with pytest.raises(KeyboardInterrupt):
                    signal.raise_signal(signal.SIGTERM)
            yield event

    usual, config = signal.signal(signal.SIGTERM, signal.default_int_handler), dataclasses.replace(SMALL, checkpoint_every=12)
    try:
        monkeypatch.setattr(fit, "train", ended)
        with pytest.raises(KeyboardInterrupt):
            run.pretrain(config, out=tmp_path / "run")
        monkeypatch.setattr(fit, "train", train)
        assert signal.getsignal(signal.SIGTERM) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGTERM, usual)
    with folder_checkpoints(tmp_path / "run") as checkpoints:
        assert checkpoints.steps() == [4]
    run.pretrain(config, out=tmp_path / "run", resume=True)
    states = [frozen.load_run(out)[1] for out in (finished[0], tmp_path / "run")]
    jax.tree.map(np.testing.assert_array_equal, *((s.params, s.batch_stats, s.opt_state) for s in states))


def test_a_finished_run_is_read(finished, tmp_path, monkeypatch):
    out, summary, _ = finished
    monkeypatch.setattr(run, "read_data", lambda *_: pytest.fail("nothing is left to train"))
    moved = tmp_path / "moved"
    shutil.copytree(out, moved)
    assert run.pretrain(SMALL, out=moved, resume=True) == {**summary, "run": str(moved)}
    assert json.loads((moved / "summary.json").read_text()) == summary


def test_a_run_that_another_process_trains_is_left_alone(tmp_path):
    running = folder.create(tmp_path / "run", SMALL)
    line = f"another process trains the run in {tmp_path}/run; wait for it or end it"
    with running.alone(), pytest.raises(folder.FolderError, match=line):
        run.pretrain(SMALL, out=running.path, resume=True)
    assert sorted(path.name for path in running.path.iterdir()) == ["config.json"]


def test_the_speed_of_a_run_that_was_trained_before_is_that_of_its_last_record(finished, tmp_path, quick_scores):
    moved = tmp_path / "moved"
    shutil.copytree(finished[0], moved)
    (moved / "summary.json").unlink()
    summary = run.pretrain(SMALL, out=moved, resume=True)
    assert summary["speed"] == {name: value for name, value in folder.read_lines(moved / "metrics.jsonl")[-1].items() if name in SPEED}
    assert set(summary["speed"]) == SPEED


def untimed(path):
    return [{k: v for k, v in record.items() if k not in SPEED} for record in folder.read_lines(path)]


def folder_checkpoints(path):
    from sslx.checkpoint import Checkpoints

    return Checkpoints(path / "checkpoints")


def test_last_and_best_are_kept(finished):
    with folder_checkpoints(finished[0]) as checkpoints:
        scores = {r["step"]: r["validation_accuracy"] for r in folder.read_lines(finished[0] / "validation.jsonl")}
        assert checkpoints.last() == 12
        assert scores[checkpoints.best()] == max(scores.values())


def test_all_checkpoints_are_kept_where_that_is_asked_for(tmp_path, quick_scores, capsys):
    out, states = tmp_path / "all", {}
    watch = lambda kind, record: states.update({record["step"]: record["state"]}) if kind == "checkpoint" else None  # noqa: E731
    run.pretrain(dataclasses.replace(SMALL, keep_all=True), out=out, watch=watch)
    with folder_checkpoints(out) as checkpoints:
        assert checkpoints.steps() == sorted(states)[1:] == [4, 8, 12]
    for step in sorted(states)[1:]:
        jax.tree.map(np.testing.assert_array_equal, frozen.load(out, step=step)[1]["params"], states[step].params["encoder"])
    assert cli.main(["evaluate", str(out), "--step", "7"]) == 2
    assert "all has checkpoints of the steps 4, 8, 12, asked was 7; --keep-all keeps more" in capsys.readouterr().err
    assert cli.main(["evaluate", str(out), "--step", "8", "--best"]) == 2
    assert "give either the best checkpoint or a step, got both and step 8" in capsys.readouterr().err


def test_checkpoints_that_were_kept_stay_when_the_run_goes_on(tmp_path, quick_scores):
    out, config = tmp_path / "all", dataclasses.replace(SMALL, checkpoint_every=2)
    with pytest.raises(KeyboardInterrupt):
        run.pretrain(dataclasses.replace(config, keep_all=True), out=out, watch=interrupt_at(8))
    assert run.pretrain(config, out=out, resume=True)["steps"] == 12
    assert folder.RunFolder(out).read_config().keep_all
    with folder_checkpoints(out) as checkpoints:
        assert checkpoints.steps() == [2, 4, 6, 8, 10, 12]


def test_last_and_best_are_loaded(finished, tmp_path):
    moved = tmp_path / "moved"
    shutil.copytree(finished[0], moved)
    with folder_checkpoints(moved) as checkpoints:
        best, state = checkpoints.best(), frozen.load_run(moved, best=True)[1]
        worse = state.replace(params=jax.tree.map(jnp.zeros_like, state.params))
        checkpoints.save(16, worse, checkpoints.inputs(best), validation=-1.0)
    for which, wanted in ((False, worse), (True, state)):
        jax.tree.map(np.testing.assert_array_equal, frozen.load(moved, best=which)[1]["params"], wanted.params["encoder"])
    assert frozen.assess(moved, ("linear",)) != frozen.assess(moved, ("linear",), best=True)


def test_a_folder_is_never_overwritten(finished):
    before = (finished[0] / "summary.json").read_text()
    with pytest.raises(folder.FolderError, match="not empty; choose another --out, or add --resume"):
        run.pretrain(SMALL, out=finished[0])
    with pytest.raises(folder.FolderError, match="holds another run: its seed is 0, asked was 5"):
        run.pretrain(preset("digits-isoloss", **{**changes(), "seed": 5}), out=finished[0], resume=True)
    assert (finished[0] / "summary.json").read_text() == before


def changes():
    return {"model": "mlp", "target": "ema", "projector": (16, 8), "steps": 12, "checkpoint_every": 4, "batch_size": 64}


def test_a_split_that_does_not_exist_is_named(finished):
    with pytest.raises(ValueError, match="split must be 'train' or 'test', got 'val'"):
        frozen.features(finished[0], "digits", "val")
