"""The command line: arguments to Denoiser, a file a verb."""
