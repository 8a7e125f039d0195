"""The house keeps its floors: a room imports from lower floors only, and light rooms stay light."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import sslx

PACKAGE = Path(__file__).parent.parent / "sslx"
FLOORS = {
    **dict.fromkeys(("typing", "checks", "collectives", "parallel", "processes", "flops", "threads", "pixels"), 0),
    **dict.fromkeys(("locks", "interruption", "watch", "hints"), 0),
    **dict.fromkeys(("moments", "linalg", "entropy"), 1),
    **dict.fromkeys(("losses", "predictors", "dynamics", "information", "geometry", "augment", "models", "data"), 2),
    **dict.fromkeys(("methods", "evaluate"), 3),
    "train": 4,
    **dict.fromkeys(("checkpoint", "plotting", "report", "config", "folder"), 5),
    **dict.fromkeys(("assemble", "presets", "run", "diagnosis", "options", "console", "progress", "cli", "__main__", "__init__"), 6),
    **dict.fromkeys(("baseline", "speed", "feed", "fit", "frozen", "seeds", "memory", "comparison"), 6),
}
MATHEMATICS = ("moments", "linalg", "entropy", "losses", "predictors", "dynamics", "information", "geometry")
HEAVY = {"flax", "optax", "orbax", "matplotlib", "tensorflow", "tensorflow_datasets", "sklearn", "scipy", "tyro", "rich", "grain", "PIL"}


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path: Path) -> set[str]:
    """Dotted names of all modules that a file imports, in functions too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module == "sslx":
            found |= {f"sslx.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
    return found


FILES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_a_room_imports_from_lower_floors_only(path):
    here = room(path)
    others = {name.split(".")[1] for name in imports(path) if name.startswith("sslx.")} - {here}
    same_floor_is_fine = FLOORS[here] in (0, 1, 5, 6) or here == "evaluate"
    for other in others:
        allowed = FLOORS[other] < FLOORS[here] or (same_floor_is_fine and FLOORS[other] == FLOORS[here])
        assert allowed, f"{here} (floor {FLOORS[here]}) imports {other} (floor {FLOORS[other]})"


@pytest.mark.parametrize("path", [p for p in FILES if room(p) in MATHEMATICS], ids=lambda p: str(p.relative_to(PACKAGE)))
def test_the_mathematics_needs_jax_only(path):
    assert not {name.split(".")[0] for name in imports(path)} & HEAVY


def loaded_after(statement: str) -> tuple[set[str], float]:
    """Top-level modules in a fresh process after a statement, and how long it took."""
    code = (
        f"import sys, time; t = time.perf_counter(); {statement}; print(time.perf_counter() - t, *{{m.split('.')[0] for m in sys.modules}})"
    )
    seconds, *modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    return set(modules), float(seconds)


def test_importing_the_package_is_light():
    modules, seconds = loaded_after("import sslx")
    assert not modules & (HEAVY | {"jax", "numpy"})
    assert seconds < 0.2


@pytest.mark.parametrize("name", ["losses", "predictors", "dynamics", "information", "geometry"])
def test_importing_a_room_of_the_mathematics_needs_jax_only(name):
    modules, _ = loaded_after(f"import sslx.{name}")
    assert not modules & {*HEAVY, "diffrax"} - {"scipy"}  # jax itself loads parts of scipy


def test_submodules_come_by_attribute_and_only_when_asked_for():
    modules, _ = loaded_after("import sslx; assert {'losses', 'load', 'run', '__version__'} <= {*dir(sslx)}; sslx.losses.vicreg")
    assert not modules & HEAVY - {"scipy"}
    probes = ("__wrapped__", "__main__", "nothing")
    modules, _ = loaded_after(f"import sslx; assert not any(hasattr(sslx, name) for name in {probes})")
    assert "jax" not in modules


def test_a_name_that_the_package_lacks_is_told():
    with pytest.raises(AttributeError, match=r"^module 'sslx' has no attribute 'nothing'; dir\(sslx\) lists what it offers$"):
        sslx.nothing  # noqa: B018
