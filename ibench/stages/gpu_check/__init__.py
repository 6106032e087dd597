"""``make gpu-check``: one GPU against the paper's baseline and its own roofline."""
