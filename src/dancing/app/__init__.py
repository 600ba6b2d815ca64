"""The page of `dancing app`: a song in, a video out; a check of clips; a puppet. Needs the extra `app` (Gradio)."""
