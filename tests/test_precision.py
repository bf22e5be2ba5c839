"""Whatever the context, models compute in float32 or better, in the precision of their parameters."""

import copy
import pickle

import pytest
import torch

from qmae import MaskedAutoencoder, PatchMask
from qmae.ansatz.ansatz import Ansatz
from qmae.ansatz.blocks import BLOCKS
from qmae.data.masks import Masks
from qmae.errors import InputError
from qmae.models.baselines import MeanPatch, NearestNeighbours, Nothing, Ridge, TokenPatch
from qmae.models.free import FreeConfig, FreeModel
from qmae.models.networks import ClassicalConfig, ClassicalModel
from qmae.models.pixels import Original
from qmae.simulation.blocks import block_unitaries, unitaries_of
from qmae.simulation.dense import DenseEncoder
from qmae.simulation.environments import angles_of, matrices, sweep
from qmae.simulation.statevector import StateVectorEncoder
from qmae.training.sweeps import Sweeps
from samples import random_angles, random_states, tied

PATCH = PatchMask(8, 0.25)


def quantum(name, **settings):
    return MaskedAutoencoder.from_preset(name, patch=PATCH, layers=2, initial_spread=0.7, **settings)


def free(design):
    return FreeModel(FreeConfig(PATCH, design), generator=torch.Generator().manual_seed(0))


def network(name):
    return ClassicalModel(ClassicalConfig(PATCH, name), generator=torch.Generator().manual_seed(0))


MODELS = {
    "qmae": lambda: quantum("qmae"),
    "qmae-plus": lambda: quantum("qmae-plus"),
    "qmae-heralded": lambda: quantum("qmae-heralded"),
    "qmae-compressed": lambda: quantum("qmae-compressed"),
    "offsets": lambda: quantum("qmae", conditioning="offsets"),
    **{design: lambda design=design: free(design) for design in ("tied", "free", "channel", "heralded-per-position")},
    **{name: lambda name=name: network(name) for name in ("autoencoder", "mae-small", "mae", "unet")},
}
every_model = pytest.mark.parametrize("name", MODELS)
HALVES = [torch.bfloat16, torch.float16]


def data(count=6):
    images = torch.rand(count, 8, 8, generator=torch.Generator().manual_seed(3), dtype=torch.float32)
    return images, Masks(PATCH, torch.arange(count) % 4)


def outputs(model):
    images, masks = data()
    return model.fidelity(images, masks), model.probabilities(images, masks), model.success_probability(images, masks)


def close(found, expected, atol=1e-5):
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == other.dtype
        torch.testing.assert_close(one, other, rtol=0, atol=atol)


@every_model
@pytest.mark.parametrize("half", HALVES)
def test_autocast_changes_nothing(name, half):
    model = MODELS[name]()
    expected = outputs(model)
    with torch.autocast("cpu", dtype=half):
        found = outputs(model)
    close(found, expected)


@pytest.mark.parametrize("name", [name for name in MODELS if name not in ("autoencoder", "mae-small", "mae", "unet")])
def test_gradients_under_autocast_are_those_outside(name):
    def gradients():
        model, (images, masks) = MODELS[name](), data()
        loss = model(images, masks).mean()
        loss.backward()
        return [parameter.grad for parameter in model.parameters()]

    expected = gradients()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = gradients()
    close(found, expected)


def test_shipped_models_under_autocast():
    images, masks = torch.rand(4, 16, 16, generator=torch.Generator().manual_seed(0)), PatchMask().at(2, 4)
    model = MaskedAutoencoder.from_pretrained("qmae-plus-25")
    expected = model.fidelity(images, masks)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        close([model.fidelity(images, masks)], [expected])


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("kind", [DenseEncoder, StateVectorEncoder])
def test_the_simulation_by_itself_under_autocast(kind, block):
    ansatz = Ansatz(4, 2, block)
    angles, states = random_angles(ansatz).float(), random_states(4).float()

    def compute():
        encoder = kind.build(angles, ansatz, (0,))
        kept = encoder.keep(states)
        return [tied(encoder).run(states).probabilities, encoder.encode(states), kept, encoder.decode(kept)]

    expected, outside = compute(), kind.build(angles, ansatz, (0,))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = [*compute(), tied(outside).run(states).probabilities]
    for one, other in zip(found, [*expected, expected[0]], strict=True):
        torch.testing.assert_close(one.to(other), other, rtol=0, atol=1e-5)


def test_sweeps_and_density_matrices_under_autocast():
    ansatz = Ansatz(4, 2, "so4")
    blocks = unitaries_of(random_angles(ansatz).float(), ansatz).view(1, 2, -1, 4, 4)
    gradient = torch.rand(1, 16, 16, generator=torch.Generator().manual_seed(0))
    images, masks = data()

    def compute():
        encoded, model = quantum("qmae").encode(images, masks), quantum("qmae-plus")
        Sweeps(model, learning_rate=0.01).step(images, masks)
        # Angles of a block may jump, but not what it does.
        remade = block_unitaries(angles_of(blocks[0].flatten(0, 1)), ansatz.block)
        return [
            *(encoded.trash, encoded.latent, encoded.state),
            *(sweep(blocks, ansatz, gradient), matrices(blocks, ansatz), remade.float()),
            model.fidelity(images, masks).detach(),
        ]

    expected = compute()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = compute()
    close(found, expected, atol=1e-4)


def baselines():
    images = data(40)[0]
    return [Original(), Nothing(), MeanPatch(images), Ridge(images), NearestNeighbours(images, 3), TokenPatch(images)]


def test_baselines_do_not_depend_on_the_context():
    expected = [outputs(baseline) for baseline in baselines()]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = [outputs(baseline) for baseline in baselines()]
    for one, other in zip(found, expected, strict=True):
        close(one, other, atol=1e-4)


@every_model
@pytest.mark.parametrize("kind", [*HALVES, torch.complex64])
@pytest.mark.filterwarnings("ignore:Complex modules are a new feature:UserWarning")
@pytest.mark.usefixtures("unchecked")
def test_parameters_of_another_kind_are_refused(name, kind):
    model, (images, masks) = MODELS[name]().to(kind), data()
    mend = "complex" if kind.is_complex else r"\.float\(\)"
    for output in (model, model.fidelity, model.probabilities):
        with pytest.raises(InputError, match=mend):
            output(images, masks)
    if name in ("qmae", "qmae-plus"):
        with pytest.raises(InputError, match=mend):
            model.encode(images, masks)


@every_model
def test_images_are_taken_in_the_precision_of_the_parameters(name):
    model, (images, masks) = MODELS[name](), data()
    images = images.double()
    for count in (1, 6):
        found = model.fidelity(images[:count], masks[:count])
        close([found], [model.fidelity(images[:count].float(), masks[:count])])
        assert model.probabilities(images[:count], masks[:count]).dtype == torch.float32
    double = copy.deepcopy(model).double()
    assert double.fidelity(images.float(), masks).dtype == torch.float64
    close([double.fidelity(images.float(), masks).float()], [model.fidelity(images, masks)])


@pytest.mark.parametrize("count", [4, 64])
def test_double_images_of_the_papers_size(count):
    images = torch.rand(count, 16, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    model, masks = MaskedAutoencoder.from_preset("qmae"), PatchMask().at(1, count)
    close([model.fidelity(images, masks)], [model.fidelity(images.float(), masks)], atol=1e-6)


@pytest.fixture
def double_by_default():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@every_model
def test_the_default_data_type_changes_no_number(name, request):
    expected, masks = outputs(MODELS[name]()), PatchMask(8, 0.75, patches=12).sample(5, generator=seeded())
    request.getfixturevalue("double_by_default")
    torch.testing.assert_close(PatchMask(8, 0.75, patches=12).sample(5, generator=seeded()).position, masks.position)
    model = MODELS[name]()
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float64}
    if not isinstance(model, ClassicalModel):  # torch draws the weights of its layers in the default data type
        close([value.float() for value in outputs(model)], expected)
    close([value.float() for value in outputs(model.float())], [value.float() for value in outputs(model.double())])


def seeded():
    return torch.Generator().manual_seed(4)


@every_model
def test_the_default_device_is_not_asked_for_constants(name):
    model = MODELS[name]()
    expected = outputs(model)
    images, masks = data()
    with torch.device("meta"):
        close([model.fidelity(images, masks), model.probabilities(images, masks)], expected[:2])
        assert torch.equal(PATCH.sample(5, generator=seeded()).hidden, PATCH.sample(5, generator=seeded()).hidden)
        assert PATCH.at(1, 5).hidden.device.type == PATCH.corners.device.type == "cpu"


def test_models_without_numbers_are_refused():
    with torch.device("meta"):
        model = quantum("qmae")
    with pytest.raises(InputError, match="meta"):
        model.fidelity(*data())


@every_model
def test_models_can_be_copied_and_pickled(name):
    model = MODELS[name]()
    expected = outputs(model)
    close(outputs(copy.deepcopy(model)), expected, atol=0)
    if not isinstance(model, FreeModel):  # a parametrized module of torch cannot be pickled
        close(outputs(pickle.loads(pickle.dumps(model))), expected, atol=0)
