from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from qmae.data.masks import PatchMask
from qmae.errors import InputError
from qmae.experiments.plans import MAIN, MASKS, SEEDS, Plan
from qmae.experiments.study import run_study, trainings
from qmae.reports.study import markdown, write_study
from qmae.training.runs import Run
from samples import trained_files


@pytest.fixture
def plan(small_data) -> Plan:
    return Plan(
        masks={MAIN: PatchMask(8, 0.25), "50%": PatchMask(8, 0.5)},
        seeds={"qmae": 2, "qae": 2, "autoencoder": 1},
        designs=("tied",),
        restarts=2,
        search_epochs=1,
        epochs=1,
        data=str(small_data),
    )


def test_the_study_covers_what_a_trustworthy_comparison_needs():
    assert {(patch.ratio, patch.placement, patch.patches) for patch in MASKS.values()} == {
        *((ratio, "grid", 1) for ratio in (0.125, 0.25, 0.5)),
        (0.25, "anywhere", 1),
        *((patches / 16, "grid", patches) for patches in (4, 8, 12)),
    }
    assert all(count >= (5 if preset in ("qae", "qmae") else 3) for preset, count in SEEDS.items())
    runs = [run for masks in MASKS for run in trainings(Plan(), Path("study"), masks)]
    assert len({run.folder for run in runs}) == len(runs) == len(MASKS) * sum(SEEDS.values()) - SEEDS["mae"]


def test_a_study_that_was_interrupted_goes_on_and_gives_the_same(tmp_path, plan):
    whole = run_study(plan, tmp_path / "whole")
    seen = []

    def interrupt(row):
        seen.append(row)
        if len(seen) == 14:  # in the second kind of masks
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_study(plan, tmp_path / "again", on_row=interrupt)
    trained = trained_files(tmp_path / "again")
    fresh = []
    again = run_study(plan, tmp_path / "again", on_row=fresh.append)
    assert trained
    assert trained.items() <= trained_files(tmp_path / "again").items()
    assert {row.mask_ratio for row in fresh} == {0.5}
    for masks, comparison in whole.comparisons.items():
        assert [untimed(row) for row in again.comparisons[masks].rows] == [untimed(row) for row in comparison.rows]
    names = [row.model for row in whole.comparisons[MAIN].rows]
    trained = ["qmae", "qmae", "qae", "qae", "autoencoder"]
    assert names == ["original", "knn", "ridge", "token", "mean", "nothing", *trained, "tied"]


def untimed(row):
    return replace(row, train_seconds=None)


def test_more_seeds_are_measured_and_not_taken_from_the_old_measurement(tmp_path, plan):
    run_study(replace(plan, seeds={"qae": 1, "qmae": 1}), tmp_path)
    rows = run_study(replace(plan, seeds={"qae": 2, "qmae": 1}), tmp_path).comparisons[MAIN].rows
    assert [(row.model, row.seed) for row in rows[6:9]] == [("qae", 0), ("qae", 1), ("qmae", 0)]


def test_the_report_says_where_the_quantum_model_stands(tmp_path, plan):
    results = run_study(plan, tmp_path)
    text = markdown(results)
    lead, (low, high) = results.comparisons["50%"].lead("qmae", "qae")
    assert f"| 50% | {lead:+.4f} [{low:+.4f}, {high:+.4f}] |" in text
    assert "tied | 0.000" not in text
    assert "| linear autoencoder | 0." in text.split("## Other masks")[1]
    write_study(results, tmp_path)
    figures = ["parameters.png", "reconstructions.png", "training.png", "mask-ratio.png"]
    page = (tmp_path / "report.html").read_text()
    for name in figures:
        assert f"]({name})" in text
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
    assert page.count("data:image/png;base64") == len(figures)


def test_runs_of_a_plan_have_their_presets_settings(tmp_path, plan):
    runs = trainings(replace(plan, epochs=None), tmp_path, "50%")
    assert all(isinstance(run, Run) and run.model.patch.ratio == 0.5 for run in runs)
    assert [run.training.seed for run in runs] == [0, 1, 0, 1, 0]
    assert runs[4].training.batch_size == 64


def test_measurements_that_are_damaged_or_mean_something_else_are_made_again(tmp_path, plan):
    plan = replace(plan, masks={MAIN: PatchMask(8, 0.25)}, seeds={"qmae": 1, "qae": 1}, restarts=1)
    rows = run_study(plan, tmp_path).comparisons[MAIN].rows
    path = tmp_path / "measured" / f"{MAIN}.npz"
    whole = path.read_bytes()
    with np.load(path) as content:
        arrays = dict(content)
    np.savez(tmp_path / "older.npz", **{**arrays, "format": 1})
    np.savez(tmp_path / "empty.npz", **{**arrays, "rows": "[]"})
    others = [(tmp_path / name).read_bytes() for name in ("older.npz", "empty.npz")]
    flipped = bytearray(whole)
    middle = slice(len(whole) // 2, len(whole) // 2 + 200)  # more than a header, of which not all is looked at
    flipped[middle] = bytes(byte ^ 255 for byte in flipped[middle])
    for content in (b"", b"PK\x03\x04", whole[:-100], bytes(flipped), *others):
        path.write_bytes(content)
        fresh = []
        again = run_study(plan, tmp_path, on_row=fresh.append).comparisons[MAIN].rows
        assert again == rows == fresh
    fresh = []
    run_study(plan, tmp_path, on_row=fresh.append)
    assert not fresh


def test_plans_that_lack_what_the_report_says_are_refused_before_anything_is_trained(plan):
    with pytest.raises(InputError, match="add what is missing"):
        replace(plan, seeds={"unet": 1, "qae": 1})
    with pytest.raises(InputError, match="under masks of 25%"):
        replace(plan, masks={"50%": PatchMask(8, 0.5)})
    with pytest.raises(InputError, match="several sizes"):
        replace(plan, masks={MAIN: PatchMask(8, 0.25), "50%": PatchMask(16, 0.5)})
