"""Embed the cells of an AnnData file with region vectors that were trained before.

    python examples/embed_cells.py [FOLDER]

The cells are tokenized in memory. Uses small made data, and what train_region2vec.py has learned
(it is run if need be). Needs h5py.
"""

import sys
from pathlib import Path

import torch
from torch.nn.functional import normalize

from bigwig_loader.tokens import Tokenizer
from bigwig_loader.tokens.example import make_example_regions


def main(folder: str = "example_data") -> float:
    data = make_example_regions(folder)
    tokenizer = Tokenizer.from_bed(data.universe)
    trained = Path(folder) / "region2vec.pt"
    if not trained.exists():
        from train_region2vec import main as train  # the example beside this one

        train(folder)
    saved = torch.load(trained, weights_only=True)
    if saved["universe"] != tokenizer.hash:
        raise ValueError(f"{trained} was trained on another universe than {data.universe}")

    # A path or an AnnData object: the features are tokenized once, not for every cell.
    cells = tokenizer(data.cells, return_tensors="pt")
    print(f"{len(cells.names)} cells, {len(cells.input_ids)} tokens")
    embed = torch.nn.EmbeddingBag.from_pretrained(
        saved["vectors"], mode="mean", include_last_offset=True
    )
    vectors = embed(cells.input_ids, cells.offsets)

    # Is the nearest other cell of the same kind?
    unit = normalize(vectors)
    cosine = (unit @ unit.T).fill_diagonal_(-1)
    kind = torch.from_numpy(data.cell_program)
    agreement = (kind[cosine.argmax(1)] == kind).float().mean().item()
    print(f"{100 * agreement:.0f} % of the cells have one of their kind as the nearest")
    torch.save({"cells": cells.names, "vectors": vectors}, Path(folder) / "cells.pt")
    return agreement


if __name__ == "__main__":
    main(*sys.argv[1:])
