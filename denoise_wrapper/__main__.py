"""`python -m denoise_wrapper` is the command `denoise-wrapper`."""

from denoise_wrapper.cli.main import run

if __name__ == "__main__":
    run()
