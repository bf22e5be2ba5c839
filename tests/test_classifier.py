import pytest
import torch
from torch import nn

from qmae.classifier import (
    PACKAGED,
    build_classifier,
    jitter,
    load_classifier,
    predict,
    save_classifier,
    train_classifier,
)
from qmae.errors import InputError
from qmae.images import load_images


def test_the_packaged_classifier_gets_99_3_percent_of_the_test_images():
    images, labels = load_images(split="test")
    assert (predict(load_classifier(), images) == labels).float().mean() >= 0.993


def test_it_is_the_papers_resnet18():
    model = build_classifier()
    assert model.conv1.in_channels == 1
    assert isinstance(model.maxpool, nn.Identity)
    # torchvision's ResNet18 has 11,689,512 parameters: less two input channels and 990 classes
    assert sum(parameter.numel() for parameter in model.parameters()) == 11_689_512 - 2 * 64 * 49 - 990 * 513


def test_predictions_do_not_depend_on_the_scale_of_an_image():
    images = load_images(split="validation")[0][:100]
    assert torch.equal(predict(load_classifier(), images), predict(load_classifier(), images * 0.01))


def test_quantization_keeps_every_weight_within_half_a_step(tmp_path):
    model = build_classifier()
    save_classifier(model, tmp_path / "c.safetensors")
    for (name, kept), value in zip(
        load_classifier(tmp_path / "c.safetensors").state_dict().items(), model.state_dict().values(), strict=True
    ):
        step = value.flatten(1).abs().amax(1).max() / 127 if value.ndim > 1 else 0
        assert (kept - value).abs().max() <= step / 2 + 1e-7, name


def test_packaged_weights_are_small_enough_to_ship():
    assert PACKAGED.stat().st_size < 12e6


def test_training_learns_and_keeps_the_best_epoch():
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(200) % 4
    images = torch.rand(200, 8, 8, generator=generator) * 0.1
    images[torch.arange(200), 2 * labels] = 1
    accuracies = []
    model = train_classifier(
        (images[:150], labels[:150]),
        (images[150:], labels[150:]),
        epochs=6,
        batch_size=25,
        generator=generator,
        on_epoch=lambda epoch, accuracy: accuracies.append(accuracy),
    )
    assert (predict(model, images[150:]) == labels[150:]).float().mean().item() == pytest.approx(max(accuracies))
    assert max(accuracies) > 0.6


def test_jitter_is_small_and_seeded():
    images = torch.zeros(50, 1, 16, 16)
    images[..., 7:9, 7:9] = 1
    first, again = (jitter(images, generator=torch.Generator().manual_seed(0)) for _ in range(2))
    assert torch.equal(first, again)
    assert not first[..., :5, :].any()  # the middle moves by 1 pixel at most
    assert not first[..., 11:, :].any()
    assert (first.flatten(1).sum(1) > 2).all()


def test_files_without_a_classifier_are_refused(tmp_path):
    with pytest.raises(InputError, match="no classifier"):
        load_classifier(tmp_path / "gone")
    (tmp_path / "other").write_text("no weights")
    with pytest.raises(InputError, match="holds no qmae classifier"):
        load_classifier(tmp_path / "other")
