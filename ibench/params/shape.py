"""The shape of a dense decoder in numbers: parameters, bytes and FLOPs.

Matrix multiplications count two FLOPs a weight; norms, activations, rotary embedding
and the softmax are left out, so that every count is a lower bound of the work.
"""

from __future__ import annotations

from pydantic import Field

from ibench.records import Closed

__all__ = ["BYTES", "Shape"]

BYTES = 2  # of one bfloat16 number


class Shape(Closed):
    """Dimensions of a Mistral model, with untied embeddings, in bfloat16.

    Args:
        tokens_divisor: the scenarios' lengths are divided by it; 1 are full lengths.
    """

    vocab_size: int = Field(ge=512)
    hidden_size: int = Field(ge=8)
    intermediate_size: int = Field(ge=8)
    layers: int = Field(ge=1)
    heads: int = Field(ge=1)
    kv_heads: int = Field(ge=1)
    head_dim: int = Field(ge=2)
    max_position_embeddings: int = Field(ge=64)
    rope_theta: float = Field(gt=0)
    tokens_divisor: int = Field(default=1, ge=1)

    @property
    def embedding_parameters(self) -> int:
        """Vocabulary times hidden size: the input table, and the output head too."""
        return self.vocab_size * self.hidden_size

    @property
    def layer_matrix_parameters(self) -> int:
        """Weights of all layers' matrices.

        A layer: ``h (H + 2 K) d + H d h`` of attention, ``3 h f`` of the MLP, with
        hidden size h, H heads, K key-value heads, head size d, MLP size f.
        """
        projected = (2 * self.heads + 2 * self.kv_heads) * self.head_dim
        mlp = 3 * self.intermediate_size
        return self.layers * self.hidden_size * (projected + mlp)

    @property
    def parameters(self) -> int:
        """All weights: matrices, two embedding tables, ``2 L + 1`` norms."""
        norms = (2 * self.layers + 1) * self.hidden_size
        return self.layer_matrix_parameters + 2 * self.embedding_parameters + norms

    @property
    def weight_bytes(self) -> int:
        """Size of all weights."""
        return self.parameters * BYTES

    @property
    def step_weight_bytes(self) -> int:
        """Weights that one step must read: all but the input table.

        Of that table only the rows of the present tokens are read.
        """
        return (self.parameters - self.embedding_parameters) * BYTES

    @property
    def kv_bytes_per_token(self) -> int:
        """Keys and values of one token in all layers: ``2 L K d`` numbers."""
        return 2 * self.layers * self.kv_heads * self.head_dim * BYTES

    def decode_flops(self, context: float) -> float:
        """FLOPs of one generated token that attends to ``context`` tokens.

        ``2 (matrices + head) + 4 L H d context``: two for each weight, two for each
        product of query and key, two for each of probability and value.
        """
        weights = self.layer_matrix_parameters + self.embedding_parameters
        return 2 * weights + self._attention_flops * context

    def prefill_flops(self, tokens: int) -> float:
        """FLOPs from a prompt of n tokens to the first new token.

        ``2 n matrices + 2 head + 4 L H d n (n + 1) / 2``: the head is needed for the
        last position only, and position i attends to i tokens.
        """
        matrices = 2 * self.layer_matrix_parameters * tokens
        attention = self._attention_flops * tokens * (tokens + 1) / 2
        return matrices + 2 * self.embedding_parameters + attention

    @property
    def _attention_flops(self) -> int:
        """For each pair of tokens: ``4 L H d``."""
        return 4 * self.layers * self.heads * self.head_dim
