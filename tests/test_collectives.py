import jax
import jax.numpy as jnp
import numpy as np

from sslx import collectives

X = np.arange(12.0).reshape(4, 3, 1)


def test_without_an_axis_nothing_happens():
    x = jnp.asarray(X)
    assert collectives.pmean_if(x, None) is x
    assert collectives.psum_if(x, None) is x
    assert collectives.all_gather_if(x, None) is x
    assert (collectives.axis_size(None), collectives.axis_index(None)) == (1, 0)
    np.testing.assert_array_equal(collectives.row_indices(x, None), np.arange(4))


def test_over_four_devices():
    def everything(x):
        assert collectives.axis_size("batch") == 4
        return (
            collectives.pmean_if({"x": x}, "batch")["x"],
            collectives.psum_if(x, "batch"),
            collectives.all_gather_if(x, "batch"),
            collectives.row_indices(x, "batch"),
        )

    mean, total, gathered, rows = jax.pmap(everything, axis_name="batch", devices=jax.devices()[:4])(X)
    for device in range(4):
        np.testing.assert_array_equal(mean[device], X.mean(0))
        np.testing.assert_array_equal(total[device], X.sum(0))
        np.testing.assert_array_equal(gathered[device], X.reshape(12, 1))
        np.testing.assert_array_equal(rows[device], 3 * device + np.arange(3))
