"""What each backend is for, in the words of who has to choose one."""

from __future__ import annotations

DEFAULT = "rnnoise"  # the backend of who names none
PURPOSES = {  # backend -> what it is for
    "rnnoise": "meetings, podcasts, voice agents: the best for its cost",
    "rnnoise-classic": "small computers: the lightest, with the least delay; its .rnnn runs in other programs",
    "dtln-16k": "telephone and recordings at 16 kHz: keeps the speech closest, cuts off what is above 8 kHz",
    "dtln-32k": "as dtln-16k, for recordings of wider band: up to 16 kHz",
    "enhancer": "full band, to be listened to: a network that rnnoise guides, better than that at three times its cost",
    "enhancer-tiny": "as enhancer, a third of its size, at twice the cost of rnnoise",
    "enhancer-live": "calls that mind delay: full band, keeps the speech close, 10 ms late, with no guide",
    "deepfilternet3": "full-band speech where cost does not matter: DeepFilterNet3, by a package of its own",
    "ulunas": "UL-UNAS's released files, at 16 kHz: cuts off what is above 8 kHz",
    "gtcrn": "GTCRN's released files, at 16 kHz: likewise, lighter",
}


def purpose(name: str) -> str:
    """Say what a shipped backend is for; "" for one of another name."""
    return PURPOSES.get(name, "")
