"""What comes from a hub: pinned sources, the lock, the fetch, the place on disk."""
