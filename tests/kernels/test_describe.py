"""Describing data blocks on a device: under the emulator, beside what a slow look at them says."""

from __future__ import annotations

import struct
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from bigwig_loader.backend.cuda.launch import N_FAILURE_THREADS
from bigwig_loader.backend.cuda.records import (
    BLOCK,
    ITEMS,
    OUTCOME,
    WHOLE_BLOCK,
    BlockCheck,
    BlockKind,
)
from bigwig_loader.backend.status import Status
from tests.helpers.bigwig_bytes import BED_GRAPH, FIXED_STEP, VARIABLE_STEP, Section
from tests.helpers.emulator import SCHEDULES
from tests.helpers.made_bigwigs import sections
from tests.helpers.raster_kernels import GARBAGE, Described, describe, place, program

ID = 3
LAST = 0xFFFFFFFF


class Case(NamedTuple):
    """One block, and what inflating it gave; by default all of it is there."""

    content: bytes
    checks: int = 0
    wanted: tuple[int, int] = (0, WHOLE_BLOCK)
    spans: bool = False
    swap: bool = False
    status: int = Status.OK
    detail: tuple[int, int] = (0, 0)
    whole: bool = True
    written: int = 0


def described(cases: list[Case], schedule: str = "forward") -> Described:
    blocks = np.zeros(len(cases), BLOCK)
    outcomes = np.zeros(len(cases), OUTCOME)
    for block, outcome, case in zip(blocks, outcomes, cases, strict=True):
        block["checks"], block["spans"], block["swap"] = case.checks, case.spans, case.swap
        block["wanted_start"], block["wanted_end"] = case.wanted
        block["chrom_id"], block["written"] = ID, case.written
        outcome["produced"], outcome["status"] = len(case.content), case.status
        outcome["detail"], outcome["whole"] = case.detail, case.whole
    memory = place(blocks, [case.content for case in cases])  # as inflated
    return describe(blocks, outcomes, memory, schedule)


def outcome_of(case: Case) -> tuple[Status, tuple[int, int], Any, Any]:
    got = described([case])
    (outcome,), (items,) = got.outcomes, got.items
    status = Status(int(outcome["status"]))
    first, second = outcome["detail"].tolist()
    failed = status is not Status.OK
    assert got.record.tolist()[:4] == ([0, status, first, second] if failed else [-1, 0, 0, 0])
    if failed:
        assert (items["n_items"], items["low"], items["high"], items["n_wanted"]) == (0, 0, 0, 0)
    return status, (first, second), outcome, items


ITEM_BYTES = 12
ORDERED = Section(ID, BED_GRAPH, ((10, 20, 1.0), (20, 30, 2.0), (40, 50, 3.0))).packed("<")
OVERLAP = Section(ID, BED_GRAPH, ((10, 20, 1.0), (15, 30, 2.0), (40, 50, 3.0))).packed("<")
OTHER = Section(ID + 1, BED_GRAPH, ((5, 9, 1.0),)).packed("<")
BAD_TYPE = ORDERED[:20] + b"\x04" + ORDERED[21:]
TOO_MANY = ORDERED[:22] + struct.pack("<H", 9) + ORDERED[24:]


@pytest.mark.parametrize(
    ("content", "spans", "status", "detail"),
    [
        (b"", False, Status.SHORT_SECTION, (24, 0)),
        (ORDERED[:23], False, Status.SHORT_SECTION, (24, 23)),
        (BAD_TYPE, False, Status.BAD_SECTION_TYPE, (3, 4)),
        (TOO_MANY, False, Status.ITEMS_PAST_END, (24 + 9 * ITEM_BYTES, len(ORDERED))),
        (ORDERED[:-1], False, Status.ITEMS_PAST_END, (len(ORDERED), len(ORDERED) - 1)),
        (OTHER, False, Status.BAD_CHROM_ID, (ID, ID + 1)),
        (ORDERED + OTHER, False, Status.BAD_CHROM_ID, (ID, ID + 1)),
        (ORDERED + ORDERED[:10], False, Status.SHORT_SECTION, (24, 10)),
        (ORDERED + bytes(23) + b"\x01", False, Status.BAD_SECTION_TYPE, (3, 0)),
        (ORDERED + bytes(24), False, Status.BAD_SECTION_TYPE, (3, 0)),
        (OTHER + BAD_TYPE, True, Status.BAD_SECTION_TYPE, (3, 4)),
    ],
)
def test_damage_is_found(
    content: bytes, spans: bool, status: Status, detail: tuple[int, int]
) -> None:
    assert outcome_of(Case(content, spans=spans))[:2] == (status, detail)


def test_padding_behind_a_section_is_none() -> None:
    status, _, outcome, items = outcome_of(Case(ORDERED + bytes(23)))
    assert status is Status.OK
    assert (outcome["in_order"], items["type"], items["n_items"]) == (1, BED_GRAPH, 3)


def test_failures_of_inflating_stay() -> None:
    case = Case(ORDERED, status=Status.BAD_DEFLATE, detail=(5, 6), whole=False)
    assert outcome_of(case)[:2] == (Status.BAD_DEFLATE, (5, 6))


STOPPED = {"whole": False, "checks": BlockCheck.MAY_STOP}
FORGIVING = BlockCheck.MAY_STOP | BlockCheck.FORGIVE_BEHIND


@pytest.mark.parametrize(
    ("case", "status", "n_items"),
    [
        # Left early: two of three items are there, the last one starts where nothing is wanted.
        (Case(ORDERED[:48], wanted=(0, 20), **STOPPED), Status.OK, 2),
        (Case(ORDERED[:59], wanted=(0, 20), **STOPPED), Status.OK, 2),
        (Case(OVERLAP[:48], wanted=(0, 15), **STOPPED), Status.NEEDS_WHOLE, 0),
        (Case(ORDERED[:48], wanted=(0, 21), **STOPPED), Status.NEEDS_WHOLE, 0),
        (Case(OTHER[:36], **STOPPED), Status.BAD_CHROM_ID, 0),
        # Known to be in order: nothing is looked at but the ends.
        (Case(OVERLAP, checks=BlockCheck.KNOWN_IN_ORDER), Status.OK, 3),
        # A stream that fails behind what is wanted.
        (
            Case(ORDERED[:48], FORGIVING, (0, 20), status=Status.BAD_DEFLATE, whole=False),
            Status.OK,
            2,
        ),
        (
            Case(ORDERED[:48], FORGIVING, (0, 21), status=Status.BAD_DEFLATE, whole=False),
            Status.BAD_DEFLATE,
            0,
        ),
        (
            Case(OVERLAP[:48], FORGIVING, (0, 15), status=Status.BAD_DEFLATE, whole=False),
            Status.BAD_DEFLATE,
            0,
        ),
        (Case(ORDERED, FORGIVING, (0, 40), status=Status.BAD_CHECKSUM), Status.OK, 3),
        (
            Case(
                ORDERED,
                FORGIVING | BlockCheck.KNOWN_IN_ORDER,
                (0, 50),
                status=Status.BAD_CHECKSUM,
            ),
            Status.OK,
            3,
        ),
        (Case(TOO_MANY, FORGIVING, (0, 40)), Status.OK, 3),
        (Case(TOO_MANY, FORGIVING, (0, 41)), Status.ITEMS_PAST_END, 0),
        (Case(TOO_MANY, BlockCheck.KNOWN_IN_ORDER), Status.ITEMS_PAST_END, 0),
    ],
)
def test_blocks_that_are_not_all_there(case: Case, status: Status, n_items: int) -> None:
    got, _, outcome, items = outcome_of(case)
    assert (got, items["n_items"]) == (status, n_items)
    if status is Status.OK:
        # What was let pass is not all there: it is neither kept nor taken for verified.
        assert outcome["whole"] == (case.checks == BlockCheck.KNOWN_IN_ORDER)
        assert outcome["in_order"] == 1


def slow_look(
    parts: list[Section], wanted: tuple[int, int]
) -> tuple[list[tuple[int, int]], int, bool]:
    """Intervals of the contig that cover bases; how many are wanted; whether all are in order."""
    every = [interval for part in parts if part.chrom_id == ID for interval in part.intervals()]
    covering = [(start, min(end, LAST)) for start, end in every if start < min(end, LAST)]
    n_wanted = sum(start < wanted[1] and end > wanted[0] for start, end in covering)
    reach, in_order = 0, True
    for start, end in every:
        in_order = in_order and start >= reach and end >= start
        reach = max(reach, end)
    return covering, n_wanted, in_order


@st.composite
def blocks(draw: st.DrawFn) -> tuple[list[Section], bool]:
    """Sections of one block, and whether it may hold several contigs."""
    base = draw(st.sampled_from([0, 0, LAST - 400]))
    legal = draw(st.booleans())
    parts: list[Section] = []
    at = 0
    spans = draw(st.booleans())
    for _ in range(draw(st.integers(1, 3))):
        chrom_id = draw(st.sampled_from([ID, ID, ID + 1])) if spans else ID
        parts.append(draw(sections(chrom_id, base, legal, at)))
        at = max(at, max(e for _, e in parts[-1].intervals()) - base)
    return parts, spans


@settings(max_examples=60, phases=(Phase.explicit, Phase.generate))
@given(st.lists(blocks(), min_size=1, max_size=4), st.sampled_from("<>"), st.data())
def test_any_block(made: list[tuple[list[Section], bool]], order: str, data: st.DataObject) -> None:
    wanted = data.draw(st.tuples(st.integers(0, 300), st.integers(0, 400)))
    contents = [b"".join(part.packed(order) for part in parts) for parts, _ in made]
    cases = [
        Case(content, wanted=wanted, spans=spans, swap=order == ">", written=i + 1)
        for i, (content, (_, spans)) in enumerate(zip(contents, made, strict=True))
    ]
    got = described(cases, data.draw(st.sampled_from(SCHEDULES)))
    total = 0
    for i, (parts, _) in enumerate(made):
        outcome, items = got.outcomes[i], got.items[i]
        covering, n_wanted, in_order = slow_look(parts, wanted)
        total += n_wanted
        assert outcome["status"] == Status.OK
        assert outcome["whole"] == 1
        assert outcome["in_order"] == (in_order and len(parts) == 1)
        assert (items["in_order"], items["n_wanted"]) == (in_order, n_wanted)
        low = min((start for start, _ in covering), default=0)
        high = max((end for _, end in covering), default=0)
        assert (items["low"], items["high"]) == (low, high)
        assert (items["chrom_id"], items["written"], items["swap"]) == (ID, i + 1, order == ">")
        section = int(got.blocks[i]["section"])
        if len(parts) > 1:
            assert items["type"] == 0
            assert (items["items"], items["n_items"]) == (section, len(contents[i]))
        elif parts[0].chrom_id == ID:
            assert items["type"] == parts[0].kind
            assert (items["items"], items["n_items"]) == (section + 24, len(parts[0].items))
            if parts[0].kind == FIXED_STEP:
                assert (items["start"], items["step"]) == (parts[0].start, parts[0].step)
            if parts[0].kind != BED_GRAPH:
                assert items["span"] == parts[0].span
        else:
            assert items["n_items"] == 0
    assert got.record.tolist() == [-1, 0, 0, 0, sum(map(len, contents)), total]


@pytest.mark.parametrize("disordered", [None, 1, 31, 32, 33, 64, 69])
def test_disorder_is_found_wherever_it_is(disordered: int | None) -> None:
    starts = [10 * i - 6 * (i == disordered) for i in range(70)]
    content = Section(ID, BED_GRAPH, tuple((s, s + 5, 0.0) for s in starts)).packed("<")
    _, _, outcome, items = outcome_of(Case(content))
    assert outcome["in_order"] == items["in_order"] == (disordered is None)


@pytest.mark.parametrize("kind", [BED_GRAPH, VARIABLE_STEP, FIXED_STEP])
def test_known_order_is_described_from_its_ends(kind: int) -> None:
    rng = np.random.default_rng(kind)
    values = rng.normal(size=1_000).astype(np.float32).tolist()
    starts = range(500, 9_500, 9)
    points = tuple(zip(starts, values, strict=True))
    section = {
        BED_GRAPH: Section(ID, kind, tuple((start, start + 5, x) for start, x in points)),
        VARIABLE_STEP: Section(ID, kind, points, span=5),
        FIXED_STEP: Section(ID, kind, tuple(values), start=500, step=9, span=5),
    }[kind]
    content = section.packed("<")
    for wanted in ((0, 400), (0, 501), (777, 1_700), (9_496, 9_999), (20_000, 30_000)):
        looked, known = (
            described([Case(content, checks, wanted)]) for checks in (0, BlockCheck.KNOWN_IN_ORDER)
        )
        for field in ITEMS.names or ():
            if field != "items":
                assert looked.items[0][field] == known.items[0][field], field
        assert looked.outcomes.tobytes() == known.outcomes.tobytes()


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_plain_blocks_are_copied_from_any_address(schedule: str) -> None:
    rng = np.random.default_rng(7)
    sizes = [24 + 12 * 1, 24 + 12 * 2, 24 + 12 * 11, 24 + 12 * 40, 24 + 8, 24 + 4] * 4
    contents = [rng.bytes(size) for size in sizes]
    blocks_made = np.zeros(len(sizes), BLOCK)
    blocks_made["kind"] = BlockKind.PLAIN
    blocks_made["kind"][5] = BlockKind.RESIDENT
    blocks_made["kind"][6] = BlockKind.DEFLATED
    memory = place(blocks_made, contents)
    blocks_made["capacity"][7] = 10
    outcomes = np.full(len(sizes) * OUTCOME.itemsize, GARBAGE, np.uint8).view(OUTCOME)
    arguments = [blocks_made, len(sizes), outcomes]
    program("describe.cu").launch("bwl_place_blocks", 3, 64, arguments, schedule=schedule)
    for i, content in enumerate(contents):
        section: npt.NDArray[np.uint8] = memory[2 * i + 1]
        outcome = outcomes[i]
        if i == 6:  # inflated, or to be: left alone
            assert outcome.tobytes() == bytes([GARBAGE]) * OUTCOME.itemsize
            continue
        if i == 7:
            assert (outcome["status"], *outcome["detail"]) == (Status.TOO_LONG, 10, len(content))
            assert (section == GARBAGE).all()
            continue
        assert (outcome["status"], outcome["produced"]) == (Status.OK, len(content))
        assert outcome["whole"] == 1
        assert section[: len(content)].tobytes() == content
        assert (section[len(content) + 3 :] == GARBAGE).all()


@pytest.mark.parametrize("n", [0, 1, 700, 3_000])
@pytest.mark.parametrize("schedule", ["reverse", "random:9"])
def test_first_failure(n: int, schedule: str) -> None:
    rng = np.random.default_rng(n)
    blocks_made = np.zeros(n, BLOCK)
    blocks_made["kind"] = rng.integers(0, 3, n)
    outcomes, items = np.zeros(n, OUTCOME), np.zeros(n, ITEMS)
    outcomes["produced"] = rng.integers(0, 1 << 40, n)
    outcomes["detail"] = rng.integers(-5, 1 << 40, (n, 2))
    items["n_wanted"] = rng.integers(0, 1 << 32, n)
    inflated = int(outcomes["produced"][blocks_made["kind"] == BlockKind.DEFLATED].sum())
    wanted = int(items["n_wanted"].sum(dtype=np.int64))
    for failed in ([], [n - 1], [n // 2, n - 1]) if n else ([],):
        outcomes["status"] = 0
        outcomes["status"][failed] = rng.integers(1, 13, len(failed))
        record = np.full(6, -7, np.int64)
        arguments = [blocks_made, outcomes, items, n, record]
        program("describe.cu").launch(
            "bwl_first_failure", 1, N_FAILURE_THREADS, arguments, schedule=schedule
        )
        expected = [-1, 0, 0, 0]
        if failed:
            first = failed[0]
            expected = [first, int(outcomes["status"][first]), *outcomes["detail"][first].tolist()]
        assert record.tolist() == [*expected, inflated, wanted]
