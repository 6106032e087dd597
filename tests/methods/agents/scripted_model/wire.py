"""The three dialects: what a request offers, and how an answer is written.

An answer is a text and at most one call of a shell tool. Every dialect yields the whole
reply and, for a client that streams, its events.
"""

from __future__ import annotations

import datetime
import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

__all__ = ["DIALECTS", "Answer", "Dialect", "shell_call", "stop_call"]

# Names of shell tools, by preference, and the argument that takes the command.
SHELL_TOOLS = {
    "Bash": "command",
    "bash": "command",
    "exec_command": "cmd",
    "shell_command": "command",
    "shell": "command",
    "local_shell": "command",
    "run_shell_command": "command",
    "execute_bash": "command",
}
_ids = itertools.count(1)


@dataclass(frozen=True)
class Answer:
    """Text and call: ``(name, arguments)``."""

    text: str
    call: tuple[str, dict[str, Any]] | None = None


def shell_call(
    tools: dict[str, dict[str, Any]], command: str
) -> tuple[str, dict[str, Any]]:
    """Write a shell command as a call of the tool that a scaffold offers."""
    for name, key in SHELL_TOOLS.items():
        if name not in tools:
            continue
        properties = tools[name].get("properties", {})
        is_list = properties.get(key, {}).get("type") == "array"
        arguments: dict[str, Any] = {
            key: ["bash", "-lc", command] if is_list else command
        }
        for extra, value in (("description", "scripted"), ("yield_time_ms", 30000)):
            if extra in properties:
                arguments[extra] = value
        return name, arguments
    raise LookupError(f"no shell tool among {sorted(tools)}")


def stop_call(tools: dict[str, dict[str, Any]]) -> tuple[str, dict[str, Any]] | None:
    """A scaffold with one tool only stops by a command; the others by no call."""
    if list(tools) == ["bash"]:
        return shell_call(tools, "echo COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT")
    return None


def _number(prefix: str) -> str:
    return f"{prefix}_{next(_ids):06d}"


def _now() -> int:
    return int(datetime.datetime.now(datetime.UTC).timestamp())


class Dialect:
    """One provider's way of speaking."""

    path: str

    def tools(self, request: dict[str, Any]) -> dict[str, dict[str, Any]]:
        """Argument schemas by tool name."""
        raise NotImplementedError

    def reply(self, request: dict[str, Any], answer: Answer) -> dict[str, Any]:
        """The reply as one document."""
        raise NotImplementedError

    def events(self, reply: dict[str, Any]) -> Iterator[tuple[str | None, Any]]:
        """The same reply as (event name, data) pairs."""
        raise NotImplementedError

    def error(self, kind: str, message: str) -> dict[str, Any]:
        """An error's body."""
        return {"error": {"type": kind, "code": kind, "message": message}}


class Anthropic(Dialect):
    """Messages."""

    path = "/v1/messages"

    def tools(self, request: dict[str, Any]) -> dict[str, dict[str, Any]]:
        return {
            t["name"]: t.get("input_schema", {}) for t in request.get("tools") or []
        }

    def reply(self, request: dict[str, Any], answer: Answer) -> dict[str, Any]:
        content: list[dict[str, Any]] = []
        if answer.text:
            content.append({"type": "text", "text": answer.text})
        if answer.call:
            name, arguments = answer.call
            content.append(
                {
                    "type": "tool_use",
                    "id": _number("toolu"),
                    "name": name,
                    "input": arguments,
                }
            )
        return {
            "id": _number("msg"),
            "type": "message",
            "role": "assistant",
            "model": request["model"],
            "content": content,
            "stop_reason": "tool_use" if answer.call else "end_turn",
            "stop_sequence": None,
            "usage": {"input_tokens": 100, "output_tokens": 20},
        }

    def events(self, reply: dict[str, Any]) -> Iterator[tuple[str | None, Any]]:
        start = reply | {"content": [], "stop_reason": None}
        yield "message_start", {"type": "message_start", "message": start}
        for index, block in enumerate(reply["content"]):
            is_text = block["type"] == "text"
            blank: dict[str, Any] = {"text": ""} if is_text else {"input": {}}
            empty = block | blank
            delta = (
                {"type": "text_delta", "text": block["text"]}
                if is_text
                else {
                    "type": "input_json_delta",
                    "partial_json": json.dumps(block["input"]),
                }
            )
            for name, data in (
                ("content_block_start", {"content_block": empty}),
                ("content_block_delta", {"delta": delta}),
                ("content_block_stop", {}),
            ):
                yield name, {"type": name, "index": index, **data}
        delta = {"stop_reason": reply["stop_reason"], "stop_sequence": None}
        yield (
            "message_delta",
            {"type": "message_delta", "delta": delta, "usage": reply["usage"]},
        )
        yield "message_stop", {"type": "message_stop"}

    def error(self, kind: str, message: str) -> dict[str, Any]:
        return {"type": "error", "error": {"type": kind, "message": message}}


class Chat(Dialect):
    """Chat completions."""

    path = "/v1/chat/completions"

    def tools(self, request: dict[str, Any]) -> dict[str, dict[str, Any]]:
        return {
            t["function"]["name"]: t["function"].get("parameters", {})
            for t in request.get("tools") or []
        }

    def reply(self, request: dict[str, Any], answer: Answer) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": answer.text}
        if answer.call:
            name, arguments = answer.call
            function = {"name": name, "arguments": json.dumps(arguments)}
            message["tool_calls"] = [
                {"id": _number("call"), "type": "function", "function": function}
            ]
        finish = "tool_calls" if answer.call else "stop"
        return {
            "id": _number("chatcmpl"),
            "object": "chat.completion",
            "created": _now(),
            "model": request["model"],
            "choices": [{"index": 0, "message": message, "finish_reason": finish}],
            "usage": {
                "prompt_tokens": 100,
                "completion_tokens": 20,
                "total_tokens": 120,
            },
        }

    def events(self, reply: dict[str, Any]) -> Iterator[tuple[str | None, Any]]:
        choice = reply["choices"][0]
        message = dict(choice["message"])
        for index, call in enumerate(message.get("tool_calls", [])):
            call["index"] = index
        chunk = {k: reply[k] for k in ("id", "created", "model")}
        chunk["object"] = "chat.completion.chunk"
        delta = {"index": 0, "delta": message, "finish_reason": None}
        yield None, chunk | {"choices": [delta]}
        end = {"index": 0, "delta": {}, "finish_reason": choice["finish_reason"]}
        yield None, chunk | {"choices": [end]}
        yield None, chunk | {"choices": [], "usage": reply["usage"]}
        yield None, "[DONE]"


class Responses(Dialect):
    """Responses."""

    path = "/v1/responses"

    def tools(self, request: dict[str, Any]) -> dict[str, dict[str, Any]]:
        found = {}
        for tool in request.get("tools") or []:
            name = tool.get("name") or tool.get("type")
            found[name] = tool.get("parameters", {})
        return found

    def reply(self, request: dict[str, Any], answer: Answer) -> dict[str, Any]:
        output: list[dict[str, Any]] = []
        if answer.text:
            text = {"type": "output_text", "text": answer.text, "annotations": []}
            output.append(
                {
                    "type": "message",
                    "id": _number("msg"),
                    "status": "completed",
                    "role": "assistant",
                    "content": [text],
                }
            )
        if answer.call:
            name, arguments = answer.call
            output.append(
                {
                    "type": "function_call",
                    "id": _number("fc"),
                    "call_id": _number("call"),
                    "status": "completed",
                    "name": name,
                    "arguments": json.dumps(arguments),
                }
            )
        usage = {
            "input_tokens": 100,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": 20,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": 120,
        }
        return {
            "id": _number("resp"),
            "object": "response",
            "created_at": _now(),
            "status": "completed",
            "model": request["model"],
            "output": output,
            "parallel_tool_calls": False,
            "tool_choice": "auto",
            "tools": [],
            "usage": usage,
        }

    def events(self, reply: dict[str, Any]) -> Iterator[tuple[str | None, Any]]:
        numbers = itertools.count()

        def event(name: str, **data: Any) -> tuple[str, Any]:
            return name, {"type": name, "sequence_number": next(numbers), **data}

        start = reply | {"output": [], "status": "in_progress", "usage": None}
        yield event("response.created", response=start)
        for index, item in enumerate(reply["output"]):
            yield event("response.output_item.added", output_index=index, item=item)
            if item["type"] == "message":
                where = {
                    "item_id": item["id"],
                    "output_index": index,
                    "content_index": 0,
                }
                part = item["content"][0]
                yield event("response.output_text.delta", delta=part["text"], **where)
                yield event("response.output_text.done", text=part["text"], **where)
            yield event("response.output_item.done", output_index=index, item=item)
        yield event("response.completed", response=reply)


DIALECTS: dict[str, Dialect] = {d.path: d for d in (Anthropic(), Chat(), Responses())}
