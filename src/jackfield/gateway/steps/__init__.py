"""The steps of the pipeline, in the order in which gateway/pipeline.py lists them."""
