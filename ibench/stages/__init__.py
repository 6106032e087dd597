"""What does a stage do? One module a notebook, with the notebook's name.

Stages put the floors below together; what several of them need belongs further down.
"""

__all__: list[str] = []
