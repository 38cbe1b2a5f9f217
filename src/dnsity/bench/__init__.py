"""What answering costs: every method on real model shapes, paired within one run."""
