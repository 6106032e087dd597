"""One server life, request by request; light enough for every stage notebook."""

from __future__ import annotations

import itertools

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

__all__ = ["request_figure"]

INSTANTS = ("scheduled_ns", "sent_ns", "first_token_ns", "last_token_ns")
SPANS = (("waiting", "0.8"), ("to first token", "#E69F00"), ("tokens", "#0072B2"))


def request_figure(requests: pd.DataFrame) -> Figure | str:
    """Per request, from its scheduled instant: wait for a slot, TTFT, tokens.

    Args:
        requests: rows of ``requests.parquet``; empty if the server was not reached.
    """
    if requests.empty or requests.first_token_ns.isna().all():
        return "no request got a token"
    phases = list(dict.fromkeys(requests.phase))
    figure, axes = plt.subplots(
        1, len(phases), figsize=(3.2 * len(phases) + 0.6, 3.0), squeeze=False
    )
    for axis, phase in zip(axes[0], phases, strict=True):
        own = requests[requests.phase == phase].reset_index(drop=True)
        marks = [(own[c] - own.scheduled_ns.min()) / 1e9 for c in INSTANTS]
        pairs = itertools.pairwise(marks)
        for (name, colour), (a, b) in zip(SPANS, pairs, strict=True):
            axis.barh(own.index, b - a, left=a, color=colour, height=0.8, label=name)
        axis.invert_yaxis()
        axis.set(xlabel="s", ylabel="request", title=phase)
    axes[0][-1].legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)
    figure.tight_layout()
    plt.close(figure)
    return figure
