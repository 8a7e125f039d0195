"""A tiny run by the command line, alone or as one of several processes: python one_of_several.py JAX_CACHE OUT DEVICES.

Before it two starts that fail, by the data OUT.npz of one process, or the lack of others, and by the files at OUT/.. ; after it a
resumption with nothing left to train. Evaluation and report are left out.
"""

import dataclasses
import os
import sys

import jax

from cheap_view import brighten

cache, out, devices = sys.argv[1:]
jax.config.update("jax_num_cpu_devices", int(devices))
jax.config.update("jax_enable_x64", True)
jax.config.update("jax_disable_most_optimizations", True)
jax.config.update("jax_compilation_cache_dir", cache)
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
if jax.__version_info__ < (0, 11):  # as in conftest.py
    os.environ["XLA_FLAGS"] = "--xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1"

from sslx import augment, cli, evaluate, feed, presets, run  # noqa: E402

tiny = presets.preset("digits-vicreg", model="mlp", projector=(8, 4), batch_size=256, steps=4, checkpoint_every=2, optimizer="sgd")
presets.PRESETS["tiny"] = lambda: dataclasses.replace(tiny, preset="tiny")
augment.RECIPES["digits"] = (brighten, brighten)
evaluate.evaluate, run.render = lambda *arrays, **options: {"knn_accuracy": 0.5}, lambda *material: "report"

whole = feed.batches


def of_this_process(*arguments, **options):
    for images, labels in whole(*arguments, **options):
        assert len(images) == len(labels) == tiny.batch_size // jax.process_count()
        yield images, labels


feed.batches = of_this_process

assert cli.main(["pretrain", "tiny", "--dataset", f"npz:{out}.npz", "--distributed"]) == 2
assert cli.main(["pretrain", "tiny", "--out", os.path.dirname(out)]) == 2
assert cli.main(["pretrain", "tiny", "--out", out]) == 0
sys.exit(cli.main(["pretrain", "--out", out, "--resume"]))
