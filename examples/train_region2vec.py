"""Region2Vec: make tokens of a folder of BED files once, then train on which regions go together.

    python examples/train_region2vec.py [FOLDER]

Uses small made data. `bigwig-loader tokenize BEDS --universe U.bed -o TOKENS` makes the same store.
"""

import sys
from functools import partial
from pathlib import Path

import torch
from torch.nn.functional import logsigmoid, normalize

from bigwig_loader.tokens import PretokenizedDataset, Tokenizer, skip_gram_pairs, write_store
from bigwig_loader.tokens.example import make_example_regions

N_NEGATIVES = 5


class Region2Vec(torch.nn.Module):
    """Skip-gram with negative sampling: a vector for each region, and one for it as a context."""

    def __init__(self, vocab_size: int, n_regions: int, width: int = 32) -> None:
        super().__init__()
        self.n_regions = n_regions
        self.regions = torch.nn.Embedding(vocab_size, width)
        self.contexts = torch.nn.Embedding(vocab_size, width)
        torch.nn.init.normal_(self.regions.weight, std=0.1)
        torch.nn.init.zeros_(self.contexts.weight)

    def forward(self, centers: torch.Tensor, contexts: torch.Tensor) -> torch.Tensor:
        center = self.regions(centers)
        near = (center * self.contexts(contexts)).sum(1)
        others = torch.randint(self.n_regions, (len(centers), N_NEGATIVES))
        far = torch.einsum("nw,nkw->nk", center, self.contexts(others))
        return -(logsigmoid(near) + logsigmoid(-far).sum(1)).mean()


def main(folder: str = "example_data", n_epochs: int = 15) -> tuple[float, float]:
    data = make_example_regions(folder)
    tokenizer = Tokenizer.from_bed(data.universe)
    n_regions = tokenizer.universe.n_regions
    beds = sorted(data.beds.glob("*.bed"))
    store = write_store(Path(folder) / "tokens", beds, tokenizer, overwrite=True)
    dataset = PretokenizedDataset(
        store.path,
        batch_size=16,
        tokenizer=tokenizer,  # the store has to be of its universe
        # Regions are a set: other ones are near each other in every epoch.
        transform=partial(skip_gram_pairs, n_regions=n_regions, window=5, shuffle=True),
        seed=0,
    )
    torch.manual_seed(0)
    model = Region2Vec(tokenizer.vocab_size, n_regions)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.03)
    for epoch in range(n_epochs):
        for batch in dataset:
            loss = model(batch["centers"], batch["contexts"])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        if epoch % 5 == 4:
            print(f"epoch {epoch}: loss {loss.item():.3f}")
    vectors = model.regions.weight.detach()
    torch.save({"vectors": vectors, "universe": tokenizer.hash}, Path(folder) / "region2vec.pt")

    # Regions of one program occur together, wherever they lie.
    unit = normalize(vectors[:n_regions])
    program = torch.from_numpy(data.program)
    same = program[:, None] == program
    cosine = unit @ unit.T
    within = cosine[same & ~torch.eye(n_regions, dtype=torch.bool)].mean().item()
    between = cosine[~same].mean().item()
    print(f"cosine of two regions: {within:.2f} in one program, {between:.2f} in different ones")
    return within, between


if __name__ == "__main__":
    main(*sys.argv[1:])
