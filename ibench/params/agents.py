"""Agents: a script of ours, or a command-line agent that Harbor drives."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, JsonValue, model_validator

from ibench.params.types import Name
from ibench.records import Closed

__all__ = ["Agent", "Cli", "Continuation", "HarborAgent", "LoginFile"]


class Cli(Closed):
    """An agent's program: where it comes from, and how its presence is checked."""

    installer: Literal["npm", "pip", "harbor"] = Field(
        description="harbor: installed in the sandbox before the clock starts"
    )
    package: str | None = None
    version: str = Field(pattern=r"^\d[\w.+\-]*$")
    extras: tuple[str, ...] = Field(
        default=(), description="packages that it needs and does not ask for"
    )
    program: str = Field(pattern=r"^[\w.\-]+$", description="its file in bin")
    place: str | None = Field(
        default=None, pattern="^/", description="path in the sandbox, if one is fixed"
    )
    check: str | None = Field(
        default=None, description="command that prints the version; PROGRAM --version"
    )

    @model_validator(mode="after")
    def _a_registry_needs_a_package(self) -> Cli:
        if (self.package is None) != (self.installer == "harbor"):
            raise ValueError("package goes with npm and pip")
        return self


class LoginFile(Closed):
    """A login kept in a file of the host, mode 0600."""

    path: str = Field(description="~ is the home of who runs the study")
    variable: str | None = Field(
        default=None, description="Harbor's variable for it; Harbor uploads the file"
    )
    target: str | None = Field(
        default=None, description="path below the sandbox's home, for other agents"
    )

    @model_validator(mode="after")
    def _goes_one_way(self) -> LoginFile:
        if (self.variable is None) == (self.target is None):
            raise ValueError("give variable or target")
        return self


class HarborAgent(Closed):
    """A command-line agent that Harbor knows how to drive."""

    agent: str = Field(description="Harbor's name, or module:Class")
    cli: Cli
    model: str = Field(pattern="^[^/]+/.+$", description="provider/model")
    effort: str | None = None
    options: dict[str, JsonValue] = Field(
        default_factory=dict, description="Harbor's own options of this agent"
    )
    secrets: tuple[str, ...] = Field(
        default=(), description="variables, read from NAME or the file NAME_FILE names"
    )
    login_files: tuple[LoginFile, ...] = ()
    env: dict[str, str] = Field(
        default_factory=dict, description="variables of its commands; nothing secret"
    )
    state: dict[str, str] = Field(
        default_factory=dict,
        description="folder in the sandbox: what of it Harbor copies into the logs "
        "when the agent ends by itself",
    )


class Continuation(Closed):
    """Rules for an agent that stops before its budget does."""

    min_left_s: float = Field(
        default=30.0, ge=0, description="with less left a session is over"
    )
    idle_turn_s: float = Field(
        default=20.0, ge=0, description="a turn shorter than this was idle"
    )
    idle_turns: int = Field(
        default=3, ge=1, description="idle turns in a row that end a session"
    )
    fresh_starts: int = Field(
        default=3,
        ge=1,
        description="the first conversation, and those begun after a failure",
    )
    restart_pause_s: float = Field(default=5.0, ge=0)
    provider_tries: int = Field(
        default=8, ge=1, description="refusals of the provider in a row"
    )
    backoff_s: float = Field(default=5.0, gt=0, description="doubles up to 120 s")


class Agent(Closed):
    """How an agent is started inside its sandbox: a script of ours, or Harbor's."""

    name: Name
    description: str
    argv: tuple[str, ...] = ()
    harbor: HarborAgent | None = None
    continuation: Continuation = Continuation()
    network: bool = Field(description="reach beyond loopback")

    @model_validator(mode="after")
    def _is_of_one_kind(self) -> Agent:
        if bool(self.argv) == (self.harbor is not None):
            raise ValueError("an agent has either argv or harbor")
        return self
