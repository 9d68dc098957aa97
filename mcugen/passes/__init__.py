"""One pass a file: Graph -> Graph, and no mutation. Their order, with reasons, is in `mcugen.pipeline`."""
