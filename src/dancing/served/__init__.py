"""Models as MLflow keeps and serves them: checkpoints, and code that loads them. Nothing is pickled."""
