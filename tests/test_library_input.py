"""Whatever a user calls the library with: the right answer, or one line that says what is wrong."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from qmae import MaskedAutoencoder, Masks, ModelConfig, PatchMask, TrainingConfig, train
from qmae.data.batches import hide
from qmae.data.checks import brightest_of, check_pixels
from qmae.data.images import load_images
from qmae.data.pixels import resize
from qmae.errors import InputError
from qmae.evaluation import metrics
from qmae.evaluation.evaluate import complete
from qmae.models.base import embed_references
from qmae.models.baselines import MeanPatch, NearestNeighbours, Nothing, Ridge, TokenPatch
from qmae.models.free import FreeConfig, FreeModel
from qmae.models.networks import ClassicalConfig, ClassicalModel
from qmae.models.pixels import Original

pytestmark = pytest.mark.usefixtures("unchecked")

PATCH = PatchMask(8)


@pytest.fixture(scope="module")
def digits():
    return load_images(split="validation", size=8)[0][:40]


@pytest.fixture(scope="module")
def subjects(digits):
    def generator():
        return torch.Generator().manual_seed(0)

    return {
        "qmae": MaskedAutoencoder.from_preset("qmae", patch=PATCH),
        "double": MaskedAutoencoder.from_preset("qmae-plus", patch=PATCH, layers=1).double(),
        "heralded": MaskedAutoencoder.from_preset("qmae-compressed", patch=PATCH, layers=1),
        "offsets": MaskedAutoencoder(ModelConfig(PATCH, conditioning="offsets"), generator=generator()),
        "tied": FreeModel(FreeConfig(PATCH), generator=generator()),
        "heralded-per-position": FreeModel(FreeConfig(PATCH, "heralded-per-position"), generator=generator()),
        "unet": ClassicalModel(ClassicalConfig(PATCH), generator=generator()),
        "mae-small": ClassicalModel(ClassicalConfig(PATCH, "mae-small"), generator=generator()),
        "original": Original(),
        "nothing": Nothing(),
        "mean": MeanPatch(digits),
        "token": TokenPatch(digits, 3),
        "ridge": Ridge(digits),
        "knn": NearestNeighbours(digits),
    }


METHODS = ["fidelity", "probabilities", "success_probability", "reconstruct", "forward", "encode", "fill", "usable"]
METHODS += ["states", "complete", "hide", "__call__"]

CHANGES = {
    "as it is": lambda x: x,
    "double": lambda x: x.double(),
    "half": lambda x: x.half(),
    "bfloat16": lambda x: x.bfloat16(),
    "bytes": lambda x: (x * 255).byte(),
    "int": lambda x: (x * 255).int(),
    "bool": lambda x: x > 0.5,
    "complex": lambda x: x + 0j,
    "bright": lambda x: x * 255,
    "dim": lambda x: x * 0.1,
    "dark": lambda x: x / 255,
    "rounded": lambda x: (x / x.max()) * 1.0000001,
    "normalized": lambda x: (x - 0.13) / 0.31,
    "nan": lambda x: torch.where(x == x.max(), torch.nan, x),
    "infinite": lambda x: torch.where(x == x.max(), torch.inf, x),
    "black": lambda x: x * 0,
    "channel": lambda x: x[:, None],
    "one": lambda x: x[0],
    "flat": lambda x: x.flatten(1),
    "empty": lambda x: x[:0],
    "fewer": lambda x: x[:-1],
    "wide": lambda x: torch.cat([x, x], 2),
    "larger": lambda x: torch.cat([torch.cat([x, x], 1)] * 2, 2),
    "smaller": lambda x: x[:, :4, :4],
    "no pixels": lambda x: x[:, :0, :0],
    "scalar": lambda x: x.sum(),
    "list": lambda x: x.tolist(),
    "numpy": lambda x: x.numpy(),
    "none": lambda x: None,
    "sparse": lambda x: x.to_sparse(),
    "meta": lambda x: x.to("meta"),
    "transposed": lambda x: x.transpose(1, 2),
    "grad": lambda x: x.clone().requires_grad_(),
}
RIGHT = {"as it is", "double", "half", "bfloat16", "rounded", "transposed", "grad"}

MASKS = {
    "its own": lambda n, g: PATCH.sample(n, generator=g),
    "one": lambda n, g: PATCH.sample(1, generator=g),
    "none of images": lambda n, g: PATCH.sample(0, generator=g),
    "another ratio": lambda n, g: PatchMask(8, 0.5).sample(n, generator=g),
    "anywhere": lambda n, g: PatchMask(8, 0.25, "anywhere").sample(n, generator=g),
    "several": lambda n, g: PatchMask(8, 0.75, patches=3).sample(n, generator=g),
    "another size": lambda n, g: PatchMask(16).sample(n, generator=g),
    "meta": lambda n, g: PATCH.sample(n, generator=g).to("meta"),
    "hidden": lambda n, g: PATCH.sample(n, generator=g).hidden,
    "position": lambda n, g: PATCH.sample(n, generator=g).position,
    "patch": lambda n, g: PATCH,
    "nothing": lambda n, g: None,
}


@settings(max_examples=400)
@given(
    st.sampled_from(["qmae", "double", "heralded", "offsets", "tied", "heralded-per-position", "unet", "mae-small"])
    | st.sampled_from(["original", "nothing", "mean", "token", "ridge", "knn"]),
    st.sampled_from(METHODS),
    st.sampled_from(sorted(CHANGES)),
    st.sampled_from(["its own"] * 3 + sorted(MASKS)),
    st.integers(1, 9),
)
def test_calls_are_answered_or_refused(subjects, digits, name, method, change, kind, count):
    subject = subjects[name]
    call = {"complete": lambda *args: complete(subject, *args), "hide": hide}.get(method) or getattr(
        subject, method, None
    )
    if call is None:
        return
    images, masks = CHANGES[change](digits[:count]), MASKS[kind](count, torch.Generator().manual_seed(count))
    try:
        found = call(images, masks)
    except InputError as error:
        message = str(error)
        assert "\n" not in message
        assert not (change in RIGHT and kind == "its own"), message
        return
    for tensor in [found] if isinstance(found, torch.Tensor) else vars(found).values():
        if tensor is None:
            continue
        assert len(tensor) == count
        assert tensor.isfinite().all() or method == "hide"  # which hides, and leaves the rest as it is
        if tensor.ndim == 3 and method != "encode":
            assert tensor.shape == (count, 8, 8)


@pytest.mark.parametrize("name", ["qmae", "double", "heralded", "tied", "unet", "nothing", "mean", "token", "ridge"])
def test_what_is_accepted_gives_the_same(subjects, digits, name):
    subject, masks = subjects[name], PATCH.sample(9, generator=torch.Generator().manual_seed(0))
    images = (digits[:9] * 16).round() / 16  # exact in every precision
    expected = subject.fidelity(images, masks)
    for change in ("double", "half", "bfloat16", "transposed", "grad"):
        other = CHANGES[change](images)
        if change == "transposed":
            other = other.contiguous().transpose(1, 2)
        found = subject.fidelity(other, masks)
        torch.testing.assert_close(found.to(expected), expected, atol=1e-5, rtol=0)


SCALES = [
    (lambda x: x * 255, r"holds values from 0 to .*: divide by the maximum, bytes by 255"),
    (lambda x: x * 4, "holds values from 0 to"),
    (lambda x: (x - 0.13) / 0.31, r"holds values from -0\.4.*: undo the normalization"),
    (lambda x: x * 0.1, r"the brightest pixel of .*images is 0.*divide by their maximum"),
    (lambda x: x / 255, r"the brightest pixel of .*images is 0\.00"),
    (lambda x: x / 255 / 255, r"the brightest pixel of .*images is"),
    (lambda x: (x * 255).byte(), "images are uint8: pixels must be floats"),
    (lambda x: x > 0.5, r"images are bool: pixels must be floats in \[0, 1\]; use .float\(\)"),
    (lambda x: (x * 4095).short(), "images are int16"),
]


@pytest.mark.parametrize(("change", "why"), SCALES)
@pytest.mark.parametrize("size", [16, 8])
def test_wrong_scales_are_refused_by_training_models_and_evaluation(change, why, size):
    images = load_images(split="validation", size=size)[0][:64]
    patch = PatchMask(size)
    masks = patch.sample(64, generator=torch.Generator().manual_seed(0))
    model, changed = MaskedAutoencoder.from_preset("qmae", patch=patch), change(images)
    before = model.encoder.angles.detach().clone()
    for call in (
        lambda: train(model, changed, images, TrainingConfig(epochs=1)),
        lambda: train(model, images, changed, TrainingConfig(epochs=1)),
        lambda: model(changed, masks),
        lambda: model.reconstruct(changed, masks),
        lambda: model.encode(changed, masks),
        lambda: complete(model, changed, masks),
        lambda: embed_references(changed),
        lambda: Nothing().fidelity(changed, masks),
    ):
        with pytest.raises(InputError, match=why):
            call()
    assert torch.equal(model.encoder.angles, before)


@pytest.mark.parametrize("size", [2, 4, 8, 16])
def test_every_digit_alone_is_bright_enough(size):
    images = load_images(split="test", size=size)[0]
    dimmest = images[images.flatten(1).amax(1).argmin()][None]
    assert brightest_of(size) < dimmest.max() < 1.6 * brightest_of(size)
    embed_references(dimmest)
    model = MaskedAutoencoder.from_preset("qmae", patch=PatchMask(size, 0.5))
    for position in range(2):
        masks = PatchMask(size, 0.5).at(position, 1)
        assert model.reconstruct(hide(dimmest, masks), masks).isfinite().all()


@pytest.mark.parametrize("value", [1.0000001, 1 + 9e-7])
def test_rounding_above_one_is_no_error(value):
    images = torch.full((3, 8, 8), value, dtype=torch.float64)
    check_pixels(images)
    assert embed_references(images).shape == (3, 64)
    with pytest.raises(InputError, match=r"holds values from 0 to 1\.01"):
        check_pixels(torch.tensor([[[0.0, 1.01]]]))


def test_what_a_mask_hides_may_be_anything(digits):
    masks = PATCH.sample(9, generator=torch.Generator().manual_seed(0))
    model, images = MaskedAutoencoder.from_preset("qmae", patch=PATCH), digits[:9]
    expected = model.reconstruct(images, masks)
    for value in (0, 1, -1, 255, torch.nan, torch.inf):
        torch.testing.assert_close(model.reconstruct(images.masked_fill(masks.hidden, value), masks), expected)
    with pytest.raises(InputError, match="holds NaN or infinity"):
        model.fidelity(images.masked_fill(masks.hidden, torch.nan), masks)


def test_one_dark_image_among_others_stops_no_loop(digits):
    """Batches of one, and the last of a part, may be dark where the data set is not."""
    images = digits[:5].clone()
    images[4] *= 0.05
    model = MaskedAutoencoder.from_preset("qmae", patch=PATCH)
    train(model, images, images, TrainingConfig(epochs=1, batch_size=1))
    masks = PATCH.sample(5, generator=torch.Generator().manual_seed(0))
    assert complete(model, images, masks).fidelity.isfinite().all()
    with pytest.raises(InputError, match="the brightest pixel"):
        model.fidelity(images[4:], masks[4:])


@pytest.mark.parametrize("build", [MeanPatch, TokenPatch, Ridge, NearestNeighbours])
def test_baselines_are_made_of_images(build, digits):
    for change in sorted(set(CHANGES) - RIGHT - {"smaller", "fewer", "larger"}):
        if change == "black" and build is not TokenPatch:
            continue
        with pytest.raises(InputError):
            build(CHANGES[change](digits))
    with pytest.raises(InputError, match="images have 4 x 4 pixels, masks 4 x 4, and the model is made for 8 x 8"):
        build(digits).fidelity(digits[:, :4, 2:6], PatchMask(4).at(0, len(digits)))


def test_settings_of_baselines_are_checked(digits):
    for settings_of, values in [
        (lambda v: NearestNeighbours(digits, v), [0, -1, 1.5, None, True]),
        (lambda v: TokenPatch(digits, v), [0, -1, 1.5, None]),
        (lambda v: Ridge(digits, v), [0, -1, torch.nan, torch.inf, None, "1"]),
    ]:
        for value in values:
            with pytest.raises(InputError):
                settings_of(value)
    masks = PATCH.sample(9, generator=torch.Generator().manual_seed(0))
    with pytest.raises(InputError, match="leaves the regression undetermined"):
        Ridge(digits, 1e-300).fill(hide(digits[:9], masks), masks)


@pytest.mark.parametrize("readout", ["pixel", None, 3, ["amplitude"]])
def test_wrong_readouts_are_refused(readout, digits, subjects):
    masks = PATCH.sample(9, generator=torch.Generator().manual_seed(0))
    for name in ("qmae", "nothing", "tied", "unet"):
        with pytest.raises(InputError, match="no readout"):
            subjects[name].reconstruct(digits[:9], masks, readout=readout)


def test_positions_of_angles_are_checked(subjects):
    model = subjects["double"]
    assert torch.equal(model.encoder.at(2), model.encoder.at(torch.tensor(2)))
    for position in (4, -1, 1.5, None, "0", True, torch.tensor([0]), torch.tensor(4), torch.tensor(0.5)):
        with pytest.raises(InputError):
            model.encoder.at(position)
    assert model.encoder.at(Masks(PATCH, torch.tensor([1])).position[0]).shape == (4 * 15 + 6,)


@pytest.mark.parametrize("size", [0, -1, 1.5, None, "8", True, 2**13])
def test_sizes_to_resize_to_are_checked(size, digits):
    with pytest.raises(InputError, match="image size"):
        resize(digits, size)


def test_what_is_resized_is_checked(digits):
    assert resize(digits, 4).shape == (40, 4, 4)
    assert resize(torch.rand(2, 5, 7), 3).shape == (2, 3, 3)
    for change in ("bytes", "bright", "normalized", "nan", "channel", "one", "empty", "list", "numpy", "no pixels"):
        with pytest.raises(InputError):
            resize(CHANGES[change](digits), 4)


def test_model_of_half_precision_is_refused(digits):
    masks = PATCH.sample(9, generator=torch.Generator().manual_seed(0))
    for model in (
        MaskedAutoencoder.from_preset("qmae", patch=PATCH),
        FreeModel(FreeConfig(PATCH), generator=torch.Generator()),
    ):
        for dtype in (torch.float16, torch.bfloat16):
            with pytest.raises(InputError, match="too short to compute with"):
                model.to(dtype).fidelity(digits[:9], masks)


PAIRS = [metrics.cosine_similarity, metrics.structural_similarity, metrics.squared_error, metrics.peak_signal_to_noise]
HOLES = [metrics.hole_fidelity, metrics.hole_error, metrics.composite]


@pytest.mark.parametrize("metric", PAIRS + HOLES, ids=lambda metric: metric.__name__)
def test_metrics_compare_what_is_alike(metric, digits):
    hidden = PATCH.at(1, 5).hidden
    more = (hidden,) if metric in HOLES else ()
    assert len(metric(digits[:5], digits[5:10], *more)) == 5
    changes = "bytes bool complex nan infinite channel one empty fewer wide larger list numpy none sparse meta"
    for change in (*changes.split(), "no pixels"):
        for pair in ((digits[:5], CHANGES[change](digits[5:10])), (CHANGES[change](digits[5:10]), digits[:5])):
            with pytest.raises(InputError):
                metric(*pair, *more)
    if more:
        for wrong in (hidden[:4], hidden.float(), hidden.tolist(), None, hidden & False, PATCH.at(1, 5)):
            with pytest.raises(InputError, match="hidden pixels"):
                metric(digits[:5], digits[5:10], wrong)


@pytest.mark.parametrize("device", ["nonsense", "meta", "cuda:99", 3.5, None])
def test_devices_that_are_not_there_are_refused(device, digits, subjects):
    masks = PATCH.sample(9, generator=torch.Generator().manual_seed(0))
    with pytest.raises(InputError, match="device"):
        complete(subjects["nothing"], digits[:9], masks, device=device)
