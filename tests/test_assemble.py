"""What does not fit together is told before anything is written, and an epoch is all that is trained on."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from cheap_view import brighten
from sslx import augment, data, methods
from sslx.assemble import assemble, frozen_encoder
from sslx.config import Config, ConfigError
from sslx.feed import training_data
from sslx.models import ENCODERS, encoder

pytestmark = pytest.mark.usefixtures("without_typing_hook")
IMAGES = np.random.default_rng(0).integers(0, 256, (80, 8, 8, 3), np.uint8)
LABELS = np.arange(80, dtype=np.int32) % 4


@pytest.fixture(autouse=True)
def small_data(monkeypatch):
    """Eighty labelled images, with and without forty more, and recipes of one to three views that cost little."""
    small = data.Dataset("small", IMAGES, LABELS, IMAGES[:8], LABELS[:8], tuple("abcd"))
    monkeypatch.setitem(data.DATASETS, "small", lambda request: small)
    monkeypatch.setitem(data.DATASETS, "more", lambda request: small._replace(unlabelled_images=IMAGES[:40]))
    for count in (1, 2, 3):
        monkeypatch.setitem(augment.RECIPES, str(count), (brighten,) * count)


def settings(**changes):
    return Config(**{"method": "vicreg", "dataset": "small", "model": "mlp", "views": "2", "batch_size": 16, "epochs": 3, **changes})


@pytest.mark.parametrize(
    ("changes", "per_epoch"),
    [({}, 5), ({"dataset": "more"}, 7), ({"method": "supervised"}, 4), ({"method": "supervised", "dataset": "more"}, 4)],
)
def test_an_epoch_is_all_that_is_trained_on(changes, per_epoch):
    """80 images, 120 with the unlabelled ones, 64 without those of validation."""
    parts = assemble(settings(**changes))
    assert parts.steps == 3 * per_epoch
    assert len(training_data(parts)[0]) // 16 == per_epoch


REFUSED = {
    "batch beyond the images with labels": (
        {"method": "supervised", "batch_size": 72},
        "batch_size must be at most 64, the training images of small, got 72",
    ),
    "one image for batch norm": (
        {"micro_batches": 16, "batch_size": 16},
        "leaves batch norm less than two images in each of 16 micro-batches",
    ),
    "sub-batch": (
        {"method": "w_mse", "hyper": {"sub_batch": 12}},
        "w_mse with .* and batch size 16 cannot be trained: sub_batch must divide the 16 rows of z, got 12; take a sub_batch that does",
    ),
    "hyper-parameter": ({"method": "spectral_contrastive", "hyper": {"mu": -1.0}}, "cannot be trained: mu must be above 0, got -1"),
    "no view": ({"views": "none"}, "vicreg with views none and batch size 16 cannot be trained: .*"),
    "large views": (
        {"views": "imagenet"},
        r"model mlp wants images of one size: those of small are \(8, 8, 3\), views imagenet make \(224, 224, 3\)",
    ),
    **{
        f"{count} views of {method}": (
            {"method": method, "views": count},
            f"{method} with views {count} and batch size 16 cannot be trained: the loss compares two views, got {count}; take a recipe",
        )
        for method, count in (("vicreg", "1"), ("byol", "3"), ("isoloss", "3"), ("byol_logdet", "1"), ("corinfomax", "3"), ("mec", "1"))
    },
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_fit_is_told(case, monkeypatch):
    changes, message = REFUSED[case]
    monkeypatch.setitem(augment.RECIPES, "none", ())
    monkeypatch.setattr("jax.devices", lambda *_: [None])
    monkeypatch.setattr("sslx.parallel.lift", lambda *_: None)
    with pytest.raises(ConfigError, match=message):
        assemble(settings(**changes))


class Strict(nn.Module):
    """An encoder that has to be told whether it trains."""

    dtype: Any = None
    axis_name: Any = None
    momentum: float = 0.9

    @nn.compact
    def __call__(self, images, *, train):
        return nn.BatchNorm(use_running_average=not train)(images.reshape(len(images), -1))


class Listed(nn.Module):
    """An encoder that cannot be hashed."""

    widths: list
    own: Any
    dtype: Any = None
    axis_name: Any = None
    momentum: float = 0.9

    @nn.compact
    def __call__(self, images, *, train):
        return self.own(images.reshape(len(images), -1)[:, : self.widths[0]])


def test_an_encoder_that_has_to_be_told_whether_it_trains_is_taken(monkeypatch):
    monkeypatch.setitem(ENCODERS, "strict", Strict)
    assert assemble(settings(model="strict")).steps == 15


@pytest.mark.parametrize(("name", "always"), [("drop_path", False), ("dropout", True)])
def test_what_an_encoder_must_not_draw_is_told_beforehand(name, always, monkeypatch):
    class Drawing(Strict):
        @nn.compact
        def __call__(self, images, *, train):
            if train or always:
                self.make_rng(name)
            return images.reshape(len(images), -1)

    monkeypatch.setitem(ENCODERS, "drawing", Drawing)
    message = f"model drawing draws what it has no key for .*{name}.*; draw from 'dropout' alone, in training"
    with pytest.raises(ConfigError, match=message):
        assemble(settings(model="drawing"))


def test_an_error_without_words_is_named(monkeypatch):
    def silent(online, target, state, key, step, axis_name):
        raise ValueError

    monkeypatch.setitem(methods.METHODS, "silent", lambda: methods.Method(silent, methods.HeadSize(8, 8)))
    with pytest.raises(ConfigError, match="silent with views 2 and batch size 16 cannot be trained: ValueError"):
        assemble(settings(method="silent"))


class Terms(NamedTuple):
    loss: jax.Array


GIVEN = {
    "a term that is called loss": (lambda z, s: (jnp.mean(z), Terms(jnp.mean(z)), s), "a term of the loss is called loss, which metrics"),
    "a term alone": (lambda z, s: (jnp.mean(z), jnp.mean(z), s), "its terms a NamedTuple of numbers"),
    "a state in another order": (lambda z, s: (jnp.mean(z), EmptyTerms(), (s["n"],)), "its state must keep structure"),
    "a dict of terms": (lambda z, s: (jnp.mean(z), {"a": jnp.mean(z)}, s), "its terms a NamedTuple of numbers"),
    "a loss for every image": (lambda z, s: (jnp.mean(z, -1), Terms(jnp.mean(z)), s), "the loss must be a floating-point number"),
    "a whole number": (lambda z, s: (jnp.argmax(z), Terms(jnp.mean(z)), s), "the loss must be a floating-point number"),
    "another state": (
        lambda z, s: (jnp.mean(z), EmptyTerms(), {"n": s["n"] + jnp.ones(3)}),
        r"its state must keep structure, shapes and types, but .*'n'.* of \['int32\[\]'\] becomes .*'n'.* of \['float\d\d\[3\]'\]",
    ),
}


class EmptyTerms(NamedTuple):
    pass


@pytest.mark.parametrize("case", GIVEN)
def test_what_a_method_must_not_give_is_told_beforehand(case, monkeypatch):
    give, message = GIVEN[case]
    row = methods.Method(
        lambda online, target, state, key, step, axis_name: give(online.z, state),
        methods.HeadSize(8, 8),
        init_state=lambda width: {"n": jnp.zeros((), jnp.int32)},
    )
    monkeypatch.setitem(methods.METHODS, "mine", lambda: row)
    with pytest.raises(ConfigError, match=f"mine with views 2 and batch size 16 cannot be trained: .*{message}"):
        assemble(settings(method="mine"))


def test_a_loss_without_terms_is_told_what_is_wanted(monkeypatch):
    for wrap, loss in ((methods.two_views, lambda a, b, axis_name: jnp.mean(a)), (methods.all_views, lambda z, axis_name: [jnp.mean(z)])):
        row = methods.Method(wrap(loss), methods.HeadSize(8, 8))
        monkeypatch.setitem(methods.METHODS, "mine", lambda row=row: row)
        with pytest.raises(ConfigError, match="cannot be trained: a loss must return its value and a NamedTuple of its terms, got "):
            assemble(settings(method="mine"))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (lambda: None, r"must take dtype, axis_name and momentum, as fields of a flax.linen module: .*unexpected keyword argument"),
        (lambda **_: 3, r"must be a flax.linen module, got int; put one of nnx into flax.nnx.bridge.to_linen"),
    ],
)
def test_an_encoder_of_another_kind_is_told_what_is_wanted(row, message, monkeypatch):
    monkeypatch.setitem(ENCODERS, "mine", row)
    with pytest.raises(ConfigError, match=f"model mine {message}"):
        assemble(settings(model="mine"))


def test_more_steps_than_are_counted():
    with pytest.raises(ConfigError, match="a run has less than 2147483648 steps, got 2147483648; take fewer"):
        assemble(settings(steps=2**31, epochs=None))


def test_an_encoder_that_was_written_anew_under_its_name_is_used(monkeypatch):
    class Later(Strict):
        @nn.compact
        def __call__(self, images, *, train):
            return images.reshape(len(images), -1) + 5

    found = []
    for kind in (Strict, Later):
        monkeypatch.setitem(ENCODERS, "mine", kind)
        variables = kind().init(jax.random.key(0), np.float32(IMAGES[:2]), train=False)
        found.append(np.asarray(frozen_encoder("mine")(variables, IMAGES[:2])))
    np.testing.assert_allclose(found[1], IMAGES[:2].reshape(2, -1) / 255 + 5, rtol=1e-6)
    assert np.abs(found[0]).max() < 2


def test_an_encoder_of_which_no_two_are_equal_is_compiled_once(monkeypatch):
    monkeypatch.setitem(ENCODERS, "mine", lambda **options: Listed(widths=[3], own=lambda x: x, **options))
    apply = frozen_encoder("mine")
    assert apply({}, IMAGES[:2]).shape == (2, 3)
    assert frozen_encoder("mine") is apply


def test_images_that_a_method_with_labels_takes_are_not_copied():
    images, _ = training_data(assemble(settings(method="supervised")))
    assert np.shares_memory(images.images, IMAGES)


def test_methods_of_any_number_of_views_take_three():
    assert assemble(settings(method="mmcr", views="3")).steps == 15


def test_the_frozen_encoder_says_which_images_it_takes():
    apply, variables = frozen_encoder("mlp"), encoder("mlp").init(jax.random.key(0), np.float32(IMAGES[:2]))
    for count in (3, 0):
        assert apply(variables, IMAGES[:count]).shape[0] == count
    with pytest.raises(ValueError, match=r"^images of \(8, 4, 3\) do not fit this mlp, trained on other ones; give them the size"):
        apply(variables, IMAGES[:3, :, :4])
    with pytest.raises(ValueError, match=r"images must have shape \[N, H, W, C\], got \(8, 8, 3\); give one image as images\[None\]"):
        apply(variables, IMAGES[0])
    with pytest.raises(TypeError, match=r"^images must be an array, got list; pass np.asarray\(images\)"):
        apply(variables, IMAGES[:1, :1, :1].tolist())
