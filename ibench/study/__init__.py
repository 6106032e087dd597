"""What is one study? A profile with its files, its cells and jobs, and their needs.

Planning and preparing, and how an opened job runs servers; nothing here judges.
"""
