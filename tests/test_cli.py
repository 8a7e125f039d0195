"""The command line: what it prints, and that every mistake is one line and exit code 2."""

import io
import json
import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import jax
import pytest

import sslx
from sslx import cli, console, diagnosis, frozen, run, seeds
from sslx.train import Divergence

pytestmark = pytest.mark.usefixtures("without_typing_hook")
ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("", "Expected one of {pretrain, evaluate, diagnose, compare, list}"),
        ("pretain --steps 3", "there is no command 'pretain'; did you mean pretrain"),
        ("probe", "there is no command 'probe'; choose one of pretrain, evaluate, diagnose, compare, list"),
        ("--steps 3", "Unrecognized"),
        ("pretrain --stps 3", "Unrecognized options: --stps"),
        ("pretrain --steps three", "--steps.*three"),
        ("pretrain --steps 0", "steps must be a whole number of at least 1, got 0"),
        ("pretrain --steps 5 --epochs 5", "give either steps or epochs"),
        ("pretrain --method vicregg", "got 'vicregg'; did you mean vicreg?"),
        ("pretrain --method moco", "method must be one of .*vicreg.*got 'moco'"),
        ("pretrain digits-moco", "preset must be one of those that `sslx list presets` prints, say digits-.*, got 'digits-moco'"),
        ("pretrain digits-vicreg --method byol", "preset digits-vicreg has method vicreg, asked was byol"),
        ("pretrain --dataset mnist", "unknown data set 'mnist'; choose one of digits"),
        ("pretrain --dataset cifar10", "cifar10 needs a data directory .*--data-dir"),
        ("pretrain --model vit", "model must be one of convnet"),
        ("pretrain --learning-rate nan", "learning_rate must be a number above 0 up to 100, got nan"),
        ("pretrain --method vicreg --target ema", "vicreg has no target network"),
        ("pretrain --parallel both", "parallel must be one of auto, jit, pmap"),
        ("pretrain --batch-size 100000", "batch_size must be at most 1437"),
        ("pretrain --resume", "--resume needs --out"),
        ("pretrain --resume --out nowhere", "nowhere is not a run folder"),
        ("pretrain --out /proc/version/x", "cannot write the run folder"),
        ("evaluate nowhere", "nowhere is not a run folder"),
        ("evaluate /proc/version", "/proc/version is not a run folder"),
        ("pretrain --dataset cifar10 --data-dir /proc/version", "/proc/version is not a directory; give the one that holds the data sets"),
        ("pretrain --dataset tfds:mnist --data-dir /proc/version", "/proc/version is not a directory"),
        ("evaluate", "Missing from sslx evaluate"),
        ("list optimizers", "invalid choice 'optimizers'"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.main(arguments.split()) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") <= 1 + err.count("run folder runs/")
    assert err.startswith("sslx: ")
    assert re.search(message, err), err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_a_mistake_is_the_same_line_whatever_the_output_can_draw(encoding, capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding))
    for arguments, line in (
        ("pretrain --stps 3", "Unrecognized options: --stps, 3; did you mean --steps?"),
        ("pretrain --lr 3", "Unrecognized options: --lr, 3"),
        ("evaluate", "Missing from sslx evaluate: STR Run folder. (required)"),
    ):
        assert cli.main(arguments.split()) == 2
        assert capsys.readouterr().err == f"sslx: {line} (sslx --help shows the options)\n"


def test_help_is_not_a_mistake(capsys):
    assert cli.main(["pretrain", "--help"]) == 0
    words = " ".join(capsys.readouterr().out.replace("│", "").split())
    assert "--learning-rate" in words
    assert "it means the preset digits-METHOD, with --dataset X the preset X-METHOD or else cifar10-METHOD." in words


def test_lists_name_the_tables(capsys):
    assert cli.main(["list", "methods"]) == 0
    assert "isoloss\n" in capsys.readouterr().out
    assert cli.main(["list", "presets", "--json"]) == 0
    assert "digits-isoloss" in json.loads(capsys.readouterr().out)
    assert cli.main(["list", "models"]) == cli.main(["list", "views"]) == 0
    assert {"resnet18-imagenet", "cifar-simclr"} < set(capsys.readouterr().out.split())
    assert cli.main(["list", "hyper"]) == cli.main(["list", "hyper", "--json"]) == 0
    words, table = capsys.readouterr().out.rsplit("\n", 2)[:2]
    assert words.startswith("vicreg                sim_coeff=25.0, std_coeff=25.0, cov_coeff=1.0\n")
    assert json.loads(table)["mec"] == {"ema": 0.996, "eps_squared": 64.0, "order": 4, "rise_steps": 1}


def test_the_version_can_be_asked_for(capsys):
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"sslx {sslx.__version__}\n"


def test_divergence_is_exit_code_3(capsys, monkeypatch):
    def diverge(*_, **__):
        raise Divergence("training diverged at step 7 (loss nan)")

    monkeypatch.setattr(run, "pretrain", diverge)
    assert cli.main(["pretrain"]) == 3
    assert "diverged at step 7" in capsys.readouterr().err


def test_the_options_reach_the_run(monkeypatch, capsys):
    calls = []
    scores = {"knn_accuracy": 0.5, "linear_accuracy": 0.25, "few_label_accuracy": {"2": 0.125}}
    summary = {"method": "vicreg", "dataset": "digits", "steps": 3, "seconds": 1.0, "device": "cpu", "run": "here", "rankme": 2.0}
    summary |= {**scores, "efficiency": 0.5, "baselines": {"random": scores, "raw": scores}}

    def pretend(config, **options):
        calls.append((config, options["out"], options["resume"]))
        return summary

    monkeypatch.setattr(run, "pretrain", pretend)
    assert (
        cli.main(["pretrain", "--method", "vicreg", "--steps", "3", "--seed", "4", "--learning-rate", "1e-4", "--out", "here", "--json"])
        == 0
    )
    config, out, resume = calls[0]
    assert (config.preset, config.steps, config.seed, config.learning_rate) == ("digits-vicreg", 3, 4, 1e-4)
    assert (out, resume) == ("here", False)
    assert json.loads(capsys.readouterr().out) == summary
    assert cli.main(["pretrain"]) == 0
    assert calls[1][0].preset == "digits-isoloss"
    words = capsys.readouterr().out
    assert "kNN 50.0 %, linear probe 25.0 %, 12.5 % with 2 labels per class" in words
    assert "here/report.html" in words


@pytest.mark.parametrize(
    ("command", "remedy"),
    [
        ("pretrain", "; go on with --resume and the --out of this run"),
        ("pretrain --seeds 3", "; go on with --resume, --seeds 3 and the --out of this run"),
        ("evaluate here", ""),
        ("diagnose here", ""),
    ],
)
def test_interruption_says_how_to_go_on_where_something_is_left_to_do(command, remedy, capsys, monkeypatch):
    def stop(*_, **__):
        raise KeyboardInterrupt

    for place, name in ((run, "pretrain"), (seeds, "pretrain_seeds"), (frozen, "assess"), (diagnosis, "examine")):
        monkeypatch.setattr(place, name, stop)
    assert cli.main(command.split()) == 130
    assert capsys.readouterr().err == f"sslx: interrupted{remedy}\n"


def test_an_error_of_the_system_that_is_not_about_the_output_is_not_taken_for_one(capfd):
    def missing():
        raise FileNotFoundError("no such file")

    with pytest.raises(FileNotFoundError):
        console.guarded(missing)
    os.write(1, b"still here")
    assert capfd.readouterr().out == "still here"


@pytest.mark.parametrize(("message", "shown"), [("Event loop is closed", False), ("something else", True)])
def test_only_reads_that_outlive_a_refused_checkpoint_are_silent(message, shown, monkeypatch, capsys):
    class Last:
        def __del__(self):
            raise RuntimeError(message)

    monkeypatch.setattr(sys, "unraisablehook", sys.__unraisablehook__)
    assert console.guarded(lambda: None) == 0
    Last()
    assert (message in capsys.readouterr().err) == shown


@pytest.mark.parametrize(("device", "code"), [("/dev/full", 2), ("a pipe that nobody reads", 0)])
def test_output_that_cannot_be_written(device, code):
    if device.startswith("/"):
        end = os.open(device, os.O_WRONLY)
    else:
        reader, end = os.pipe()
        os.close(reader)
    done = subprocess.run([sys.executable, "-m", "sslx", "list", "methods"], stdout=end, stderr=subprocess.PIPE, text=True)
    os.close(end)
    assert done.returncode == code
    assert done.stderr == ("sslx: [Errno 28] No space left on device; make room there or choose another place\n" if code else "")


@pytest.mark.parametrize("writable", [True, False])
def test_compiled_programs_are_kept_where_the_cache_can_be_written(tmp_path, monkeypatch, writable):
    kept = jax.config.jax_compilation_cache_dir
    monkeypatch.setenv("SSLX_CACHE", str(tmp_path) if writable else os.devnull)
    jax.config.update("jax_compilation_cache_dir", None)
    try:
        console.keep_compiled()
        assert jax.config.jax_compilation_cache_dir == (str(tmp_path / "compiled") if writable else None)
    finally:
        jax.config.update("jax_compilation_cache_dir", kept)


def test_a_newcomers_command_trains_in_a_fresh_process_with_float64_off(tmp_path):
    command = [
        sys.executable,
        "-m",
        "sslx",
        "pretrain",
        "--method",
        "vicreg",
        "--model",
        "mlp",
        "--steps",
        "4",
        "--batch-size",
        "64",
        "--json",
    ]
    done = run_fresh(command, tmp_path)
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert summary["method"] == "vicreg"
    assert (tmp_path / summary["run"] / "report.html").exists()
    assert "training vicreg with mlp on digits: 4 steps of 64 images, preset digits-vicreg\n" in done.stderr
    assert "kNN on validation images" in done.stderr
    assert len(list((tmp_path / "cache").glob("raw-pixels-*.json"))) == 1


def test_the_launch_script_works_without_tyro(tmp_path):
    hide_tyro = "import sys, runpy; sys.modules['tyro'] = None; sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')"
    script = [sys.executable, "-c", hide_tyro, str(ROOT / "experiments" / "pretrain.py")]
    done = run_fresh([*script, "digits-vicreg", "--parallel", "pmap", "--steps", "3", "--learning-rate", "0.1", "--resume"], tmp_path)
    assert (done.returncode, done.stderr) == (2, "sslx: --resume needs --out with the run folder to go on with\n")


def test_the_launch_script_explains_the_options_of_the_command():
    script = runpy.run_path(str(ROOT / "experiments" / "pretrain.py"))["parser"]()
    words = " ".join(script.format_help().split())
    assert "--keep-all Keep every checkpoint, not the last and the best alone" in words
    assert script.parse_args(["--keep-all", "--batch-size", "64"]).keep_all
    assert all(action.help for action in script._actions)


def run_fresh(command, folder):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "JAX_DISABLE_MOST_OPTIMIZATIONS": "1", "SSLX_CACHE": str(folder / "cache")}
    environment.pop("SSLX_DATA", None)
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment, check=False)
