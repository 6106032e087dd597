"""Scores, tables and figures: frames in, frames or figures out."""
