"""The paper and its site, regenerated: tables, figures, claims, comparison."""
