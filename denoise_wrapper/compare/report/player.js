"use strict";

// The page: its clips' controls, cursors and marks over their pictures, and the keys.
(() => {
  const { Desk, shared, act, clamp, el } = window.denoiseReport;
  const DRAG = 5; // pixels that make a click a drag
  const KEYS = [
    ["0", "the clip as it came"],
    ["1 … 9", "the candidates, in their order"],
    ["c", "the clean reference, if there is one"],
    ["Space", "play, pause"],
    ["← →", "1 s back, on; with Shift 5 s"],
    ["Home", "to the start, of the loop if there is one"],
    ["[  ]", "the loop starts, ends here; or drag over a picture"],
    ["l", "loop on, off"],
    ["Esc", "clear the loop's marks"],
    ["m", "equal loudness on, off"],
  ];

  // A clip of the page. article: its element. clip: of the page's data.
  class Clip extends Desk {
    constructor(article, clip) {
      super(article, article.querySelector(".transport"), clip.tracks, clip.seconds, clip.id);
      this.rows = [...article.querySelectorAll(".track[data-track]")];
      for (const row of this.rows) this.wire(row, Number(row.dataset.track));
      for (const picture of article.querySelectorAll(".picture")) this.overlay(picture);
      for (const type of ["pointerdown", "focusin"]) article.addEventListener(type, () => (used = this));
      this.select(this.selected);
    }

    wire(row, index) {
      const pick = row.querySelector(".pick");
      const { name, key, audio } = this.tracks[index];
      pick.disabled = !audio;
      if (key) pick.setAttribute("aria-keyshortcuts", key);
      pick.addEventListener("click", () => this.choose(index, name));
    }

    select(index) {
      super.select(index);
      for (const row of this.rows) {
        const heard = Number(row.dataset.track) === index;
        row.classList.toggle("heard", heard);
        row.querySelector(".pick").setAttribute("aria-pressed", heard);
      }
    }

    // Cursor and marks over a picture; a click seeks, dragging marks a loop.
    overlay(picture) {
      picture.append(el("div.stretch"), el("div.cursor"));
      let first = null; // the pointer's x where it went down
      let dragged = false;
      const secondsAt = (x) => {
        const { left, width } = picture.getBoundingClientRect();
        return clamp((x - left) / width, 0, 1) * this.seconds;
      };
      const preview = ([from, to]) => {
        this.root.classList.add("marked");
        this.root.style.setProperty("--from", from / this.seconds);
        this.root.style.setProperty("--to", to / this.seconds);
      };
      const ends = (event) => [secondsAt(first), secondsAt(event.clientX)].sort((a, b) => a - b);
      const finish = () => {
        first = null;
        this.paintMarks();
      };
      picture.addEventListener("dragstart", (event) => event.preventDefault());
      picture.addEventListener("pointerdown", (event) => {
        if (event.button || !event.isPrimary) return;
        first = event.clientX;
        dragged = false;
        picture.setPointerCapture(event.pointerId);
      });
      picture.addEventListener("pointermove", (event) => {
        if (first === null) return;
        dragged ||= Math.abs(event.clientX - first) > DRAG;
        if (dragged) preview(ends(event));
      });
      picture.addEventListener("pointerup", (event) => {
        if (first === null) return;
        if (dragged) this.setMarks(...ends(event));
        else this.seek(secondsAt(event.clientX));
        finish();
      });
      picture.addEventListener("pointercancel", finish);
    }

    onkey(event) {
      if (super.onkey(event)) return true;
      const keyed = this.tracks.map(({ name, key, audio }, i) => [key, audio && (() => this.choose(i, name))]);
      return act(Object.fromEntries(keyed), event);
    }
  }

  const data = JSON.parse(document.getElementById("report-data").textContent);
  let clips = [];
  let used = null; // the clip that was last touched

  function inView(clip) {
    const { top, bottom } = clip.root.getBoundingClientRect();
    return bottom > 0 && top < innerHeight;
  }

  // The clip that keys are for: that which was used last, as long as it is heard or seen, or the first that is seen.
  function active() {
    const candidates = [used, shared.desk].filter((clip) => clips.includes(clip));
    return candidates.find((clip) => clip.playing || inView(clip)) ?? clips.find(inView);
  }

  function onClipKey(event) {
    const clip = active();
    if (!clip?.onkey(event)) return false;
    used = clip;
    return true;
  }

  // Keys are left to fields that one types in, and Space to what it presses but for the button of what is heard anyway.
  function isFree(event) {
    const own = event.ctrlKey || event.altKey || event.metaKey;
    if (event.defaultPrevented || (own && !event.getModifierState("AltGraph"))) return false;
    const { target } = event;
    if (target.closest("select, textarea, [contenteditable], input:not([type=range], [type=checkbox])")) return false;
    const pressed = target.closest("button, summary, a, input[type=checkbox]");
    return event.key !== " " || !pressed || pressed.matches(".pick[aria-pressed=true]");
  }

  function listen() {
    let taken = null; // the key that is down, and meant something
    document.addEventListener("keydown", (event) => {
      if (!isFree(event)) return;
      const again = event.repeat && !event.key.startsWith("Arrow"); // a key that is held down means its action once
      if (again ? taken !== event.code : !shared.onkey(event)) return;
      taken = event.code;
      event.preventDefault();
    });
    document.addEventListener("keyup", (event) => {
      if (event.code === taken) event.preventDefault(); // some browsers press a button when Space comes up
      taken = null;
    });
  }

  function keyList() {
    const rows = KEYS.flatMap(([key, meaning]) => [el("dt", {}, el("kbd", {}, key)), el("dd", {}, meaning)]);
    const hint = "They are for the clip that was used last, or the first in view.";
    return el("details.keys", {}, el("summary", {}, "Keys"), el("p", {}, hint), el("dl", {}, ...rows));
  }

  function start() {
    const section = document.getElementById("clips");
    clips = data.clips.map((clip, i) => new Clip(section.querySelector(`.clip[data-clip="${i}"]`), clip));
    const heading = section.querySelector("h2");
    if (heading) heading.after(keyList());
    else section.prepend(keyList());
    shared.onkey = onClipKey;
    listen();
  }

  const player = {
    // Plays a clip, by its number. Resolves when it plays, or cannot.
    play: (clip = clips.indexOf(shared.desk)) => (used = clips[Math.max(clip, 0)]).play(),
    pause: () => shared.desk?.pause(),
    seek: (seconds) => shared.desk?.seek(seconds),
    select: (track) => shared.desk?.select(track),
    position: () => shared.desk?.position ?? 0,
    // What plays, and how; decoded: how many tracks' audio is held.
    state() {
      const { desk, deck, matched } = shared;
      const decoded = deck?.buffers.filter(Boolean).length ?? 0;
      if (!desk) return { clip: null, playing: false, decoded, matched };
      const { playing, selected, position, loop } = desk;
      return { clip: clips.indexOf(desk), playing, selected, position, loop, decoded, matched };
    },
    // The node that all sound comes from, once there was any.
    output: () => shared.deck?.output,
  };

  const ready = new Promise((resolve) => {
    const go = () => resolve(start());
    if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", go);
    else go();
  });
  Object.assign(window.denoiseReport, { data, player, ready, onClipKey });
})();
