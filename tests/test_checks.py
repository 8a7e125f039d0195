import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sslx import checks

Z = jnp.ones((4, 3))
pytestmark = pytest.mark.usefixtures("without_typing_hook")


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: checks.check_floating("z", [1.0]), TypeError, "z must be a floating-point array, got list; pass jnp.asarray"),
        (lambda: checks.check_floating("z", jnp.ones(2, bool)), TypeError, "z must be floating-point, got dtype bool; convert it"),
        (lambda: checks.check_floating("z", jax.random.key(0)), TypeError, "got dtype key<fry>; are the arguments in the wrong order?"),
        (lambda: checks.check_matrix("z", jnp.ones(3)), ValueError, r"z must have shape \[N, d\], got \(3,\); flatten"),
        (lambda: checks.check_matrix("z", Z, min_rows=5), ValueError, r"z must have at least 5 rows and 1 column, got shape \(4, 3\)"),
        (lambda: checks.check_pair("a", Z, "b", Z[:2]), ValueError, r"a and b must have one shape \[N, d\], got \(4, 3\) and \(2, 3\)"),
        (lambda: checks.check_count("z", 1), ValueError, "z must have at least 2 rows over all devices, got 1; pass a larger batch"),
        (lambda: checks.check_views("z", Z), ValueError, r"z must have shape \[views, N, d\], got \(4, 3\); stack"),
        (lambda: checks.check_views("z", Z[None], min_views=2), ValueError, "z must have at least 2 views and 1 row,"),
        (lambda: checks.check_square("c", Z), ValueError, r"c must have shape \[d, d\], got \(4, 3\)"),
        (lambda: checks.check_square("c", jnp.ones((0, 0))), ValueError, r"c must have shape \[d, d\], got \(0, 0\)"),
        (lambda: checks.check_square("c", jnp.eye(3), 4), ValueError, r"c must have shape \[4, 4\], got \(3, 3\)"),
        (lambda: checks.check_choice("side", "up", ("left", "right")), ValueError, "side must be one of left, right, got 'up'"),
        (lambda: checks.check_integer("order", 1.5), ValueError, "order must be an integer of at least 1, got 1.5"),
    ],
)
def test_a_mistake_is_one_line_with_the_remedy(call, error, message):
    with pytest.raises(error, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_good_input_passes():
    checks.check_integer("width", np.int64(2))
    checks.check_pair("a", Z, "b", Z.astype(jnp.bfloat16), min_rows=4)
    checks.check_views("z", Z[None])
    checks.check_square("c", jnp.eye(3), 3)
    checks.check_choice("side", "left", ("left", "right"))
    checks.check_integer("order", 2, minimum=2)
