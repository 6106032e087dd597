"""What is one study? A profile with its files, its cells and jobs, and their needs.

Planning and preparing only: no server is measured and no number is judged here.
"""
