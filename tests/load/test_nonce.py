from __future__ import annotations

import itertools

import pytest

from ibench.load.nonce import marked, nonce_of

TEXT = " ".join(f"word{i}" for i in range(200)) + "\nlast line"


def content(text: str, nonce: str) -> str:
    (message,) = marked([{"role": "user", "content": text}], nonce)
    assert message["role"] == "user"
    return message["content"]


def test_names_are_of_run_phase_and_request() -> None:
    names = {nonce_of("run 1", "r0"), nonce_of("run 2", "r0"), nonce_of("run 1", "r1")}
    assert len(names) == 3
    assert nonce_of("run 1", "r0") in names


def test_marks_are_words_of_the_text_itself() -> None:
    text = content(TEXT, nonce_of("run", "r0"))
    assert set(text.split(" ")) == set(TEXT.split(" "))
    assert len(text.split(" ")) == len(TEXT.split(" ")) + 4
    assert content(TEXT, nonce_of("run", "r0")) == text


def test_two_runs_share_next_to_no_prefix() -> None:
    texts = [content(TEXT, nonce_of(f"run {i}", "r0")).split(" ") for i in range(200)]
    shared = []
    for one, other in itertools.pairwise(texts):
        same = (i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b)
        shared.append(next(same, len(one)))
    assert sum(shared) / len(shared) < 3  # of 200 words
    assert max(shared) < 16  # within the first block of a cache


@pytest.mark.parametrize(
    "text", ["推理服务器的基准测试" * 8, "hi", "", "    ", "a b c"]
)
def test_any_text_can_be_marked(text: str) -> None:
    one, other = content(text, nonce_of("1", "r")), content(text, nonce_of("2", "r"))
    assert one != other
    assert len(one) > len(text)


def test_only_the_first_message_is_marked_and_nothing_is_changed_in_place() -> None:
    messages = [{"role": "system", "content": TEXT}, {"role": "user", "content": "b"}]
    found = marked(messages, nonce_of("run", "r"))
    assert found[1] == messages[1]
    assert messages[0]["content"] == TEXT != found[0]["content"]
