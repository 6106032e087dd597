"""What is shown? Records and published numbers as tables, figures, notebooks, sites.

Nothing here measures, launches or changes a record.
"""
