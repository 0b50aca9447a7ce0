"""One clip against its reference: metrics, levels, places of speech, signals by formula."""
