"""The count of floating-point operations: by hand, beside the compiler's on a CPU, and of what runs several times."""

import jax
import jax.numpy as jnp
import pytest
from jax import lax

from sslx.flops import count_flops

A, B = jnp.ones((3, 4, 5)), jnp.ones((3, 5, 7))
IMAGES, KERNEL = jnp.ones((2, 8, 8, 6)), jnp.ones((3, 3, 6, 10))


def convolve(images, kernel, stride=1):
    return lax.conv_general_dilated(images, kernel, (stride, stride), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))


def test_a_batched_matrix_product_and_a_called_function():
    assert count_flops(jax.jit(jnp.matmul), A, B) == 2 * 3 * 4 * 5 * 7


@pytest.mark.parametrize("stride", [1, 2])
def test_the_gradient_of_a_convolution_costs_twice_the_convolution(stride):
    forward = 2 * 2 * (8 // stride) ** 2 * 10 * 9 * 6
    assert count_flops(lambda x, w: convolve(x, w, stride), IMAGES, KERNEL) == forward
    both = count_flops(jax.value_and_grad(lambda x, w: jnp.sum(convolve(x, w, stride) ** 2), argnums=(0, 1)), IMAGES, KERNEL)
    assert both == pytest.approx(3 * forward, rel=0.3)  # a compiler's convolution runs over the border too
    assert both >= 3 * forward


def test_loops_and_branches():
    product = count_flops(jnp.matmul, A, B)
    assert count_flops(lambda a, b: lax.scan(lambda c, _: (c, a @ b), 0, None, length=5), A, B) == 5 * product
    assert count_flops(lambda a, b: lax.cond(a[0, 0, 0] > 0, lambda: a @ b, lambda: (a @ b) @ jnp.ones((7, 7))), A, B) == (
        product + 2 * 3 * 4 * 7 * 7
    )
    assert count_flops(lambda a, b: lax.while_loop(lambda c: c[0] < 3, lambda c: (c[0] + 1, a @ b), (0, a @ b)), A, B) == 2 * product
    assert count_flops(lambda a: jnp.sum(jnp.exp(a)), A) == 0


def test_it_is_close_to_the_compilers_count_where_products_make_up_the_work():
    def network(x, w):
        return jnp.sum(jax.nn.relu(x @ w) @ w)

    x, w = jnp.ones((64, 128)), jnp.ones((128, 128))
    gradient = jax.value_and_grad(network, argnums=1)
    assert count_flops(gradient, x, w) == pytest.approx(jax.jit(gradient).lower(x, w).cost_analysis()["flops"], rel=0.05)
