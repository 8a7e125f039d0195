import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

import reference
from sslx import losses, methods, predictors
from sslx.methods import Online

KEY = jax.random.key(0)
Z = jax.random.normal(KEY, (2, 16, 4), jnp.float64)
TARGET = jax.random.normal(jax.random.key(1), (2, 16, 4), jnp.float64)


def call(method, state=None, p=Z):
    return method.loss(Online(Z, p), TARGET, {} if state is None else state, KEY, jnp.asarray(0), None)


@pytest.mark.parametrize(("name", "loss"), [("vicreg", losses.vicreg), ("barlow_twins", losses.barlow_twins), ("simclr", losses.nt_xent)])
def test_symmetric_methods_compare_the_two_views(name, loss):
    value, terms, _ = call(methods.build(name))
    want, want_terms = loss(Z[0], Z[1])
    np.testing.assert_allclose(value, want)
    assert terms._fields == want_terms._fields


@pytest.mark.parametrize("name", ["byol", "simsiam"])
def test_byol_and_simsiam_sum_the_cosine_loss_of_predictions_over_both_orders(name):
    p = Z + 1
    value, _, _ = call(methods.build(name), p=p)
    np.testing.assert_allclose(value, losses.cosine(p[0], TARGET[1])[0] + losses.cosine(p[1], TARGET[0])[0])


@pytest.mark.parametrize(("step", "times"), [(0, 7.3), (4, 4.5), (9, 1.0), (30, 1.0)])
def test_lam_of_maximum_entropy_coding_rises_from_an_eighth(step, times):
    p = Z + 1
    value, _, _ = methods.build("mec", rise_steps=10).loss(Online(Z, p), TARGET, {}, KEY, jnp.asarray(step), None)
    want = losses.mec(p[0], TARGET[1], eps_squared=64 * times)[0] + losses.mec(p[1], TARGET[0], eps_squared=64 * times)[0]
    np.testing.assert_allclose(value, want, rtol=1e-7)


def test_matrix_ssl_takes_the_logarithm_of_the_predictions_covariance():
    p = Z + jnp.linspace(0, 1, 4)
    value, _, _ = call(methods.build("matrix_ssl", gamma=0.7), p=p)
    p, target = (np.stack([reference.unit_rows(np.asarray(z)) for z in views]) for views in (p, TARGET))
    want = sum(reference.matrix_ssl(target[b], p[a], gamma=0.7)[0] for a, b in ((0, 1), (1, 0)))
    np.testing.assert_allclose(value, want, rtol=1e-9)


def test_total_coding_rate_is_joined_by_the_cosine_of_the_two_views():
    value, terms, _ = call(methods.build("total_coding_rate"))
    a, b = (reference.unit_rows(np.asarray(z)) for z in Z)
    rate = sum(reference.half_logdet(np.eye(4) + 4 / (16 * 0.5) * z.T @ z) for z in (a, b)) / 2
    np.testing.assert_allclose((value, terms.coding_rate), (-rate - 100 * np.mean(np.sum(a * b, axis=1)), rate), rtol=1e-12)
    check_grads(lambda z: methods.build("total_coding_rate").loss(Online(z, z), TARGET, {}, KEY, jnp.asarray(0), None)[0], (Z,), 1, ["rev"])


def test_each_view_moves_the_correlation_before_its_own_predictor_is_made():
    value, _, corr = call(methods.build("isoloss", target="none"), jnp.zeros((4, 4)))
    first = predictors.correlation_update(jnp.zeros((4, 4)), Z[0], decay=0.5)
    second = predictors.correlation_update(first, Z[1], decay=0.5)
    want = losses.iso_cosine(Z[0], TARGET[1], predictors.directpred(first))[0]
    want += losses.iso_cosine(Z[1], TARGET[0], predictors.directpred(second))[0]
    np.testing.assert_allclose(value, want, rtol=1e-9)
    np.testing.assert_allclose(corr, second, rtol=1e-6)


def test_directpred_regresses_the_prediction_through_its_predictor():
    value, _, _ = call(methods.build("directpred", target="none", distance="euclidean", decay=0.0), jnp.zeros((4, 4)))
    parts = []
    for a, b in ((0, 1), (1, 0)):
        w_p = predictors.directpred(predictors.correlation_update(jnp.zeros((4, 4)), Z[a], decay=0.0))
        parts.append(losses.euclidean(Z[a] @ w_p, TARGET[b])[0])
    np.testing.assert_allclose(value, sum(parts), rtol=1e-9)


@pytest.mark.parametrize("name", ["directpred", "directcopy", "isoloss"])
@pytest.mark.parametrize("alpha", [0.5, 0.3])
def test_an_accelerator_makes_the_predictor_by_products_where_it_can(name, alpha, monkeypatch):
    method = methods.build(name, target="none", eps=0.1, **({} if name == "directcopy" else {"alpha": alpha}))
    wanted = call(method, jnp.zeros((4, 4)))[0]
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    program = jax.make_jaxpr(method.matrix)(jnp.eye(4))
    assert ("eigh" in str(program)) == (name != "directcopy" and alpha == 0.3)
    np.testing.assert_allclose(call(method, jnp.zeros((4, 4)))[0], wanted, rtol=1e-6)


def test_on_a_cpu_the_predictors_of_the_two_views_are_decomposed_one_by_one():
    """Several at once wait for each other for ever where a process has several CPU devices."""
    program = jax.make_jaxpr(lambda state: call(methods.build("isoloss", target="none"), state)[0])(jnp.zeros((4, 4)))
    outputs = [line.split("=")[0] for line in str(program).splitlines() if "= eigh[" in line]
    assert outputs
    assert all("f64[4,4]" in each for each in outputs), outputs


def test_the_decay_follows_the_target_network_as_published():
    for target, decay in (("ema", 0.998), ("none", 0.5)):
        _, _, corr = call(methods.build("isoloss", target=target), jnp.zeros((4, 4), jnp.float64))
        once = predictors.correlation_update(jnp.zeros((4, 4)), Z[0], decay=decay)
        np.testing.assert_allclose(corr, predictors.correlation_update(once, Z[1], decay=decay), rtol=1e-9)


def test_directcopy_is_directpred_with_power_one():
    state = jnp.zeros((4, 4))
    copy, pred = (call(methods.build(*a[:1], **a[1]), state)[0] for a in (("directcopy", {}), ("directpred", {"alpha": 1.0, "eps": 0.25})))
    np.testing.assert_allclose(copy, pred)


def test_supervised_cross_entropy_by_hand():
    target = jnp.broadcast_to(jnp.eye(4)[:2], (2, 2, 4))
    logits = jnp.array([[2.0, 0, 0, 0], [0, 0, 0, 0.0]])
    value, terms, _ = methods.build("supervised").loss(
        Online(jnp.stack([logits] * 2), jnp.stack([logits] * 2)), target, {}, KEY, jnp.asarray(0), None
    )
    first = np.log(np.exp(2) + 3) - 2
    np.testing.assert_allclose(value, (first + np.log(4)) / 2, rtol=1e-6)
    np.testing.assert_allclose(terms.accuracy, 0.5)


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (("moco",), {}, "method must be one of vicreg, .*got 'moco'"),
        (("vicreg",), {"target": "ema"}, "vicreg has no target network; leave the option out"),
        (("byol",), {"target": "momentum"}, "target must be one of ema, none, got 'momentum'"),
        (("vicreg",), {"lambd": 1.0}, "vicreg has no hyper-parameter 'lambd'; it has sim_coeff, std_coeff, cov_coeff$"),
        (("vicreg",), {"sim_coef": 1.0}, r"vicreg has no hyper-parameter 'sim_coef'; it has .*; did you mean sim_coeff\?"),
        (("isoloss",), {"distance": "l1"}, "distance must be one of cosine, euclidean"),
    ],
)
def test_mistakes_are_named_with_the_remedy(arguments, options, message, without_typing_hook):
    with pytest.raises(ValueError, match=message):
        methods.build(*arguments, **options)


def test_supervised_leaves_out_images_without_a_label():
    logits = jnp.asarray(np.random.default_rng(0).normal(size=(2, 6, 3)))
    target = jax.nn.one_hot(jnp.asarray([[0, 2, 1, -1, -1, -1]] * 2), 3)
    loss = methods.build("supervised").loss
    value, terms, _ = loss(Online(logits, logits), target, None, jax.random.key(0), jnp.array(0), None)
    wanted, known, _ = loss(Online(logits[:, :3], logits[:, :3]), target[:, :3], None, jax.random.key(0), jnp.array(0), None)
    np.testing.assert_allclose((value, terms.accuracy), (wanted, known.accuracy), rtol=1e-12)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("byol", {"ema": 1.5}, "hyper-parameter ema of byol must be between 0 and 1, got 1.5"),
        ("isoloss", {"decay": -0.1}, "hyper-parameter decay of isoloss must be between 0 and 1"),
        ("simclr", {"temperature": 0.0}, "hyper-parameter temperature of simclr must be above 0, got 0.0"),
    ],
)
def test_hyper_parameters_out_of_range_are_refused(name, options, message):
    with pytest.raises(ValueError, match=message):
        methods.build(name, **options)


@pytest.mark.parametrize("name", methods.METHODS)
def test_every_hyper_parameter_changes_what_is_trained(name):
    def program(**hyper):
        method = methods.build(name, **({"sub_batch": 8} if name == "w_mse" else {}) | hyper)
        loss = jax.make_jaxpr(lambda state: method.loss(Online(Z, Z), TARGET, state, KEY, jnp.asarray(0), None))(method.init_state(4))
        return method.ema, re.sub("0x[0-9a-f]+", "", str(loss))

    usual = program()
    assert program() == usual
    for key, value in methods.hyper_parameters(name).items():
        other = {str: "euclidean", int: 16, type(None): 0.3}.get(type(value), 0.7)
        assert program(**{key: other}) != usual, key


@pytest.mark.parametrize("name", ["byol", "directpred", "directcopy", "isoloss"])
def test_a_target_network_is_taken_or_left(name):
    assert [methods.build(name, target=target).target for target in ("ema", "none")] == ["ema", "self"]


@pytest.mark.parametrize("name", ["corinfomax", "matrix_ssl", "ssl_hsic", "total_coding_rate"])
def test_the_length_of_a_row_does_not_count(name):
    method = methods.build(name)
    loss = jax.jit(lambda p, z: method.loss(Online(p, p), z, method.init_state(4), KEY, jnp.asarray(0), None)[0])
    length = jnp.linspace(0.5, 3, 16)[:, None]
    np.testing.assert_allclose(loss(length * Z, TARGET / length), loss(Z, TARGET), rtol=1e-9)


@pytest.mark.parametrize("name", methods.METHODS)
def test_losses_of_rounded_embeddings_are_in_at_least_float32(name):
    method, z = methods.build(name), jax.ShapeDtypeStruct((2, 128, 4), jnp.bfloat16)
    loss = jax.eval_shape(lambda z: method.loss(Online(z, z), z, method.init_state(4), KEY, jnp.int32(0), None)[:2], z)
    assert {x.dtype for x in jax.tree.leaves(loss)} <= {jnp.dtype("float32"), jnp.dtype("float64")}
