"use strict";

// Controls of what is played: of a clip of the page, or of a trial of the blind test. One is played at a time, and only
// its audio is decoded.
(() => {
  const { Deck, decode, gainsOf } = window.denoiseReport;
  const STEP = 1; // s, of the arrow keys
  const LONG_STEP = 5; // s, with shift
  const SHORTEST = 0.05; // s, of a stretch that is looped
  const CALM = 250; // ms between positions of the cursor for those who prefer little motion
  const calm = matchMedia("(prefers-reduced-motion: reduce)");
  // deck: made on the first use, for a page may not sound before. desk: that whose audio the deck has. desks: all on
  // the page. matched: whether loudness is. onkey: takes a key's event, true if it meant something.
  const shared = { deck: null, desk: null, desks: new Set(), matched: true, onkey: () => false, setMatched };

  const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
  const clock = (seconds) => `${Math.floor(seconds / 60)}:${(seconds % 60).toFixed(1).padStart(4, "0")}`;

  // An element: el("p.small", {hidden: true}, "text", el("b")). Names that are no property become attributes.
  function el(name, properties = {}, ...children) {
    const [tag, ...classes] = name.split(".");
    const element = document.createElement(tag);
    if (classes.length) element.className = classes.join(" ");
    for (const [key, value] of Object.entries(properties)) {
      if (key in element) element[key] = value;
      else element.setAttribute(key, value);
    }
    element.append(...children);
    return element;
  }

  // A button with its key on it. label: what it is called where its place on the page does not say what it is for.
  function button(key, text, onclick, label = text) {
    const hint = el("kbd", { "aria-hidden": "true" }, key);
    return el("button", { type: "button", onclick, "aria-label": label, "aria-keyshortcuts": key }, hint, ` ${text}`);
  }

  // Does what a key is for, of actions by key. False if it is for nothing; digits are found on any keyboard's layout.
  function act(actions, event) {
    const digit = /^Digit(\d)$/.exec(event.code)?.[1];
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const action = actions[key] || actions[digit];
    action?.();
    return Boolean(action);
  }

  function openDeck() {
    if (!shared.deck) {
      const context = new AudioContext({ sampleRate: 48000 }); // Opus is decoded at this rate, whatever the device's is
      shared.deck = new Deck(context);
      shared.deck.output.connect(context.destination);
      shared.deck.onended = () => shared.desk?.paint();
    }
    return shared.deck;
  }

  function follow() {
    shared.desk?.paint();
    if (!shared.deck.playing) return;
    if (calm.matches) setTimeout(follow, CALM);
    else requestAnimationFrame(follow);
  }

  function setMatched(matched) {
    shared.matched = matched;
    for (const desk of shared.desks) desk.matchBox.checked = matched;
    shared.desk?.applyGains();
  }

  // The controls of one clip. root: gets position and marks as CSS variables, for all that shows them. parent: gets the
  // controls. tracks: of the page's data. seconds: length on the page. about: the clip, for those who hear the labels.
  class Desk {
    constructor(root, parent, tracks, seconds, about) {
      Object.assign(this, { root, tracks, seconds, about });
      this.selected = Math.max(0, tracks.findIndex((track) => track.audio));
      this.rest = 0; // position while the deck has not this clip
      this.from = this.to = null; // marks, s
      this.looping = false;
      this.wanted = false; // to be played as soon as it is decoded
      this.loaded = false;
      this.build(parent);
      shared.desks.add(this);
      this.paint();
      this.paintMarks();
    }

    build(parent) {
      const own = (key, text, action, label = text) => button(key, text, action, `${label}, ${this.about}`);
      this.word = el("span");
      this.playButton = el(
        "button.play",
        { type: "button", onclick: () => this.toggle(), "aria-keyshortcuts": "Space" },
        el("span.icon", { "aria-hidden": "true" }),
        this.word,
      );
      this.time = el("span.time", { "aria-hidden": "true" });
      this.slider = el("input", { type: "range", min: 0, max: this.seconds, step: 0.01 });
      this.slider.setAttribute("aria-label", `Position, ${this.about}`);
      this.slider.oninput = () => this.seek(Number(this.slider.value));
      this.loopButton = own("l", "Loop", () => this.toggleLoop());
      this.clearButton = own("Esc", "Clear", () => this.setMarks(null, null), "Clear the loop's marks");
      const start = own("[", "From here", () => this.mark("from"), "Loop from here");
      const end = own("]", "To here", () => this.mark("to"), "Loop to here");
      this.matchBox = el("input", { type: "checkbox", checked: shared.matched });
      this.matchBox.onchange = () => setMatched(this.matchBox.checked);
      const match = el("label.match", {}, this.matchBox, " Equal loudness ", el("kbd", { "aria-hidden": "true" }, "m"));
      this.status = el("p.status", { role: "status" });
      parent.replaceChildren(
        el("div.seeking", {}, this.playButton, el("div.timeline", {}, el("div.stretch"), this.slider), this.time),
        el("div.looping", {}, this.loopButton, start, end, this.clearButton, match),
        this.status,
      );
    }

    say(text, isError = false) {
      this.status.textContent = text;
      this.status.classList.toggle("error", isError);
    }

    get current() {
      return shared.desk === this;
    }

    get live() {
      return this.current && this.loaded;
    }

    get playing() {
      return this.live && shared.deck.playing;
    }

    get position() {
      return this.live ? Math.min(shared.deck.position, this.seconds) : this.rest;
    }

    get loop() {
      return this.looping ? [this.from ?? 0, this.to ?? this.seconds] : null;
    }

    // Gives the deck this clip's audio instead of another's. False if there is nothing to play.
    take() {
      if (!this.current) {
        shared.desk?.leave();
        shared.desk = this;
        this.loading = this.load();
      }
      return this.loading;
    }

    leave() {
      this.rest = this.position;
      this.wanted = this.loaded = false;
      shared.desk = null;
      shared.deck?.clear();
      this.say("");
      this.paint();
    }

    async load() {
      if (!window.AudioContext) return this.say("This browser cannot play: it has no Web Audio.", true);
      const deck = openDeck();
      const failures = [];
      let done = 0;
      const one = async (track) => {
        try {
          return await decode(deck.context, track);
        } catch (error) {
          if (track.audio) failures.push(error.message);
          return null;
        } finally {
          done += 1;
          if (this.current) this.say(`Decoding: ${done} of ${this.tracks.length} tracks`);
        }
      };
      const buffers = await Promise.all(this.tracks.map(one));
      if (!this.current) return false; // another clip was wanted meanwhile
      deck.load(buffers, gainsOf(this.tracks, shared.matched));
      deck.selected = this.selected;
      deck.move(this.rest, this.loop);
      this.loaded = true;
      if (!deck.seconds) failures.push("There is nothing to play.");
      this.say(failures.join(" "), failures.length > 0);
      return deck.seconds > 0;
    }

    async play() {
      this.wanted = true;
      const loading = this.take();
      await shared.deck?.context.resume();
      if (!(await loading) || !this.wanted || !this.current) return;
      shared.deck.play();
      follow();
    }

    pause() {
      this.wanted = false;
      if (this.live) shared.deck.pause();
      this.paint();
    }

    toggle() {
      return this.wanted && (this.playing || !this.loaded) ? this.pause() : this.play();
    }

    seek(seconds) {
      const position = clamp(seconds, 0, this.seconds);
      const [from, to] = this.loop || [0, Infinity];
      if (position < from || position >= to) this.looping = false; // who looks elsewhere has heard the loop
      this.go(position);
    }

    go(position) {
      if (this.live) shared.deck.move(position, this.loop);
      else this.rest = position ?? this.rest;
      this.paint();
      this.paintMarks();
    }

    select(track) {
      this.selected = track;
      if (this.live) shared.deck.select(track);
    }

    // What a press on a track's button does: it is heard.
    choose(track, label) {
      this.select(track);
      this.say(label);
      return this.play();
    }

    applyGains() {
      if (this.live) shared.deck.setGains(gainsOf(this.tracks, shared.matched));
    }

    toggleLoop() {
      this.looping = !this.looping;
      this.go(null);
      this.sayLoop();
    }

    // Marks the loop's start or end at the cursor; the other end is the clip's unless it is marked.
    mark(edge) {
      const here = this.position;
      if (edge === "from") this.setMarks(here, this.to > here ? this.to : this.seconds);
      else this.setMarks(this.from < here ? this.from : 0, here);
    }

    setMarks(from, to) {
      if (from !== null && to - from < SHORTEST) return this.say(`A loop lasts ${SHORTEST} s at least`);
      Object.assign(this, { from, to, looping: from !== null });
      this.go(null);
      this.sayLoop();
    }

    sayLoop() {
      const [from, to] = this.loop || [];
      this.say(this.loop ? `Loop from ${from.toFixed(2)} s to ${to.toFixed(2)} s` : "No loop");
    }

    paint() {
      const { position, playing } = this;
      this.root.style.setProperty("--at", position / this.seconds);
      this.slider.value = position;
      const text = `${clock(position)} / ${clock(this.seconds)}`;
      if (this.time.textContent === text && this.playing === this.shown) return;
      this.time.textContent = text;
      this.slider.setAttribute("aria-valuetext", `${position.toFixed(1)} of ${this.seconds.toFixed(1)} seconds`);
      this.shown = playing;
      this.word.textContent = playing ? "Pause" : "Play";
      this.playButton.setAttribute("aria-label", `${this.word.textContent}, ${this.about}`);
      this.playButton.classList.toggle("playing", playing);
    }

    paintMarks() {
      this.root.classList.toggle("marked", this.from !== null);
      this.root.classList.toggle("looped", this.looping);
      this.root.style.setProperty("--from", (this.from ?? 0) / this.seconds);
      this.root.style.setProperty("--to", (this.to ?? this.seconds) / this.seconds);
      this.loopButton.setAttribute("aria-pressed", this.looping);
      this.clearButton.disabled = this.from === null;
    }

    // The keys that all desks have.
    onkey(event) {
      const step = event.shiftKey ? LONG_STEP : STEP;
      const actions = {
        " ": () => this.toggle(),
        ArrowLeft: () => this.seek(this.position - step),
        ArrowRight: () => this.seek(this.position + step),
        Home: () => this.seek(this.loop?.[0] ?? 0),
        l: () => this.toggleLoop(),
        "[": () => this.mark("from"),
        "]": () => this.mark("to"),
        m: this.matchBox.disabled ? null : () => setMatched(!shared.matched),
        Escape: this.from === null ? null : () => this.setMarks(null, null),
      };
      return act(actions, event);
    }
  }

  Object.assign(window.denoiseReport, { Desk, shared, act, button, clamp, el });
})();
