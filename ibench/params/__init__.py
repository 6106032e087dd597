"""What is asked for? The models of ``params/``: closed, frozen, strictly validated.

A model per kind of file and the reading of it; nothing here acts on what it says.
"""

from ibench.params.agents import Agent, Cli, Continuation, HarborAgent, LoginFile
from ibench.params.measure import (
    Budget,
    ClientSpec,
    Gates,
    Limits,
    Measure,
    Stat,
    Stopping,
)
from ibench.params.methods import (
    CONTROL,
    AgentMethod,
    ControlMethod,
    DefaultMethod,
    Method,
    SearchMethod,
    SearchSpace,
)
from ibench.params.pairing import Pairing
from ibench.params.profile import (
    BaseProfile,
    Isolation,
    ModelSpec,
    Profile,
    QuestionsSpec,
)
from ibench.params.scenario import (
    PaperScenario,
    Phase,
    PhaseScale,
    Scale,
    Scenario,
    SeedPair,
    SeedUse,
)

__all__ = [
    "CONTROL", "Agent", "AgentMethod", "BaseProfile", "Budget", "Cli", "ClientSpec",
    "Continuation", "ControlMethod", "DefaultMethod", "Gates", "HarborAgent",
    "Isolation", "Limits", "LoginFile", "Measure", "Method", "ModelSpec",
    "Pairing", "PaperScenario", "Phase", "PhaseScale", "Profile", "QuestionsSpec",
    "Scale", "Scenario", "SearchMethod", "SearchSpace", "SeedPair", "SeedUse", "Stat",
    "Stopping",
]  # fmt: skip
