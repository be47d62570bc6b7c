"""Graph -> Graph, one file a pass, named by its verb; `pipeline.py` lists them in order, with why."""
