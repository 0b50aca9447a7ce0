"""One live signal: lanes that resample, gather hops, clean and give them back late by a constant."""
