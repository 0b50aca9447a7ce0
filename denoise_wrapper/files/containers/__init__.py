"""Structure of audio files as they lie on disk: stretches, pages, frames, chunks; no sound is decoded here."""
