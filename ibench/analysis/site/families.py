"""Where the behaviour map puts each family of episodes.

Radii are those of the original viewer, whose families are finer than ours. Its angles
put eight families on one spoke; ours keep the order and get a spoke each.
"""

from __future__ import annotations

from ibench.analysis.paper.data import Published, rows_of
from ibench.analysis.site.data import FamilyPlace

__all__ = ["family_key", "family_places"]

# Our family: its label and the published family whose radius it has.
_PUBLISHED = {
    "inspecting": ("inspecting", "task_understanding"),
    "installing": ("installing", "environment_setup"),
    "launching": ("launching", "baseline_launch"),
    "evaluating": ("evaluating", "evaluation"),
    "monitoring": ("monitoring", "monitoring"),
    "debugging": ("debugging", "debugging"),
    "finalising": ("finalising", "finalization"),
    "hyperparameters": ("hyperparameters", "hyperparameter_tuning"),
    "quantization": ("quantization", "quantization"),
    "kv_cache": ("KV cache", "kv_cache_optimization"),
    "speculative_decoding": ("speculative decoding", "speculative_decoding"),
    "prefix_caching": ("prefix caching", "prefix_caching"),
    "chunked_prefill": ("chunked prefill", "chunked_prefill"),
    "attention_backend": ("attention backend", "attention_backend"),
    "compilation": ("compilation", "compilation"),
    "engine_selection": ("engine selection", "engine_selection"),
    "custom_kernels": ("custom kernels", "custom_kernels"),
}
_OPERATIONAL = 7


def family_key(name: str) -> str:
    """Key of a family, also from its label (``KV cache``)."""
    return name.strip().lower().replace(" ", "_").replace("-", "_")


def family_places(published: Published) -> tuple[FamilyPlace, ...]:
    """All families, clockwise from the top; operational ones first.

    Raises:
        ParameterError: the published file is missing or breaks its schema.
    """
    rows = rows_of(published("site_trajectory_families"))
    radius = {str(r.family): float(r.base_radius) for r in rows}
    step = 360 / len(_PUBLISHED)
    return tuple(
        FamilyPlace(
            key=key,
            label=label,
            tier="operational" if i < _OPERATIONAL else "optimization",
            angle_deg=round(i * step, 2),
            radius=radius[source],
        )
        for i, (key, (label, source)) in enumerate(_PUBLISHED.items())
    )
