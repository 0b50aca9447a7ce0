"""Training audio: packs, decoding, corpora split by voice; checks and preparation."""
