"""The demo on tiny data: it runs through, learns, and draws."""

from __future__ import annotations

import io

import numpy as np
import pytest
from rich.console import Console

torch = pytest.importorskip("torch")
pytest.importorskip("matplotlib")

from bigwig_loader.demo import DemoOptions, run_demo  # noqa: E402
from bigwig_loader.demo import run as demo_run  # noqa: E402
from bigwig_loader.demo.model import SignalModel, poisson_loss  # noqa: E402
from bigwig_loader.demo.train import Predictions  # noqa: E402
from bigwig_loader.errors import BackendUnavailableError  # noqa: E402


@pytest.fixture(scope="module")
def shown() -> io.StringIO:
    return io.StringIO()


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory, shown: io.StringIO) -> demo_run.DemoResult:
    options = DemoOptions(
        directory=tmp_path_factory.mktemp("demo"),
        n_batches=60,
        batch_size=8,
        contigs={"chr1": 200_000, "chr2": 20_000, "chr3": 60_000},
    )
    return run_demo(options, Console(file=shown, width=200))


def test_it_learns(result: demo_run.DemoResult) -> None:
    assert result.last_loss < result.first_loss
    assert set(result.correlations) == {"ap1", "atac", "ctcf", "h3k27ac"}


def test_it_tells(result: demo_run.DemoResult, shown: io.StringIO) -> None:
    text = shown.getvalue()
    for words in ("windows/s", "Mbp x tracks/s", "loss", "Pearson r", "training 100%"):
        assert words in text
    assert str(result.picture) in text.replace("\n", "")


def test_it_draws(result: demo_run.DemoResult) -> None:
    from matplotlib.image import imread

    picture = imread(result.picture)
    height, width, _ = picture.shape
    assert min(height, width) > 500
    assert picture[..., :3].std() > 0.05  # not blank


def test_model_covers_the_central_bins() -> None:
    model = SignalModel(n_tracks=3, n_bins=10, bin_size_bp=16)
    with torch.inference_mode():
        signal = model(torch.zeros(2, 640, 4))
    assert signal.shape == (2, 10, 3)
    assert (signal >= 0).all()


def test_loss_is_zero_where_equal_and_positive_elsewhere() -> None:
    true = torch.tensor([0.0, 1.0, 5.0])
    assert abs(poisson_loss(true, true).item()) < 1e-5
    assert poisson_loss(true + 1, true).item() > 0.1


def test_windows_to_draw_are_different() -> None:
    rng = np.random.default_rng(0)
    signal = rng.random((6, 5, 2)).astype(np.float32)
    everything = Predictions(signal, signal, [("a", i, i + 1) for i in range(6)], ("x", "y"))
    drawn = everything.most_signal(4)
    assert len({start for _, start, _ in drawn.places}) == 4
    assert drawn.true[0, :, 0].max() == signal[..., 0].max()
    assert len(everything.most_signal(99).places) == 6


def test_what_is_missing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(BackendUnavailableError, match=r"torch and matplotlib: pip install"):
        run_demo()
