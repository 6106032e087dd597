"""Who makes a submission? Default launches, searches, agents under a budget.

Everything here sees development requests only; nothing here judges what it made.
"""
