"""Batches of tokens as torch tensors, and what is done with them before they are delivered."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping, Sequence
from typing import Any

import torch

from bigwig_loader.dataset.tokens.examples import Rows
from bigwig_loader.errors import InvalidInputError
from bigwig_loader.tokens.outputs import TokenBatch
from bigwig_loader.torch_arrays import pinned

Transform = Callable[[Any], Any]


class PretokenizedBatch(TokenBatch, MutableMapping[str, Any]):
    """Tensors of one batch, a mapping: ``model(**batch)`` works.

    ``input_ids`` and ``attention_mask`` (B, L); packed rows also have ``segment_ids`` and
    ``position_ids``, see `bigwig_loader.dataset.tokens.examples.Rows`.

    Parameters
    ----------
    arrays : dict of str to tensor
    example_ids : (B,) tensor, optional
        Numbers of the documents, or of the packed rows of the epoch. With seed and epoch, what
        random choices made of the batch depend on.
    seed, epoch : int
    """

    def __init__(
        self,
        arrays: dict[str, Any],
        example_ids: torch.Tensor | None = None,
        seed: int = 0,
        epoch: int = 0,
    ) -> None:
        super().__init__(arrays)
        self.example_ids = example_ids
        self.seed = seed
        self.epoch = epoch

    def __setitem__(self, key: str, value: Any) -> None:
        self._arrays[key] = value

    def __delitem__(self, key: str) -> None:
        del self._arrays[key]

    def __copy__(self) -> PretokenizedBatch:
        return self._mapped(lambda x: x)

    def replace(self, **arrays: Any) -> PretokenizedBatch:
        """A batch with these tensors instead, or besides; this one stays as it is."""
        return PretokenizedBatch({**self, **arrays}, self.example_ids, self.seed, self.epoch)

    def to(self, device: torch.device | str | int, non_blocking: bool = False) -> PretokenizedBatch:
        """The batch on another device; parameters as of `torch.Tensor.to`."""
        return self._mapped(lambda x: x.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> PretokenizedBatch:
        """The batch in page-locked memory; what ``DataLoader(pin_memory=True)`` calls."""
        return self._mapped(pinned)

    def _mapped(self, function: Callable[[torch.Tensor], torch.Tensor]) -> PretokenizedBatch:
        arrays = {k: function(v) if torch.is_tensor(v) else v for k, v in self.items()}
        ids = None if self.example_ids is None else function(self.example_ids)
        return PretokenizedBatch(arrays, ids, self.seed, self.epoch)


class Finish:
    """Rows as tensors, transformed."""

    def __init__(
        self, dtype: torch.dtype, transforms: tuple[Transform, ...], is_single: bool
    ) -> None:
        self._dtype = dtype
        self._transforms = transforms
        self._is_single = is_single

    def __call__(self, rows: Rows, seed: int, epoch: int) -> Any:
        arrays = {
            "input_ids": rows.input_ids,
            "attention_mask": rows.attention_mask,
            "segment_ids": rows.segment_ids,
            "position_ids": rows.position_ids,
        }
        tensors = {
            name: torch.from_numpy(array).to(self._dtype)
            for name, array in arrays.items()
            if array is not None
        }
        if self._is_single:
            return tensors["input_ids"][0]
        batch = PretokenizedBatch(tensors, torch.from_numpy(rows.index), seed, epoch)
        return transformed(batch, self._transforms)


def check_dtype(dtype: torch.dtype) -> torch.dtype:
    """Raise `InvalidInputError` unless tokens can be of this type."""
    if dtype not in (torch.int64, torch.int32):
        raise InvalidInputError(f"argument dtype: expected torch.long or torch.int32; got {dtype}")
    return dtype


def as_transforms(transform: Transform | Sequence[Transform] | None) -> tuple[Transform, ...]:
    if transform is None:
        return ()
    return (transform,) if callable(transform) else tuple(transform)


def transformed(batch: Any, transforms: tuple[Transform, ...]) -> Any:
    for transform in transforms:
        batch = transform(batch)
    return batch
