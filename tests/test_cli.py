"""The command as a user meets it: exit codes, one line for every mistake, nothing half-written left behind."""

import json
import re
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import qmae
from qmae.data.images import load_images

BASELINES = ("original", "knn", "ridge", "token", "mean", "nothing")


@pytest.fixture(scope="module")
def run_folder(small_data, tmp_path_factory):
    from qmae import ModelConfig, PatchMask, TrainingConfig
    from qmae.training.runs import Run

    folder = tmp_path_factory.mktemp("runs") / "run"
    Run(folder, ModelConfig(PatchMask(8)), TrainingConfig(epochs=2, batch_size=40), str(small_data)).train()
    return folder


def assert_refused(result, message):
    code, out, err = result
    assert code == 2
    assert message in err
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert "Traceback" not in out + err


def test_train_evaluate_and_reconstruct(command, small_data, tmp_path):
    run = tmp_path / "run"
    train = ["train", "--data", small_data, "--size", 8, "--epochs", 2, "--preset", "qae", "--out", run]
    code, out, _ = command(*train)
    assert code == 0
    assert "validation fidelity" in out
    assert {path.name for path in run.iterdir()} == {"config.json", "history.csv", "model.safetensors"}

    code, out, _ = command("evaluate", run, "--images", 20, "--save-reconstructions", tmp_path / "r.npz")
    assert code == 0
    rows = json.loads((run / "metrics.json").read_text())["rows"]
    assert [row["model"] for row in rows] == [name for name in ("qae", *BASELINES) for _ in "ab"]
    assert all(row["images"] == 20 and row["accuracy"] is None for row in rows)
    with np.load(tmp_path / "r.npz") as arrays:
        assert arrays["reconstructions"].shape == (20, 8, 8)

    picture = tmp_path / "mine.png"
    Image.fromarray(np.full((40, 40), 200, np.uint8)).save(picture)
    code, out, _ = command("reconstruct", run, picture, picture, "--position", 1, "--out", tmp_path / "pictures")
    assert code == 0
    assert out.count("fidelity") == 2
    names = {"000-mine.png", "001-mine.png", "overview.png"}
    assert {path.name for path in (tmp_path / "pictures").iterdir()} == names
    with Image.open(tmp_path / "pictures" / "000-mine.png") as image:
        assert image.size == (8, 8)


def test_evaluate_under_other_masks(command, run_folder):
    options = ["--mask-ratio", 0.5, "--placement", "anywhere", "--seed", 3]
    assert command("evaluate", run_folder, *options)[0] == 0
    row = json.loads((run_folder / "metrics.json").read_text())["rows"][0]
    assert (row["mask_ratio"], row["trained_ratio"], row["placement"], row["mask_seed"]) == (0.5, 0.25, "anywhere", 3)


def test_a_finished_run_may_be_resumed(command, run_folder):
    assert command("train", "--resume", run_folder)[0] == 0


@pytest.mark.parametrize("name", ["reproduce", "train", "evaluate", "reconstruct", "verify", "train-classifier"])
def test_every_command_has_an_example(command, name):
    code, out, _ = command(name, "--help")
    assert code == 0
    assert f"qmae {name}" in out.split("Example")[1]


def test_runs_without_a_finished_epoch_or_with_damaged_files_are_refused(command, run_folder, tmp_path):
    run = Path(shutil.copytree(run_folder, tmp_path / "run"))
    (run / "model.safetensors").write_bytes((run / "model.safetensors").read_bytes()[:100])
    assert_refused(command("evaluate", run), "holds no model that can be read")
    config = json.loads((run / "config.json").read_text())
    config["model"]["mask_token"] = "none"  # torch's message on the weights has several lines
    shutil.copy(run_folder / "model.safetensors", run)
    (run / "config.json").write_text(json.dumps(config))
    assert_refused(command("evaluate", run), "holds no model that can be read")
    (run / "history.csv").write_text("x,y\n")
    assert_refused(command("evaluate", run), "has no history.csv that can be read")
    (run / "history.csv").unlink()
    assert_refused(command("evaluate", run), "holds no model that can be read")
    (run / "config.json").write_bytes(b"\xff\xfe")
    assert_refused(command("evaluate", run), "holds no training run")
    shutil.copy(run_folder / "config.json", run)
    (run / "checkpoint.pt").write_bytes(b"PK\x03\x04 cut short")
    assert_refused(command("train", "--resume", run), "checkpoint.pt is damaged and cannot be resumed")


def test_a_folder_of_other_things_is_not_resumed(command, tmp_path):
    (tmp_path / "report.md").write_text("mine")
    assert_refused(command("reproduce", "--resume", "--out", tmp_path), "is taken")
    assert (tmp_path / "report.md").read_text() == "mine"


def test_train_classifier_on_own_data(command, small_data, tmp_path, run_folder):
    out = tmp_path / "classifier.safetensors"
    code, printed, _ = command("train-classifier", "--data", small_data, "--size", 8, "--epochs", 1, "--out", out)
    assert code == 0
    assert "accuracy on test images" in printed
    kept = tmp_path / "rows.json"
    assert command("evaluate", run_folder, "--classifier", out, "--out", kept)[0] == 0
    rows = json.loads(kept.read_text())["rows"]
    assert all(0 <= row["accuracy"] <= 1 for row in rows)
    np.savez(tmp_path / "unlabelled.npz", images=np.ones((5, 8, 8)))
    options = ["--data", tmp_path / "unlabelled.npz", "--size", 8, "--out", tmp_path / "other"]
    assert_refused(command("train-classifier", *options), "needs a label for every image")
    assert not (tmp_path / "other").exists()
    assert_refused(command("train-classifier", "--out", tmp_path / "gone" / "c"), "cannot write")


def test_train_classifier_refuses_a_file_that_exists(command, tmp_path):
    (tmp_path / "c").write_text("mine")
    assert_refused(command("train-classifier", "--out", tmp_path / "c"), "c is taken: choose another place")
    assert (tmp_path / "c").read_text() == "mine"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "--data", "gone.npz"], "gone.npz: give `mnist` or the path of an .npz file"),
        (["train", "--size", 28], "image size 28 is no power of two"),
        (["train", "--mask-ratio", 0.3], "mask ratio 0.3 is no supported patch: choose 0.5, 0.25, 0.125"),
        (["train", "--learning-rate", -1], "must be positive"),
        (["train", "--preset", "vae"], "Invalid value for '--preset'"),
        (["train", "--epochs", "many"], "Invalid value for '--epochs'"),
        (["train", "--depth", 3], "No such option: --depth"),
        (["train", "--resume", "gone"], "gone holds no training run"),
        (["evaluate", "gone"], "gone holds no training run"),
        (["evaluate"], "Missing argument"),
        (["train", "--seed", -1], "Invalid value for '--seed'"),
        (["train", "--resume", "run", "--epochs", 5], "--epochs beside --resume: a run goes on with its own settings"),
        (["frobnicate"], "No such command 'frobnicate'"),
        (["run", "gone"], "gone holds no training run"),
        (["export", "gone", "--format", "pdf"], "Invalid value for '--format'"),
        (["draw", "block", "--out", "block.pdf"], "cannot draw block.pdf: choose a name that ends in .png or .svg"),
        (["draw", "cat"], "Invalid value for 'drawing'"),
        (["resources", "--size", 9], "image size 9 is no power of two"),
    ],
)
def test_bad_arguments_are_one_line_and_leave_nothing(command, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    assert_refused(command(*arguments), message)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda images: images.__setitem__(5, 0), "image 5 is all black: it has no direction to embed"),
        (lambda images: images.__setitem__(5, np.nan), "image 5 holds NaN"),
        (lambda images: images.__setitem__(5, 2), "image 5 holds values from 2 to 2: pixels must lie in [0, 1]"),
    ],
)
def test_bad_images_are_refused_by_index(command, tmp_path, run_folder, change, message):
    images = np.random.default_rng(0).uniform(size=(40, 8, 8))
    change(images)
    np.savez(tmp_path / "bad.npz", images=images)
    assert_refused(command("evaluate", run_folder, "--data", tmp_path / "bad.npz"), message)
    out = tmp_path / "run"
    assert_refused(command("train", "--data", tmp_path / "bad.npz", "--size", 8, "--out", out), message)
    assert not out.exists()


def test_black_pictures_and_other_files_are_refused(command, tmp_path, run_folder):
    Image.new("L", (8, 8)).save(tmp_path / "black.png")
    options = ["--out", tmp_path / "out"]
    assert_refused(
        command("reconstruct", run_folder, tmp_path / "black.png", *options), "black.png: image 0 is all black"
    )
    assert_refused(command("reconstruct", run_folder, tmp_path / "gone.png", *options), "no image file")
    assert_refused(command("reconstruct", run_folder, tmp_path / "black.png", "--position", 9), "no mask position 9")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["train", "reproduce"])
def test_folders_that_are_taken_or_cannot_be_written_are_refused(command, tmp_path, name):
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "thesis.txt").write_text("mine")
    assert_refused(command(name, "--out", tmp_path / "taken"), "taken is taken: choose another place")
    # Permissions do not stop a test that runs as root; a file where a folder should be does.
    assert_refused(command(name, "--out", tmp_path / "taken" / "thesis.txt" / "run"), "cannot write to")
    assert [path.name for path in (tmp_path / "taken").iterdir()] == ["thesis.txt"]


def test_a_place_where_reconstructions_cannot_be_written_is_refused(command, tmp_path, run_folder):
    target = tmp_path / "gone" / "r.npz"
    assert_refused(command("evaluate", run_folder, "--save-reconstructions", target), "cannot write")


def test_ctrl_c_keeps_what_is_finished(small_data, tmp_path):
    run = tmp_path / "run"
    options = ["--data", small_data, "--size", "8", "--epochs", "100000", "--out", run]
    process = subprocess.Popen(
        [sys.executable, "-c", "from qmae.cli import main; main()", "train", *options],
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while not (run / "model.safetensors").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err == f"interrupted: go on with `qmae train --resume {run}`\n"
    names = {path.name for path in run.iterdir()}
    assert names == {"config.json", "model.safetensors", "history.csv", "checkpoint.pt"}
    assert qmae.MaskedAutoencoder.from_pretrained(run).encoder.angles.isfinite().all()


def modules_after(statement):
    code = f"import sys; {statement}; print(*{{name.split('.')[0] for name in sys.modules}})"
    return set(subprocess.check_output([sys.executable, "-c", code], text=True).split())


def test_help_does_not_wait_for_torch():
    assert "torch" not in modules_after("import qmae.cli")


def test_the_library_loads_nothing_it_does_not_need():
    heavy = {"pennylane", "torchmetrics", "torchvision", "matplotlib", "sklearn", "lightning", "PIL"}
    assert not heavy & modules_after("from qmae import MaskedAutoencoder, PatchMask, load_images, train")


def test_every_public_name_can_be_imported():
    assert qmae.__version__.count(".") == 2
    for name in set(qmae.__all__) - {"__version__"}:
        assert getattr(qmae, name).__module__.startswith("qmae.")
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = qmae.nonsense


def test_bundled_data_carries_its_licence():
    text = (Path(qmae.__file__).parent / "data" / "mnist" / "LICENSE.md").read_text()
    assert "CC BY-SA 3.0" in text


def test_images_of_the_training_are_not_measured_whatever_path_names_them(command, small_data, run_folder):
    assert (
        command("evaluate", run_folder, "--data", f"{small_data.parent}/../{small_data.parent.name}/{small_data.name}")[
            0
        ]
        == 0
    )
    assert json.loads((run_folder / "metrics.json").read_text())["rows"][0]["images"] == len(
        load_images(small_data, split="test", size=8)[0]
    )


LEAKY = """
import sys, qmae
from qmae.models.bottlenecks import BOTTLENECKS, Herald
from qmae.cli import main

class Leaky(Herald):
    def let_through(self, encoder, states):
        return encoder.encode(states)

BOTTLENECKS.register("leaky", Leaky())
qmae.create_model("qmae", patch=qmae.PatchMask(8), bottleneck="leaky").save_pretrained(sys.argv[2])
main()
"""
"""A command that knows a bottleneck whose simulation is not its circuit."""


def test_verify_fails_where_simulation_and_circuit_differ(tmp_path):
    arguments = ["verify", tmp_path / "leaky", "--images", "1"]
    ran = subprocess.run([sys.executable, "-c", LEAKY, *arguments], capture_output=True, text=True)
    assert ran.returncode == 2
    assert "simulation and circuit differ" in ran.stderr


def test_verify_prints_every_circuit(command, run_folder):
    code, out, _ = command("verify", run_folder, "--images", 1)
    assert code == 0
    assert out.count("worst difference in fidelity") == 5


def test_run_estimates_on_a_device(command, run_folder, tmp_path):
    out = tmp_path / "estimates"
    options = ["--images", 2, "--shots", 500, "--overlap", "inverse", "--device-option", "seed=1", "--out", out]
    code, printed, _ = command("run", run_folder, "--device", "default.qubit", *options)
    assert code == 0
    assert "7 qubits on default.qubit, 500 shots per value" in printed
    assert (
        len(re.findall(r"image \d: fidelity 0\.\d{4} ± 0\.0\d{3}, exact 0\.\d{4}; reconstruction off by", printed)) == 2
    )
    first, second = json.loads((out / "estimates.json").read_text())["images"]
    assert abs(first["fidelity"] - first["exact_fidelity"]) < 5 * first["standard_error"]
    assert len(second["probabilities"]) == 64
    assert (out / "reconstructions.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--device", "nope"], "no device 'nope'"),
        (["--shots", 0], "Invalid value for '--shots'"),
        (["--device-option", "color=3"], "cannot be opened with these options"),
        (["--device-option", "wires=4"], "has 4 wires, the circuit needs 14: give it more"),
        (["--device-option", "seed"], "'seed' is no key=value: write it as in --device-option seed=1"),
        (["--images", 50], "has only 22 test images: choose fewer"),
    ],
)
def test_devices_and_options_that_do_not_exist_are_refused(command, run_folder, tmp_path, options, message):
    out = tmp_path / "estimates"
    assert_refused(command("run", run_folder, "--out", out, *options), message)
    assert not out.exists()


def test_a_run_folder_of_another_version_is_refused(command, run_folder, tmp_path):
    other = tmp_path / "run"
    shutil.copytree(run_folder, other)
    config = json.loads((other / "config.json").read_text())
    config["model"]["spin"] = 1
    (other / "config.json").write_text(json.dumps(config))
    assert_refused(command("run", other), "run is of another version of qmae")


def test_export_says_what_must_come_out(command, run_folder, tmp_path):
    out = tmp_path / "one.qasm"
    code, printed, _ = command("export", run_folder, "--image", 3, "--overlap", "inverse", "--out", out)
    assert code == 0
    assert re.search(r"7 qubits, \d+ gates; the fidelity is P\(0\) of all 6 bits, exactly 0\.\d{8}", printed)
    assert out.read_text().startswith("OPENQASM 3")
    assert_refused(command("export", run_folder, "--out", out), "one.qasm is taken")
    assert_refused(command("export", run_folder, "--image", 22, "--out", tmp_path / "a"), "only 22 test images")


def test_draw_and_resources_print(command, tmp_path):
    code, printed, _ = command("draw", "training", "--qubits", 3)
    assert code == 0
    assert "trash 0: ─╭|Ψ⟩─╭V─╰SWAP─╭V†" in printed
    assert command("draw", "block", "--out", tmp_path / "block.svg")[0] == 0
    assert "<svg" in (tmp_path / "block.svg").read_text()
    code, printed, _ = command("resources", "--size", 2, "--layers", 1)
    assert code == 0
    assert "| 2 x 2 | `swap` | 1 | all | 6 |" in printed
    records = json.loads(command("resources", "--size", 2, "--layers", 1, "--json")[1])
    assert len(records) == 6


def test_noise_of_two_runs_goes_on_where_it_stopped(command, run_folder, small_data, tmp_path, monkeypatch):
    from qmae.circuits.noise import Setting, study

    qae, out = tmp_path / "qae", tmp_path / "noise"
    command("train", "--preset", "qae", "--data", small_data, "--size", 8, "--epochs", 1, "--out", qae)
    settings = (Setting("damping", 0.001, False), Setting("readout", 0.01, True))
    monkeypatch.setattr("qmae.circuits.noise.study", partial(study, settings=settings))
    code, printed, _ = command("noise", run_folder, qae, "--images", 1, "--out", out)
    assert code == 0
    assert "| damping | free of noise | 0.001 |" in printed
    report = (out / "report.md").read_text()
    assert "QMAE down to QAE without noise" in report
    rows = json.loads((out / "rows.json").read_text())
    assert len(rows) == 4
    (out / "rows.json").write_text(json.dumps(rows[:3]))
    assert command("noise", run_folder, qae, "--images", 1, "--out", out, "--resume")[0] == 0
    assert json.loads((out / "rows.json").read_text()) == rows
    assert_refused(command("noise", run_folder, qae, "--out", out), "noise is taken")
    assert_refused(
        command("noise", qae, run_folder, "--out", tmp_path / "new"),
        "must be a QMAE and a QAE of the same masks, circuit and data",
    )


def test_shots_measures_and_trains(command, run_folder, tmp_path, monkeypatch):
    from qmae.circuits.shots import descents, spreads

    monkeypatch.setattr("qmae.circuits.shots.spreads", partial(spreads, shots=(10, 100), most_shots=5000))
    monkeypatch.setattr("qmae.circuits.shots.descents", partial(descents, steps=1, shots=(10, None)))
    code, printed, _ = command("shots", run_folder, "--images", 1, "--out", tmp_path / "shots")
    assert code == 0
    assert "| Error of F | `swap`, measured | `swap`, formula | `inverse`, measured | `inverse`, formula |" in printed
    names = {path.name for path in (tmp_path / "shots").iterdir()}
    assert names == {"rows.json", "report.md", "figure.png"}


def test_benchmark_prints_and_keeps_ratios(command, tmp_path):
    code, printed, _ = command("benchmark", "--batch-size", 8, "--json", tmp_path / "times.json")
    assert code == 0
    assert "batch 8" in printed
    assert re.search(r"qmae .* ms a step of 8 .* images/s .* x bare matrix products", printed)
    assert len(json.loads((tmp_path / "times.json").read_text())["measurements"]) == 2


def test_benchmark_measures_other_sizes_and_draws_them(command, tmp_path):
    out = tmp_path / "scaling.png"
    code, printed, _ = command("benchmark", "--qubits", 6, "--qubits", 4, "--batch-size", 2, "--figure", out)
    assert code == 0
    assert re.search(r"4 +4 x 4 .*\n6 +8 x 8 +1 +[\d.]+ +-?[\d.]+ +\d+ MiB", printed)
    assert out.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (["--qubits", 7], "--qubits must be even"),
        (["--layers", 1, "--layers", 2], "need --qubits"),
        (["--figure", "x.png"], "need --qubits"),
    ],
)
def test_benchmarks_that_mean_nothing_are_refused(command, options, why):
    assert_refused(command("benchmark", *options), why)


def test_ceiling_goes_on_where_it_stopped_and_keeps_its_result(command, tmp_path, small_data):
    search = ["ceiling", "--data", small_data, "--size", 8, "--epochs", 2, "--restarts", 2, "--out", tmp_path / "best"]
    for _ in range(2):
        code, printed, _ = command(*search, "--design", "tied", "--design", "heralded")
        assert code == 0
        assert re.fullmatch(r"(?s)tied .* shots kept 100.0%\nheralded .* shots kept [\d.]+%\n", printed)
    rows = json.loads((tmp_path / "best" / "metrics.json").read_text())["rows"]
    assert [row["model"] for row in rows] == ["tied", "heralded"]
    assert 0 < rows[1]["success_probability"] < 1
    assert rows[0]["fidelity_interval"][0] < rows[0]["fidelity"] < rows[0]["fidelity_interval"][1]
    assert_refused(command(*search, "--design", "tied", "--mask-ratio", 0.3), "mask ratio 0.3")


def test_classical_networks_are_runs_like_any_other(command, tmp_path, small_data):
    run = tmp_path / "network"
    train = ["train", "--preset", "autoencoder", "--data", small_data, "--size", 8, "--epochs", 2]
    assert command(*train, "--mask-ratio", 0.5, "--patches", 2, "--out", run)[0] == 0
    code, printed, _ = command("evaluate", run)
    assert code == 0
    assert printed.startswith("autoencoder 50.0% grid")
    assert_refused(command("export", run), "holds a classical network, which is no circuit")
    assert_refused(
        command(*train, "--layers", 2, "--out", tmp_path / "no"), "--layers: of a circuit, which autoencoder"
    )


def test_models_beyond_the_paper_are_runs_like_any_other(command, tmp_path, small_data):
    run = tmp_path / "heralded"
    train = ["train", "--preset", "qmae-heralded", "--data", small_data, "--size", 8, "--epochs", 2, "--layers", 1]
    assert command(*train, "--success-weight", 0.1, "--out", run)[0] == 0
    written = json.loads((run / "config.json").read_text())
    assert written["model"]["trash_wires"] == [6]
    assert written["training"]["method"] == "sweeps"
    assert written["training"]["success_weight"] == 0.1
    code, printed, _ = command("evaluate", run)
    assert code == 0
    assert printed.startswith("qmae-heralded 25.0% grid")
    assert 0 < json.loads((run / "metrics.json").read_text())["rows"][0]["success_probability"] < 1
    code, printed, _ = command("run", run, "--images", 1, "--shots", 200, "--overlap", "inverse")
    assert code == 0
    assert re.search(r"image 0: fidelity .* \d+% of the shots kept", printed)
    code, printed, _ = command("export", run, "--out", tmp_path / "heralded.qasm")
    assert code == 0
    assert "where the bits `herald` are 0" in printed
    assert "herald" in (tmp_path / "heralded.qasm").read_text()
    assert_refused(command("noise", run, run), "must be a QMAE and a QAE")
    assert_refused(command(*train, "--bottleneck", "none", "--ancillas", 1, "--out", tmp_path / "no"), "ancillas are")


def test_compare_puts_runs_between_floor_and_ceiling(command, tmp_path, small_data):
    runs = [tmp_path / "network", tmp_path / "quantum"]
    train = ["train", "--data", small_data, "--size", 8, "--epochs", 1]
    for preset, run in zip(("autoencoder", "qae"), runs, strict=True):
        assert command(*train, "--preset", preset, "--out", run)[0] == 0
    out = tmp_path / "comparison"
    code, _, errors = command("compare", *runs, "--out", out)
    assert code == 0, errors
    names = [*BASELINES, "autoencoder", "qae"]
    assert [row["model"] for row in json.loads((out / "metrics.json").read_text())["rows"]] == names
    assert {path.name for path in out.iterdir()} == {
        "metrics.json",
        "report.md",
        "report.html",
        "parameters.png",
        "cost.png",
        "reconstructions.png",
        "training.png",
    }
    assert "**QAE** is above: " in (out / "report.md").read_text()
    lines = (out / "report.md").read_text().split("\n")
    assert sum(line.startswith("| ") for line in lines) == 2 + len(names)
    assert "| black fill | 0 |" in "\n".join(lines)
    other = tmp_path / "other"
    assert command(*train, "--preset", "qae", "--mask-ratio", 0.5, "--out", other)[0] == 0
    assert_refused(command("compare", runs[0], other, "--out", tmp_path / "no"), "other masks or images")


def test_study_writes_a_report_and_does_nothing_twice(command, tmp_path, small_data):
    from qmae import PatchMask
    from qmae.experiments.plans import MAIN, PLANS, Plan

    plan = Plan(
        {MAIN: PatchMask(8, 0.25)},
        {"qmae": 1, "qae": 1},
        designs=("tied",),
        restarts=1,
        search_epochs=1,
        epochs=1,
        data=str(small_data),
    )
    PLANS.register("tiny", plan)
    study = "study", "--budget", "tiny", "--jobs", 2, "--out", tmp_path / "study"
    code, printed, errors = command(*study)
    assert code == 0, errors
    assert len(re.findall("fidelity", printed)) == 9
    rows = json.loads((tmp_path / "study" / "metrics.json").read_text())["rows"]
    assert [row["model"] for row in rows] == [*BASELINES, "qmae", "qae", "tied"]
    assert command(*study)[1].count("fidelity") == 0
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    assert_refused(command("study", "--budget", "quick", "--out", tmp_path / "mine"), "is taken")


def test_tune_lists_its_trials(command, tmp_path, small_data):
    search = "tune", "--data", small_data, "--size", 8, "--epochs", 1, "--trials", 2, "--out", tmp_path / "tuning"
    code, printed, errors = command(*search, "--preset", "autoencoder", "--preset", "qae")
    assert code == 0, errors
    assert printed.count("validation fidelity") == 4
    table = (tmp_path / "tuning" / "report.md").read_text()
    assert table in printed
    assert len(table.splitlines()) == 2 + 4
    assert_refused(command("tune", "--preset", "perceptron", "--out", tmp_path / "no"), "no preset 'perceptron'")


def test_version(command):
    code, out, _ = command("--version")
    assert code == 0
    assert re.fullmatch(r"qmae \d+\.\d+\.\d+\n", out)
