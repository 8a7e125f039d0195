"""Run by test_loss_contract with float64 off: prints, as JSON, the losses whose half-precision value is wrong."""

import json
import sys

import jax.numpy as jnp
import numpy as np

import loss_cases

N, D, SCALE = 300, 256, 16  # sums of squares, about 76,800 over rows and 65,536 over features, are beyond float16


def main():
    r = np.random.default_rng(0)
    common, noise_a, noise_b = r.normal(size=(3, N, D)).astype(np.float32)
    a, b = (SCALE * (0.8 * common + 0.6 * noise) for noise in (noise_a, noise_b))
    wrong = []
    for name, case in loss_cases.cases(D, sub_batch=N, extent=0.0).items():
        wanted = None
        for dtype in (jnp.float32, jnp.bfloat16, jnp.float16):
            loss, terms = case.loss(jnp.asarray(a, dtype), jnp.asarray(b, dtype))
            wanted = float(loss) if wanted is None else wanted
            if {x.dtype for x in (loss, *terms)} != {jnp.dtype(jnp.float32)} or not abs(float(loss) - wanted) <= 0.02 * abs(wanted):
                wrong.append((name, jnp.dtype(dtype).name, float(loss), wanted))
    sys.stdout.write(json.dumps(wrong))


if __name__ == "__main__":
    main()
