"""Tags and pictures of audio files, between every pair of containers, and the chunks that WAV, AIFF and CAF carry."""
