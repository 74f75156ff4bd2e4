"""Training tasks made of batches of tokens: masking, replacing, skip-gram pairs.

Each is a function of a `PretokenizedBatch` that returns another one, on whatever device the batch
is: as `transform` of a data set, with ``functools.partial``, or in a training step, on the GPU.

Random choices are counter-based: the words of Philox4x32-10 for (seed, epoch, number of the
example, place in the row), as `bigwig_loader.sampling.rng` numbers them. So they do not depend on
the batch an example is in, the device, the number of workers or what was drawn before, and every
epoch has others. One evaluation gives a token four words of 32 bits: whether it is chosen, what
becomes of it, and, the last two together, another token.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

import torch

from bigwig_loader.errors import InvalidInputError
from bigwig_loader.sampling.rng import MAX_LANES, MULTIPLIERS, N_ROUNDS, WEYL, Stream
from bigwig_loader.token_batch import PretokenizedBatch
from bigwig_loader.types import check_choice, check_not_negative, check_positive

Positions = Literal["bernoulli", "exact"]

IGNORED = -100
# Of the special tokens after the regions: unk, pad, mask, ...
MASK_AFTER_REGIONS = 2
_MASK_32 = 0xFFFFFFFF
# What the numbers are for; they stand where `rng` counts redraws.
_MASKING, _REPLACING, _PAIRS = 0, 1, 2
_NEVER_CHOSEN = 2**62


def mask_tokens(
    batch: PretokenizedBatch,
    n_regions: int,
    rate: float = 0.15,
    mask: float = 0.8,
    random: float = 0.1,
    positions: Positions = "bernoulli",
    mask_id: int | None = None,
) -> PretokenizedBatch:
    """Hide some tokens, for a model to find them: masked language modelling.

    Special tokens and padding are never chosen, and never put in.

    Parameters
    ----------
    batch : PretokenizedBatch
        `input_ids` (B, L).
    n_regions : int
        Regions of the universe: ids from there on are special. ``tokenizer.universe.n_regions``.
    rate : float
        Share of the tokens that are chosen, in [0, 1].
    mask, random : float
        Shares of the chosen ones that become the mask token, and a token drawn from all regions
        alike, which may be the same; the rest stays as it is.
    positions : {"bernoulli", "exact"}
        Choose each token with probability `rate`; or ``ceil(n * rate)`` of the n tokens of a row,
        every choice equally likely.
    mask_id : int, optional
        By default ``n_regions + 2``, as a `Universe` has it.

    Returns
    -------
    PretokenizedBatch
        With ``labels`` (B, L) torch.long: the token that was there where it was chosen, and -100
        elsewhere.

    Raises
    ------
    InvalidInputError
        For arguments out of range, and a batch that lacks what random numbers depend on.
    """
    check_choice("positions", positions, get_args(Positions))
    for name, share in (("rate", rate), ("mask", mask), ("random", random)):
        _check_share(name, share)
    if mask + random > 1 + 1e-9:
        raise InvalidInputError(
            f"arguments mask and random: expected a sum of at most 1; got {mask} + {random}"
        )
    mask_id = n_regions + MASK_AFTER_REGIONS if mask_id is None else mask_id
    check_not_negative("mask_id", mask_id)
    ids, can = _tokens(batch, n_regions)
    words = _words(batch, ids, _MASKING)
    chosen = _choose(words[0], can, rate, positions)
    is_mask = chosen & (words[1] < _threshold(mask))
    is_random = chosen & ~is_mask & (words[1] < _threshold(mask + random))
    changed = torch.where(is_random, _below(n_regions, words).to(ids.dtype), ids)
    changed = changed.masked_fill(is_mask, mask_id)
    labels = ids.to(torch.long).masked_fill(~chosen, IGNORED)
    return batch.replace(input_ids=changed, labels=labels)


def replace_tokens(
    batch: PretokenizedBatch, n_regions: int, rate: float = 0.15
) -> PretokenizedBatch:
    """Put other tokens in the place of some, for a model to tell which: ELECTRA's task.

    Each token is replaced with probability `rate` by one drawn from all regions alike. Special
    tokens and padding are never replaced, and never put in.

    Parameters
    ----------
    batch : PretokenizedBatch
    n_regions, rate
        As of `mask_tokens`.

    Returns
    -------
    PretokenizedBatch
        With ``labels`` (B, L) torch.long: 1 where there is another token now, and 0 elsewhere; so
        0 where the same one was drawn, and for padding, which `attention_mask` tells apart.

    Raises
    ------
    InvalidInputError
        As by `mask_tokens`.
    """
    _check_share("rate", rate)
    ids, can = _tokens(batch, n_regions)
    words = _words(batch, ids, _REPLACING)
    chosen = _choose(words[0], can, rate, "bernoulli")
    changed = torch.where(chosen, _below(n_regions, words).to(ids.dtype), ids)
    return batch.replace(input_ids=changed, labels=(changed != ids).to(torch.long))


def skip_gram_pairs(
    batch: PretokenizedBatch,
    n_regions: int,
    window: int = 5,
    shuffle: bool = False,
    shrink: bool = False,
) -> PretokenizedBatch:
    """Pairs of tokens that are near each other in a document: what Region2Vec learns from.

    Pairs are in the order of rows, centres and contexts. Special tokens and padding make none, and
    tokens of two documents in one packed row none with each other.

    Parameters
    ----------
    batch : PretokenizedBatch
    n_regions : int
        As of `mask_tokens`.
    window : int
        Tokens on either side of a centre that are its contexts.
    shuffle : bool
        Put the tokens of each document in a random order first: regions are a set, and near each
        other is then any that fell there, others in every epoch.
    shrink : bool
        Draw the window of each centre from 1 to `window`, so that nearer tokens count more, as
        word2vec does.

    Returns
    -------
    PretokenizedBatch
        ``centers`` and ``contexts``, (n,) each.

    Raises
    ------
    InvalidInputError
        As by `mask_tokens`.
    """
    check_positive("window", window)
    ids, can = _tokens(batch, n_regions)
    segments = batch.get("segment_ids")
    words = _words(batch, ids, _PAIRS) if shuffle or shrink else None
    if words is not None and shuffle:
        ids, can, segments = _shuffled(words[0], ids, can, segments)
    n = ids.shape[1]
    steps = [step for step in range(-window, window + 1) if step]
    step = torch.tensor(steps, device=ids.device)
    place = torch.arange(n, device=ids.device)[:, None] + step
    inside = (place >= 0) & (place < n)
    place = place.clamp(0, max(n - 1, 0))
    kept = inside & can[:, :, None] & can[:, place]
    if segments is not None:
        kept &= segments[:, :, None] == segments[:, place]
    if words is not None and shrink:
        reach = 1 + ((words[1] * window) >> 32)
        kept &= step.abs() <= reach[:, :, None]
    contexts = ids[:, place]
    centers = ids[:, :, None].expand_as(contexts)
    pairs = {"centers": centers[kept], "contexts": contexts[kept]}
    return PretokenizedBatch(pairs, batch.example_ids, batch.seed, batch.epoch)


def token_words(
    seed: int, epoch: int, example_ids: torch.Tensor, n_places: int, use: int
) -> tuple[torch.Tensor, ...]:
    """Four random words for each place of each example, see `bigwig_loader.sampling.rng`.

    Parameters
    ----------
    seed, epoch : int
    example_ids : (B,) int64
    n_places : int
        L, at most 2**20.
    use : int
        What they are for; takes the place of the redraw.

    Returns
    -------
    4 tensors (B, L) int64
        In [0, 2**32).
    """
    place = torch.arange(n_places, device=example_ids.device, dtype=torch.int64)
    example = example_ids.to(torch.int64)[:, None]
    zero = torch.zeros_like(example)
    c0, c1, c2 = example & _MASK_32, (example >> 32) & _MASK_32, zero + epoch
    c3 = (place << 8) | (int(Stream.TOKEN) << 28 | use)
    k0, k1 = seed & _MASK_32, seed >> 32
    for _ in range(N_ROUNDS):
        # Products wrap to signed 64 bits, which are the right ones.
        p0, p1 = c0 * MULTIPLIERS[0], c2 * MULTIPLIERS[1]
        c0, c1, c2, c3 = (
            ((p1 >> 32) & _MASK_32) ^ c1 ^ k0,
            p1 & _MASK_32,
            ((p0 >> 32) & _MASK_32) ^ c3 ^ k1,
            p0 & _MASK_32,
        )
        k0, k1 = (k0 + WEYL[0]) & _MASK_32, (k1 + WEYL[1]) & _MASK_32
    return c0, c1, c2, c3


def _words(batch: PretokenizedBatch, ids: torch.Tensor, use: int) -> tuple[torch.Tensor, ...]:
    examples = batch.example_ids
    if examples is None or examples.shape != ids.shape[:1]:
        got = "none" if examples is None else f"shape {tuple(examples.shape)}"
        raise InvalidInputError(
            f"batch: expected example_ids for each of {len(ids)} rows, which random numbers depend "
            f"on; got {got}. PretokenizedBatch(arrays, example_ids, seed, epoch) has them"
        )
    return token_words(batch.seed, batch.epoch, examples.to(ids.device), ids.shape[1], use)


def _tokens(batch: PretokenizedBatch, n_regions: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids, and which of them are regions."""
    check_positive("n_regions", n_regions)
    ids: Any = batch["input_ids"]
    if ids.ndim != 2 or ids.is_floating_point() or ids.shape[1] > MAX_LANES:
        raise InvalidInputError(
            f"batch: expected input_ids (B, L) of integers, L at most {MAX_LANES}; got {ids.dtype} "
            f"of shape {tuple(ids.shape)}"
        )
    can = (ids >= 0) & (ids < n_regions)
    mask = batch.get("attention_mask")
    return ids, can if mask is None else can & (mask != 0)


def _choose(
    word: torch.Tensor, can: torch.Tensor, rate: float, positions: Positions
) -> torch.Tensor:
    if positions == "bernoulli":
        return can & (word < _threshold(rate))
    n = torch.ceil(can.sum(1).to(torch.float64) * rate).to(torch.int64)
    ranks = _keys(word, can).argsort(1).argsort(1)
    return can & (ranks < n[:, None])


def _keys(word: torch.Tensor, can: torch.Tensor) -> torch.Tensor:
    """Random keys, all different; those of what cannot be chosen are the largest."""
    place = torch.arange(word.shape[1], device=word.device)
    return ((word << 20) | place).masked_fill(~can, _NEVER_CHOSEN) + place * ~can


def _shuffled(
    word: torch.Tensor, ids: torch.Tensor, can: torch.Tensor, segments: Any
) -> tuple[torch.Tensor, torch.Tensor, Any]:
    """Rows in a random order, within the documents of each."""
    order = _keys(word, can).argsort(1)
    if segments is not None:
        order = order.gather(1, torch.argsort(segments.gather(1, order), dim=1, stable=True))
        segments = segments.gather(1, order)
    return ids.gather(1, order), can.gather(1, order), segments


def _below(n: int, words: tuple[torch.Tensor, ...]) -> torch.Tensor:
    """Integers in [0, n) of two words; none is likelier by more than 2**-32 of its chance."""
    return (words[3] * n + ((words[2] * n) >> 32)) >> 32


def _threshold(share: float) -> int:
    return round(share * 2**32)


def _check_share(name: str, share: float) -> None:
    if not 0 <= share <= 1:
        raise InvalidInputError(f"argument {name}: expected a share in [0, 1]; got {share}")
