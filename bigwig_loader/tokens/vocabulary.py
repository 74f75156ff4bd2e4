"""Tokens as text and as ids."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from bigwig_loader.tokens.universe import Universe


class _SpecialText:
    """Text of a special token."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, owner: Vocabulary, kind: type[Any] | None = None) -> str:
        return owner.universe.special_tokens[self._name]


class _SpecialId:
    """Id of a special token."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, owner: Vocabulary, kind: type[Any] | None = None) -> int:
        return owner.universe.special_ids[self._name]


class Vocabulary:
    """The tokens of a universe: ids 0 to U - 1 are its regions, the 7 after them special.

    Parameters
    ----------
    universe : Universe
    """

    unk_token, unk_token_id = _SpecialText("unk"), _SpecialId("unk")
    pad_token, pad_token_id = _SpecialText("pad"), _SpecialId("pad")
    mask_token, mask_token_id = _SpecialText("mask"), _SpecialId("mask")
    cls_token, cls_token_id = _SpecialText("cls"), _SpecialId("cls")
    eos_token, eos_token_id = _SpecialText("eos"), _SpecialId("eos")
    bos_token, bos_token_id = _SpecialText("bos"), _SpecialId("bos")
    sep_token, sep_token_id = _SpecialText("sep"), _SpecialId("sep")

    def __init__(self, universe: Universe) -> None:
        self.universe = universe

    @property
    def vocab_size(self) -> int:
        """Tokens, the 7 special ones included."""
        return self.universe.vocab_size

    def __len__(self) -> int:
        return self.vocab_size

    @property
    def hash(self) -> str:
        """What the ids mean, see `Universe.hash`."""
        return self.universe.hash

    @property
    def special_tokens_map(self) -> dict[str, str]:
        """Texts of the special tokens by ``"unk_token"`` and so on."""
        return {f"{name}_token": text for name, text in self.universe.special_tokens.items()}

    @property
    def all_special_ids(self) -> list[int]:
        """Ids of the special tokens."""
        return list(self.universe.special_ids.values())

    def get_vocab(self) -> dict[str, int]:
        """All tokens and their ids; a dictionary of `vocab_size` strings."""
        texts = self.universe.tokens(np.arange(self.vocab_size))
        return {text: number for number, text in enumerate(texts)}

    def encode(self, tokens: str | Iterable[str]) -> list[int]:
        """Ids of tokens given as text; that of unk for what is no token."""
        ids = self.universe.find([tokens] if isinstance(tokens, str) else tokens)
        found: list[int] = np.where(ids < 0, self.universe.special_ids["unk"], ids).tolist()
        return found

    def decode(self, ids: int | Iterable[int]) -> list[str]:
        """Tokens of ids; unk past the last one.

        Raises
        ------
        InvalidInputError
            For a negative id.
        """
        return self.universe.tokens([ids] if isinstance(ids, (int, np.integer)) else ids)

    def convert_tokens_to_ids(self, tokens: str | Iterable[str]) -> Any:
        """As `encode`, but one id for one token."""
        ids = self.encode(tokens)
        return ids[0] if isinstance(tokens, str) else ids

    def convert_ids_to_tokens(self, ids: int | Iterable[int]) -> Any:
        """As `decode`, but one token for one id."""
        tokens = self.decode(ids)
        return tokens[0] if isinstance(ids, (int, np.integer)) else tokens

    def get_special_tokens_mask(self, tokens: Iterable[str | int]) -> list[bool]:
        """Whether each token, given as text or id, is a special one."""
        special = {*self.universe.special_tokens.values(), *self.all_special_ids}
        return [token in special for token in tokens]
