"""``show``: what it draws is what the data sets deliver, and the picture says what it shows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from bigwig_loader._bigwig_writer import write_bigwig
from bigwig_loader.cli import app, picture, show_data
from bigwig_loader.cli.example_view import OUTSIDE, ExampleView, TrackView
from bigwig_loader.cli.picture import draw_examples
from bigwig_loader.dataset import BigWigDataset
from bigwig_loader.example_data import ExampleData

LENGTH = 400
SEQUENCE = "".join(np.random.default_rng(0).choice(list("ACGT"), LENGTH))
SEQUENCE = SEQUENCE[:100] + "N" * 10 + SEQUENCE[110:]
# Value 1 + p / 100 at base p; a stored 0 in [40, 60), nothing at all in [80, 95).
STORED_ZERO, NO_DATA = (40, 60), (80, 95)
_COMPLEMENT = str.maketrans("ACGT", "TGCA")


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["show", *(str(a) for a in arguments)])


def _true_values() -> np.ndarray:
    values = 1 + np.arange(LENGTH) / 100
    values[slice(*STORED_ZERO)] = 0
    values[slice(*NO_DATA)] = np.nan
    return values.astype(np.float32)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A genome of 400 bp, a track of known values, one that is twice it, and regions."""
    folder = tmp_path_factory.mktemp("made")
    (folder / "genome.fa").write_text(f">c1\n{SEQUENCE}\n>c2\n{SEQUENCE[:50]}\n")
    known = np.flatnonzero(~np.isnan(_true_values()))
    for name, factor in (("one", 1), ("two", 2)):
        intervals = (known, known + 1, _true_values()[known] * np.float32(factor))
        write_bigwig(folder / f"{name}.bw", {"c1": LENGTH, "c2": 50}, {"c1": intervals})
    rows = ("c1\t120\t140\tfirst", "c1\t200\t221\tsecond", "c1\t300\t330\t.", "c2\t25\t29\tother")
    (folder / "regions.bed").write_text("\n".join(rows) + "\n")
    return folder


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Path, list[ExampleView], str]]:
    """What the command hands to the drawing function, which then draws nothing."""
    seen: list[tuple[Path, list[ExampleView], str]] = []

    def keep(path: Path, views: list[ExampleView], title: str) -> Path:
        seen.append((path, views, title))
        return path

    monkeypatch.setattr(picture, "draw_examples", keep)
    return seen


def _sources(made: Path, *names: str) -> list[object]:
    files = [a for name in names or ("one", "two") for a in ("--bigwig", made / f"{name}.bw")]
    return [*files, "--genome", made / "genome.fa"]


def _only(drawn: list[Any], result: Result) -> ExampleView:
    assert result.exit_code == 0, result.output
    ((_, views, _),) = drawn
    (view,) = views
    return view


# ------------------------------------------------------------------------------------- a region --


def test_a_region_is_drawn_as_it_is_in_the_files(made: Path, drawn: list[Any]) -> None:
    view = _only(drawn, run("c1:30-110", *_sources(made)))
    assert (view.chrom, view.start, view.end, view.contig_bp) == ("c1", 30, 110, LENGTH)
    assert view.letters is not None
    assert "".join(view.letters) == SEQUENCE[30:110]
    assert [t.name for t in view.tracks] == ["one", "two"]
    for factor, track in enumerate(view.tracks, start=1):
        expected = np.nan_to_num(_true_values()[30:110] * factor)
        np.testing.assert_array_equal(track.values, expected)
    np.testing.assert_array_equal(view.edges, np.arange(30, 111))
    assert drawn[0][0] == Path("c1_30-110.png")
    assert not view.reverse
    assert view.marks == ()


def test_no_data_is_told_from_zero(made: Path, drawn: list[Any]) -> None:
    view = _only(drawn, run("c1:30-110", *_sources(made)))
    track = view.tracks[0]
    np.testing.assert_array_equal(track.covered, (~np.isnan(_true_values()[30:110])).astype(float))
    stored = slice(STORED_ZERO[0] - 30, STORED_ZERO[1] - 30)
    missing = slice(NO_DATA[0] - 30, NO_DATA[1] - 30)
    assert (track.values[stored] == 0).all()
    assert (track.values[missing] == 0).all()
    assert (track.covered[stored] == 1).all()
    assert (track.covered[missing] == 0).all()


def test_default_value_is_that_of_bases_without_data(made: Path, drawn: list[Any]) -> None:
    view = _only(drawn, run("c1:30-110", *_sources(made), "--default-value", "nan"))
    np.testing.assert_array_equal(view.tracks[0].values, _true_values()[30:110])


def test_bins_and_centre(made: Path, drawn: list[Any]) -> None:
    options = ("--sequence-length", 100, "--center", 42, "--window-size", 10)
    view = _only(drawn, run("c1:80", *_sources(made), *options))
    assert (view.start, view.end) == (30, 130)
    # (100 - 42) // 2 = 29 bp in; the last 2 of 42 bp are no whole bin.
    assert (view.value_start, view.value_end) == (59, 99)
    assert (view.n_bins, view.bin_bp) == (4, 10)
    bases = np.nan_to_num(_true_values()[59:99]).reshape(4, 10)
    np.testing.assert_allclose(view.tracks[0].values, bases.mean(axis=1), rtol=1e-6)
    covered = (~np.isnan(_true_values()[59:99])).reshape(4, 10).mean(axis=1)
    np.testing.assert_allclose(view.tracks[0].covered, covered, rtol=1e-6)
    assert 0 < covered[2] < 1


def test_window_around_a_region_is_centred_as_in_the_data_set(made: Path, drawn: list[Any]) -> None:
    view = _only(drawn, run("c1:200-221", *_sources(made), "--sequence-length", 50))
    expected = BigWigDataset(
        None,
        made / "one.bw",
        made / "genome.fa",
        50,
        batch_size=1,
        custom_position_sampler=[("c1", 210)],
        return_batch_objects=True,
    )
    (batch,) = expected
    assert (view.start, view.end) == (batch.starts[0], batch.ends[0])
    np.testing.assert_array_equal(view.tracks[0].values, batch.values[0, :, 0])
    assert [(m.start, m.end, m.name) for m in view.marks] == [(200, 221, "c1:200-221")]


def test_outside_the_contig(made: Path, drawn: list[Any]) -> None:
    result = run("c1:395", *_sources(made), "--sequence-length", 40)
    view = _only(drawn, result)
    assert (view.start, view.end) == (375, 415)
    assert view.letters is not None
    assert "".join(view.letters) == SEQUENCE[375:] + 15 * OUTSIDE
    assert (view.tracks[0].covered[25:] == 0).all()
    drawn.clear()
    left = _only(drawn, run("c1:5", *_sources(made), "--sequence-length", 40))
    assert left.letters is not None
    assert "".join(left.letters) == 15 * OUTSIDE + SEQUENCE[:25]
    assert left.title == "c1:(-15)-25"


def test_reverse_complement_is_drawn_as_delivered(made: Path, drawn: list[Any]) -> None:
    options = ("--sequence-length", 60, "--center", 30, "--reverse-complement")
    view = _only(drawn, run("c1:395", *_sources(made), *options))
    assert (view.start, view.end, view.reverse) == (365, 425, True)
    assert view.letters is not None
    forward = SEQUENCE[365:] + 25 * OUTSIDE
    assert "".join(view.letters) == forward.translate(_COMPLEMENT)[::-1]
    expected = np.zeros(30, np.float32)
    expected[:20] = _true_values()[380:]
    np.testing.assert_array_equal(view.tracks[1].values, 2 * expected[::-1])
    np.testing.assert_array_equal(view.tracks[1].covered, (expected > 0).astype(float)[::-1])
    np.testing.assert_array_equal(view.edges, np.arange(410, 379, -1))
    assert view.title.endswith("reverse complement")


def test_stranded_tracks_change_places(made: Path, drawn: list[Any]) -> None:
    options = ("--reverse-complement", "--pair", "one,two")
    view = _only(drawn, run("c1:70-100", *_sources(made), *options))
    expected = np.nan_to_num(_true_values()[70:100])[::-1]
    for factor, track in zip((2, 1), view.tracks, strict=True):
        np.testing.assert_array_equal(track.values, factor * expected)
        np.testing.assert_array_equal(track.covered, (expected > 0).astype(float))
    assert [t.name for t in view.tracks] == [
        "one, which here holds two",
        "two, which here holds one",
    ]
    drawn.clear()
    forward = _only(drawn, run("c1:70-100", *_sources(made), "--pair", "one,two"))
    assert [t.name for t in forward.tracks] == ["one", "two"]
    np.testing.assert_array_equal(forward.tracks[0].values, expected[::-1])


def test_jitter_widens_what_is_shown_not_what_is_delivered(made: Path, drawn: list[Any]) -> None:
    options = ("--max-jitter", 20, "--bed", made / "regions.bed")
    view = _only(drawn, run("c1:145-190", *_sources(made), *options))
    assert (view.start, view.end) == (145, 190)
    assert view.max_jitter == 20
    assert view.reach == (125, 210)
    # Both lie outside the window, but in reach of the jitter.
    assert [m.name for m in view.marks] == ["first", "second"]


def test_names_of_a_bed_file_that_say_nothing_are_left_out(made: Path, drawn: list[Any]) -> None:
    view = _only(drawn, run("c1:300-310", *_sources(made), "--bed", made / "regions.bed"))
    assert [(m.start, m.end, m.name) for m in view.marks] == [(300, 330, "")]


def test_tracks_or_sequence_alone(made: Path, drawn: list[Any]) -> None:
    view = _only(drawn, run("c1:0-50", "--bigwig", made / "one.bw"))
    assert view.letters is None
    assert view.n_bins == 50
    assert view.contig_bp == LENGTH
    drawn.clear()
    view = _only(drawn, run("c2", "--genome", made / "genome.fa"))
    assert view.letters is not None
    assert "".join(view.letters) == SEQUENCE[:50]
    assert view.tracks == ()
    assert (view.n_bins, view.bin_bp) == (0, 0)


# -------------------------------------------------------------------------------------- a batch --


def test_a_batch_is_that_of_the_data_set(tiny_data: ExampleData, drawn: list[Any]) -> None:
    options = {"sequence_length": 200, "center_bin_to_predict": 100, "window_size": 5}
    augment = {"reverse_complement": True, "max_jitter": 30}
    data_set = BigWigDataset(
        tiny_data.train_regions,
        tiny_data.bigwig_dir,
        tiny_data.reference_genome,
        **options,
        batch_size=8,
        seed=7,
        drop_last=False,
        **augment,
    )
    batch = next(data_set.batches(2, 3))
    result = run(
        *("--batch", 3, "--epoch", 2, "--seed", 7, "--regions", tiny_data.train_regions),
        *("--sequence-length", 200, "--center", 100, "--window-size", 5, "--batch-size", 8),
        *("--max-jitter", 30, "--reverse-complement", "--examples", 6),
        *("--bigwig", tiny_data.bigwig_dir, "--genome", tiny_data.reference_genome),
    )
    assert result.exit_code == 0, result.output
    ((path, views, title),) = drawn
    assert path == Path("batch3_epoch2_seed7.png")
    assert title == "Batch 3 of epoch 2, seed 7: examples 0 to 5 of 8"
    assert len(views) == 6
    assert {view.reverse for view in views} == {True, False}
    assert batch.reverse is not None
    assert batch.jitter is not None
    for i, view in enumerate(views):
        assert (view.chrom, view.start) == (batch.chromosomes[i], batch.starts[i])
        assert (view.reverse, view.jitter) == (batch.reverse[i], batch.jitter[i])
        assert view.max_jitter == 30
        assert view.reach[1] - view.reach[0] == 260
        np.testing.assert_array_equal(
            np.stack([t.values for t in view.tracks], axis=1), batch.values[i]
        )
        onehot = view.letters[:, None] == np.array(list("ACGT"))
        np.testing.assert_array_equal(onehot, batch.sequences[i])


def test_in_order_shows_every_region_once(made: Path, drawn: list[Any]) -> None:
    options = ("--batch", 1, "--batch-size", 2, "--in-order", "--sequence-length", 20)
    result = run(*options, "--regions", made / "regions.bed", *_sources(made))
    assert result.exit_code == 0, result.output
    ((_, views, title),) = drawn
    assert [(v.chrom, v.start) for v in views] == [("c1", 305), ("c2", 17)]
    assert title.endswith("examples 0 to 1 of 2")
    assert [m.start for m in views[0].marks] == [300]
    assert result.stderr == ""


def test_regions_that_the_data_set_leaves_out_are_told(made: Path, drawn: list[Any]) -> None:
    options = ("--batch", 0, "--in-order", "--sequence-length", 60)
    result = run(*options, "--regions", made / "regions.bed", *_sources(made))
    assert result.exit_code == 0, result.output
    assert [v.chrom for v in drawn[0][1]] == ["c1", "c1"]
    assert "2 regions are left out, for too many unknown bases" in result.stderr


# ----------------------------------------------------------------------------------- the picture --


@pytest.fixture
def figure(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The figures that are saved."""
    matplotlib = pytest.importorskip("matplotlib.figure")
    seen: list[Any] = []
    save = matplotlib.Figure.savefig

    def keep(self: Any, *arguments: Any, **options: Any) -> None:
        seen.append(self)
        save(self, *arguments, **options)

    monkeypatch.setattr(matplotlib.Figure, "savefig", keep)
    return seen


def _texts(figure: Any) -> str:
    from matplotlib.text import Text

    return "\n".join(t.get_text() for t in figure.findobj(Text) if t.get_text())


def test_the_picture_says_what_it_shows(made: Path, tmp_path: Path, figure: list[Any]) -> None:
    out = tmp_path / "picture.png"
    options = ("--sequence-length", 100, "--center", 80, "--max-jitter", 10, "--window-size", 3)
    bed = ("--bed", made / "regions.bed")
    result = run("c1:120-140", *_sources(made), *options, *bed, "--reverse-complement", "-o", out)
    assert result.exit_code == 0, result.output
    assert result.stdout.strip() == str(out)
    assert out.read_bytes().startswith(b"\x89PNG")
    texts = _texts(figure[0])
    for wanted in (
        "c1:80-180",
        "one",
        "two",
        "26 bins of 3 bp",
        "100 bp",
        "mean signal of bin",
        "position on c1 (bp)",
        "positions fall from left to right",
        "10 unknown bases in grey",
        "no data in the file (delivered as 0)",
        "bin with data for some of its bases",
        "jitter: edges fall in here (up to 10 bp)",
        "first",
    ):
        assert wanted in texts, texts
    assert "outside the contig" not in texts
    left, right = figure[0].axes[0].get_xlim()
    assert left > 190 > 70 > right  # falling, and wide enough for the jitter


@pytest.mark.parametrize("suffix", [".pdf", ".svg"])
def test_other_kinds_of_picture(made: Path, tmp_path: Path, suffix: str) -> None:
    pytest.importorskip("matplotlib")
    out = tmp_path / f"picture{suffix}"
    assert run("c1:395", *_sources(made), "--sequence-length", 300, "-o", out).exit_code == 0
    assert out.stat().st_size > 1000


def test_letters_up_to_120_bases_and_a_strip_beyond(
    made: Path, tmp_path: Path, figure: list[Any]
) -> None:
    for end, n_images in ((120, 0), (121, 1)):
        out = tmp_path / f"{end}.png"
        assert run(f"c1:0-{end}", *_sources(made, "one"), "-o", out).exit_code == 0
        panel = figure[-1].axes[-1]
        assert len(panel.images) == n_images
        letters = "".join(t.get_text() for t in panel.texts)
        assert letters == ("" if n_images else SEQUENCE[:end])
    image = figure[-1].axes[-1].images[0].get_array()
    expected = [[letter in (row, "N") for letter in SEQUENCE[:121]] for row in "ACGT"]
    np.testing.assert_array_equal(image[:, :, 3], expected)


def _view(values: np.ndarray, start: int = 0) -> ExampleView:
    tracks = (TrackView("t", values, np.ones(len(values))),)
    span = (start, start + len(values))
    return ExampleView("made", "c", *span, span[1], False, 0, 0, None, *span, tracks)


def test_no_peak_is_lost_where_bins_share_a_column(tmp_path: Path, figure: list[Any]) -> None:
    values = np.zeros(100_000)
    values[[3, 55_555]] = 9.0, -4.0
    draw_examples(tmp_path / "many.png", [_view(values)], "many bins")
    (steps,) = (p for p in figure[0].axes[1].patches if type(p).__name__ == "StepPatch")
    top, edges, bottom = steps.get_data()
    assert len(top) == picture.MAX_STEPS
    assert edges[0] == 0
    assert edges[-1] == len(values)
    for value, position, drawn_values in ((9.0, 3, top), (-4.0, 55_555, bottom)):
        (at,) = np.flatnonzero(drawn_values == value)
        assert edges[at] <= position < edges[at + 1]
    low, high = figure[0].axes[1].get_ylim()
    assert low < -4
    assert high > 9


def test_a_track_of_zeros_says_so(tmp_path: Path, figure: list[Any]) -> None:
    draw_examples(tmp_path / "zeros.png", [_view(np.zeros(10))], "zeros")
    assert "0 throughout" in _texts(figure[0])
    draw_examples(tmp_path / "one.png", [_view(np.eye(1, 10)[0])], "one is not zero")
    assert "0 throughout" not in _texts(figure[1])


def test_values_that_are_no_numbers(tmp_path: Path, figure: list[Any]) -> None:
    for n in (5, 300, 4000):
        values = np.full(n, np.nan)
        values[1] = np.inf
        draw_examples(tmp_path / "nan.png", [_view(values)], "nothing to draw")
        low, high = figure[-1].axes[1].get_ylim()
        assert (low, high) == (0, pytest.approx(1.08))


def test_examples_share_the_scale_of_a_track(tmp_path: Path, figure: list[Any]) -> None:
    views = [_view(np.full(10, 2.0)), _view(np.full(10, 50.0), start=1000)]
    draw_examples(tmp_path / "two.png", views, "two")
    limits = {axis.get_ylim() for axis in figure[0].axes[2:4]}
    assert len(limits) == 1
    assert next(iter(limits))[1] > 50


# ---------------------------------------------------------------------------------------- errors --


def _fails(result: Result, *parts: str) -> None:
    assert result.exit_code == 2, result.output
    message = " ".join(result.stderr.split())
    for part in parts:
        assert part in message, message


def test_errors(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib")
    sources = _sources(made)
    bed = ("--regions", made / "regions.bed")
    _fails(run("c3:1-5", *sources), "unknown contig 'c3'", "near names: c2, c1", "genome.fa")
    _fails(run("c1:9-5", *sources), "expected START < END")
    _fails(run("c1:7", *sources), "--sequence-length")
    _fails(run("c1:0-401", *sources), "which has 400 bp")
    _fails(run(*sources), "either a REGION or --batch", "neither")
    _fails(run("c1:1-9", "--batch", 0, *bed, *sources), "got both")
    _fails(run("--batch", 0, *sources), "expected --regions")
    _fails(run("--batch", 0, *bed, *sources), "option --sequence-length")
    length = ("--sequence-length", 20)
    _fails(run("--batch", 99, *bed, *length, *sources), "option --batch", "got 99")
    _fails(run("c1:1-9"), "options --bigwig and --genome")
    _fails(run("c1:1-9", *sources, "-o", tmp_path / "x.docx"), "ends in one of", ".docx")
    _fails(run("c1:1-9", *sources, "--center", 20), "center_bin_to_predict")
    _fails(run("c1:1-9", *sources, "--pair", "one,tow"), "unknown track 'tow'", "two")
    monkeypatch.setattr(show_data, "MAX_BP", 10)
    _fails(run("c1:1-50", *sources), "at most 10 bp to draw; got 49")
    monkeypatch.setattr(picture, "MAX_TRACKS", 1)
    _fails(run("c1:1-9", *sources), "at most 1 tracks", "got 2")


def test_without_matplotlib(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picture, "find_spec", lambda _: None)
    _fails(run("c1:1-9", *_sources(made)), "pip install 'bigwig-loader[demo]'")
