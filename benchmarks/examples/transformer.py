"""A block of a transformer, and a small language model of such blocks: inputs that are no images.

    pytest benchmarks -m "step or inference" --perf-models=benchmarks/examples/transformer.py:block

Sizes: those of the base model of A. Vaswani et al., Attention Is All You Need, 2017, table 3.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from perfsuite.testing import Batch, InputSizes, ModelSpec

if TYPE_CHECKING:
    from perfsuite.workloads.model_spec import Tensors

WIDTH, NUM_HEADS, INNER_WIDTH, DROPOUT = 512, 8, 2048, 0.1
NUM_TOKENS = 128
VOCABULARY = 1000


def _layer() -> nn.TransformerEncoderLayer:
    return nn.TransformerEncoderLayer(WIDTH, NUM_HEADS, INNER_WIDTH, DROPOUT, batch_first=True)


def vectors(sizes: InputSizes, generator: torch.Generator) -> Batch:
    """Return random vectors of tokens, and what the block is to make of them, both [N, T, D] float32."""
    shape = (sizes.batch_size, NUM_TOKENS, WIDTH)
    return Batch(inputs=torch.randn(shape, generator=generator), targets=torch.randn(shape, generator=generator))


block = ModelSpec(build=lambda _sizes: _layer(), batch=vectors, loss=nn.functional.mse_loss)


class LanguageModel(nn.Module):
    """Embedding, blocks in which a token sees those before it, and a score for each word that may follow."""

    def __init__(self, num_blocks: int = 2) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, WIDTH)
        self.blocks = nn.ModuleList(_layer() for _ in range(num_blocks))
        self.head = nn.Linear(WIDTH, VOCABULARY)

    def forward(self, tokens: torch.Tensor, mask: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return `scores` [N, T, words] of tokens [N, T] int64; a mask [T, T] keeps each from those after it."""
        hidden = self.embedding(tokens)
        for one in self.blocks:
            hidden = one(hidden, src_mask=mask)
        return {"scores": self.head(hidden)}


def sentences(sizes: InputSizes, generator: torch.Generator) -> Batch:
    """Return random tokens with the mask as keyword arguments, and the token that follows each."""
    tokens = torch.randint(VOCABULARY, (sizes.batch_size, NUM_TOKENS + 1), generator=generator)  # N T+1
    mask = torch.full((NUM_TOKENS, NUM_TOKENS), float("-inf")).triu(1)  # T T
    return Batch(inputs={"tokens": tokens[:, :-1].contiguous(), "mask": mask}, targets=tokens[:, 1:].contiguous())


def next_token_loss(outputs: dict[str, torch.Tensor], targets: Tensors) -> torch.Tensor:
    """Return the cross-entropy of the token that follows, the mean over all tokens."""
    return nn.functional.cross_entropy(outputs["scores"].flatten(0, 1), targets.flatten())


language_model = ModelSpec(build=lambda _sizes: LanguageModel(), batch=sentences, loss=next_token_loss)
