"""The rule by which held_out.csv was chosen, to be read and repeated; the list itself never changes again.

    python -m denoise_wrapper.training.data.choose_held_out DATA > held_out.csv

DATA holds speech/, noise/ and rir/, each with its table. Order in each group is by SHA-256 of seed and name, so that
what one group holds moves nothing in another.

- Voices: of each group, by the first part of the name, a tenth rounded up; of the children and the adults among the
  non-native speakers a tenth each. One person may go by several names: all names of one language of the letter games,
  and both lists of one language of the memory game, go together. A unit needs 12 s of speech. Groups that stand for
  crowds, and groups of less than three voices, stay in training.
- Noises: one source or two of each kind that has others, with all their files.
- Rooms: two that die away in less than a second and two others, of those that one file alone is of.
"""

from __future__ import annotations

import csv
import hashlib
import math
import re
import sys
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from denoise_wrapper.training.data.held_out import COLUMNS, digest
from denoise_wrapper.training.data.packs import open_pack, row_seconds, source_name

SEED = "2026-11-28"
SHARE = 0.1  # of the voices of a group
LEAST_S = 12.0  # of speech of a unit
LEAST_VOICES = 3  # of a group
CROWDS = ("commands", "wakeword", "precise")
GROUPS = {"assess": "letters", "monster": "letters"}  # two games with the same narrators
REASONS = {
    "libri": "reader", "msc": "sentences", "dsp20": "words", "arabic": "words", "alnum": "names and numbers",
    "asp": "sentences",
}  # fmt: skip  # the others: words of a language
UNSEEN = ("ocean", "msc", "dsp20", "arabic")  # groups that no weights up to 2026-11-28 were trained on
# Speakers of speechocean762 of 6 to 15 years, as its spk2age has them; the others are 19 to 43.
CHILDREN = """
    0001 0003 0005 0006 0026 0044 0048 0049 0053 0054 0056 0070 0075 0092 0094 0096 0103 0104 0111 0112 0113 0114 0122
    0131 0133 0145 0149 1042 1044 1046 1050 1061 1075 1076 1092 1197 1203 1404 1418 1419 1422 1435 1439 1447 1465 1469
    1501 1502 1503 2007 2014 2027 2030 2034 2179 3002 3007 3012 3014 3020 3021 3027 3046 3049 3060 3068 3075 3083 3088
    3208 3214 3412 3423 3631 3636 3837 5015 5017 5029 5039 5072 5195 5218 5220 5401 5406 5408 5414 5418 5424 5428 5432
    5547 5551 6010 6048 6067 6099 6121 6401 6504 6902 6912 7551 8057 8063 8068 8153 8581 8584 8585 9034 9088 9101 9107
    9118 9553 9555 9556 9558
"""
# Sources of noise by kind, and how many of each are held out. Kinds of one source alone are not here.
NOISES = {
    "talk": (2, "moodist-cafe moodist-crowded_bar moodist-crowd moodist-restaurant noisekun-coffee moodist-supermarket "
                "moodist-subway_station noisekun-playground"),
    "office": (1, "moodist-office moodist-library moodist-laboratory"),
    "street": (1, "moodist-busy_street moodist-traffic moodist-road moodist-highway moodist-construction_site "
                  "projektarbeit-1-street_0"),
    "vehicle": (1, "moodist-airplane noisekun-air_plane moodist-inside_a_train moodist-train noisekun-boat "
                   "esc-10-007_helicopter"),
    "household": (2, "projektarbeit-1-aircon_1 projektarbeit-1-aircon_2 projektarbeit-1-dishwasher_0 "
                     "projektarbeit-1-vacuuming_0 projektarbeit-1-vacuuming_2 moodist-dryer moodist-washing_machine "
                     "moodist-laundry_room"),
    "rain": (1, "moodist-heavy_rain moodist-light_rain moodist-rain_on_leaves moodist-rain_on_umbrella "
                "moodist-rain_on_window moodist-rain_on_tent noisekun-rain noisekun-rain_on_tent esc-10-002_rain"),
    "water": (1, "moodist-river moodist-waterfall moodist-waves noisekun-waterfall noisekun-waves "
                 "noisekun-stream_water esc-10-003_seawaves"),
    "wind": (1, "moodist-wind moodist-howling_wind moodist-wind_in_trees noisekun-wind noisekun-leaves"),
    "fire": (1, "moodist-campfire noisekun-fire esc-10-010_firecrackling"),
    "birds": (1, "moodist-birds moodist-crows moodist-seagulls noisekun-birds_tree esc-10-009_rooster"),
    "night": (1, "moodist-crickets moodist-night_village moodist-frog moodist-jungle noisekun-night"),
    "keys": (1, "moodist-typewriter keystroke-datasets-0"),  # one keyboard, a file a key
    "steps": (1, "moodist-walk_in_snow moodist-walk_on_gravel moodist-walk_on_leaves"),
    "music": (1, "unknown-horizons-goldenvalley unknown-horizons-main_theme unknown-horizons-music "
                 "unknown-horizons-music2 unknown-horizons-newfrontier unknown-horizons-nightdream"),
}  # fmt: skip
Row = dict[str, str]


def chosen(units: Iterable[str], group: str) -> list[str]:
    """Names in the order in which they are drawn."""
    return sorted(units, key=lambda unit: hashlib.sha256(f"{SEED}/{group}/{unit}".encode()).hexdigest())


def group_of(voice: str) -> str:
    first = voice.split("-")[0]
    if first == "ocean":
        return "ocean child" if voice.removeprefix("ocean-") in CHILDREN.split() else "ocean adult"
    return GROUPS.get(first, first)


def unit_of(voice: str) -> str:
    """Names that may be of one person."""
    if group_of(voice) == "letters":
        return re.sub(r"^(assess|monster)-|-(lettersounds|sightwords)$", "", voice)
    return voice.removesuffix("-cards") if voice.startswith("childsplay") else voice


def choose_voices(folder: Path) -> list[Row]:
    """Rows of the list, one for each voice and file of it."""
    pack = open_pack(folder)
    seconds: dict[str, float] = defaultdict(float)
    units: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    places: dict[str, dict[tuple[str, str], str]] = defaultdict(dict)  # of a voice: (source, file) and rate
    for row in pack.rows:
        voice = row["voice"]
        seconds[unit_of(voice)] += row_seconds(row)
        units[group_of(voice)][unit_of(voice)].add(voice)
        places[voice][row["source"], row["file"]] = row["rate"]
    voices: list[str] = []
    for group, members in sorted(units.items()):
        count = sum(map(len, members.values()))
        wanted = math.ceil(SHARE * count) if count >= LEAST_VOICES and not group.startswith(CROWDS) else 0
        for unit in chosen((unit for unit in members if seconds[unit] >= LEAST_S), group):
            if wanted > 0:
                voices += sorted(members[unit])
                wanted -= len(members[unit])
    return [
        {"kind": "voice", "name": voice, "source": source, "file": file, "sha256": digest(pack.files[file]),
         "reason": reason_of(voice), "band": "full" if int(rate) >= 44100 else "16k",
         "unseen": "yes" if voice.startswith(UNSEEN) else "no"}
        for voice in voices for (source, file), rate in sorted(places[voice].items())
    ]  # fmt: skip


def reason_of(voice: str) -> str:
    group = group_of(voice)
    return group.removeprefix("ocean ") if group.startswith("ocean ") else REASONS.get(group, "words of a language")


def choose_noises(folder: Path) -> list[Row]:
    pack = open_pack(folder)
    facts = {row["file"]: row for row in pack.rows}
    rows = []
    for kind, (count, names) in NOISES.items():
        held = chosen(names.split(), kind)[:count]
        for file, path in pack.files.items():
            if source_name(file) in held:
                full = all(float(row["bandwidth_hz"]) >= 15000.0 for row in pack.rows if row["file"] == file)
                rows.append({"kind": "noise", "name": source_name(file), "source": facts[file]["source"],
                              "file": file, "sha256": digest(path), "reason": kind,
                              "band": "full" if full else "16k", "unseen": ""})  # fmt: skip
    return rows


def choose_rooms(folder: Path) -> list[Row]:
    with (folder / "rirs.csv").open(newline="", encoding="utf-8") as stream:
        rows = {Path(row["file"]).stem: row for row in csv.DictReader(stream)}
    alone = [
        stem for stem in rows if not re.search(r"position\d$|35-10|15-8", stem)
    ]  # positions; microphones in a hall
    sizes = {stem: "long" if seconds(rows[stem]) >= 1.0 else "short" for stem in alone}
    held = [stem for size in ("short", "long") for stem in chosen((s for s in alone if sizes[s] == size), size)[:2]]
    return [
        {"kind": "room", "name": stem, "source": rows[stem]["source"], "file": f"{stem}.flac",
         "sha256": digest(folder / f"{stem}.flac"), "reason": sizes[stem], "band": "full", "unseen": ""}
        for stem in held
    ]  # fmt: skip


def seconds(row: Row) -> float:
    """Reverberation time; 0 where the table has words in its place, as of rooms too small or too noisy to tell."""
    try:
        return float(row["t20_s"])
    except ValueError:
        return 0.0


def choose(data: Path) -> list[Row]:
    """All rows of the list."""
    return [*choose_voices(data / "speech"), *choose_noises(data / "noise"), *choose_rooms(data / "rir")]


if __name__ == "__main__":
    writer = csv.DictWriter(sys.stdout, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(choose(Path(sys.argv[1])))
