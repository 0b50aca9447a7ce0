"use strict";

// The blind test: its form, its trials, its result. While it runs, all else is taken off the page, so that no name can
// be read; the clips cannot be played meanwhile.
(() => {
  const { Desk, shared, act, button, data, el, onClipKey, trials: maths } = window.denoiseReport;
  const section = document.getElementById("blind");
  const MODES = { abx: "ABX: can I hear a difference?", preference: "Preference: which do I like better?" };
  const MOST = 200; // trials; nobody's ears last longer
  const ABX_TRIALS = 10;
  const PREFERENCE_TRIALS = 20; // at most, unless more are asked for

  const tracks = data.clips.flatMap((clip) => clip.tracks).filter((track) => track.audio);
  const names = [...new Set(tracks.map((track) => track.name))];
  const inputs = new Set(tracks.filter(({ key }) => key === "0" || key === "c").map((track) => track.name));
  const candidates = names.filter((name) => !inputs.has(name));
  const trackOf = (clip, name) => data.clips[clip].tracks.find((track) => track.name === name && track.audio);
  const pairsOf = (list) => list.flatMap((first, i) => list.slice(i + 1).map((second) => [first, second]));

  const [first, second] = [...candidates, ...names.filter((name) => inputs.has(name))];
  // What the form shows. clip: its number, or "" for all. all: every pair of candidates, not the two that are chosen.
  let options = { mode: "abx", first, second, all: false, clip: "", trials: ABX_TRIALS, matched: true };
  let test = null; // the one that runs, or has run
  let hidden = []; // [placeholder, what was in its place]
  let title = "";

  // One trial's controls: as a clip's, but of A, B and perhaps X. trial: of the plan.
  class Trial extends Desk {
    constructor(root, parent, trial) {
      const { clip } = trial;
      const pair = ["a", "b"].map((letter) => ({ ...trackOf(clip, trial[letter]), name: letter.toUpperCase() }));
      super(root, parent, pair, data.clips[clip].seconds, "this trial");
      this.index = { a: 0, b: 1, ...(trial.x && { x: trial.x === "a" ? 0 : 1 }) };
      this.matchBox.disabled = true; // one choice for the whole test
      this.letter = "a";
      this.heard = new Set();
      this.picks = Object.keys(this.index).map((letter) => {
        const name = letter.toUpperCase();
        const pick = button(letter, name, () => this.listen(letter), `Listen to ${name}`);
        pick.classList.add("pick");
        return pick;
      });
      this.press();
    }

    press() {
      const letters = Object.keys(this.index);
      this.picks.forEach((pick, i) => pick.setAttribute("aria-pressed", letters[i] === this.letter));
    }

    listen(letter) {
      this.letter = letter;
      this.press();
      return this.choose(this.index[letter], letter.toUpperCase());
    }

    async play() {
      await super.play();
      if (this.playing) this.heard.add(this.letter);
    }

    // The letters that were never heard: none of them can be judged.
    get missing() {
      return Object.keys(this.index).filter((letter) => !this.heard.has(letter));
    }
  }

  // Takes all but the section and the audio off the page, and puts it back.
  function hide() {
    title = document.title;
    document.title = "Blind test";
    for (let node = section; node !== document.documentElement; node = node.parentElement) {
      for (const other of [...node.parentElement.children]) {
        if (other === node || other.matches("head, style, script[type='text/plain']")) continue;
        const placeholder = document.createComment("");
        other.replaceWith(placeholder);
        hidden.push([placeholder, other]);
      }
    }
  }

  function restore() {
    for (const [placeholder, other] of hidden) placeholder.replaceWith(other);
    hidden = [];
    document.title = title;
    shared.onkey = onClipKey;
    section.scrollIntoView();
  }

  function show(...content) {
    section.replaceChildren(el("h2", { id: "blind-title" }, "Blind test"), ...content);
    section.hidden = false;
  }

  // The form.

  function select(name, label, values) {
    const list = el("select", { name }, ...values.map(([value, text]) => el("option", { value }, text)));
    list.value = options[name];
    return el("label", {}, el("span", {}, label), list);
  }

  function checkbox(name, label) {
    return el("label", {}, el("input", { type: "checkbox", name, checked: options[name] }), ` ${label}`);
  }

  function showForm(message = "") {
    const named = names.map((name) => [name, name]);
    const clips = [["", "all, shuffled"], ...data.clips.map((clip, i) => [String(i), clip.id])];
    const kinds = Object.entries(MODES).map(([value, text]) =>
      el("label", {}, el("input", { type: "radio", name: "mode", value, checked: value === options.mode }), ` ${text}`),
    );
    const number = el("input", { type: "number", name: "trials", min: 1, max: MOST, required: true });
    number.value = options.trials;
    const form = el(
      "form.setup",
      {},
      el("p", {}, "Names are hidden until the end, so that only what you hear can tell the candidates apart."),
      el("fieldset", {}, el("legend", {}, "Kind of test"), ...kinds),
      el(
        "div.fields",
        {},
        select("first", "First", named),
        select("second", "Second", named),
        select("clip", "Clips", clips),
        el("label", {}, el("span", {}, "Trials"), number),
      ),
      el("div.boxes", {}, checkbox("all", "All pairs of candidates"), checkbox("matched", "Equal loudness")),
      el("p.hint"),
      el("button.start", { type: "submit" }, "Start the blind test"),
      el("p.status", { role: "status" }, message),
    );
    form.oninput = (event) => update(form, event.target.name);
    form.onsubmit = (event) => {
      event.preventDefault();
      const problem = start(options);
      if (problem) form.querySelector(".status").textContent = problem;
    };
    show(form);
    update(form, "");
    return form;
  }

  // Reads the form, and shows what follows from it. changed: the name of the field that was.
  function update(form, changed) {
    const { mode, first, second, clip, all, matched, trials } = form.elements;
    const several = mode.value === "preference" && candidates.length > 2;
    all.parentElement.hidden = !several;
    first.disabled = second.disabled = several && all.checked;
    options = { mode: mode.value, first: first.value, second: second.value, clip: clip.value };
    options = { ...options, all: several && all.checked, matched: matched.checked };
    if (["mode", "all", "clip"].includes(changed)) {
      const questions = pairsIn(options).flatMap((pair) => clipsOf(options, pair)).length;
      trials.value = mode.value === "abx" ? ABX_TRIALS : Math.min(PREFERENCE_TRIALS, questions) || 1;
    }
    options.trials = Number(trials.value);
    form.querySelector(".hint").textContent = hintOf(options);
  }

  function hintOf({ mode, trials }) {
    if (mode === "preference") return "You hear A and B, and say which you prefer, if either.";
    const least = maths.needed(trials);
    const enough = least ? `${least} of ${trials} right are hardly luck` : "So few trials cannot tell anything";
    return `You hear A, B and X, and say whether X is A or B. ${enough}.`;
  }

  const pairsIn = ({ all, first, second }) => (all ? pairsOf(candidates) : [[first, second]]);

  // The clips that both of a pair can be heard of.
  function clipsOf({ clip }, pair) {
    const chosen = clip === "" ? [...data.clips.keys()] : [Number(clip)];
    return chosen.filter((number) => pair.every((name) => trackOf(number, name)));
  }

  // The trials.

  // Begins a test, with what the form has and perhaps a seed. Returns why it cannot, in words.
  function start(chosen) {
    const settings = { ...options, ...chosen };
    const pairs = pairsIn(settings);
    if (settings.first === settings.second && !settings.all) return "Choose two different candidates.";
    if (!(settings.trials >= 1 && settings.trials <= MOST)) return `Choose 1 to ${MOST} trials.`;
    const seed = settings.seed ?? maths.newSeed();
    const trials = maths.plan({ ...settings, pairs, clipsOf: (pair) => clipsOf(settings, pair), seed });
    if (!trials.length) return "There is no clip that both can be heard of.";
    test = { settings, pairs, seed, trials, answers: [], started: new Date() };
    shared.desk?.leave();
    hide();
    shared.setMatched(settings.matched);
    showTrial();
    return "";
  }

  function showTrial(before = null) {
    const { settings, trials, answers } = test;
    const trial = trials[answers.length];
    const abx = settings.mode === "abx";
    const heading = el("h3", { tabIndex: -1 }, `Trial ${answers.length + 1} of ${trials.length}`);
    const [root, listen, transport] = [el("div.trial"), el("div.choices"), el("div.transport")];
    const desk = (test.desk = new Trial(root, transport, trial));
    if (before && before.clip === trial.clip) {
      Object.assign(desk, { from: before.desk.from, to: before.desk.to, looping: before.desk.looping });
      desk.rest = desk.loop?.[0] ?? 0;
      desk.paint();
      desk.paintMarks();
    }
    const choices = abx ? { a: "X is A", b: "X is B" } : { a: "I prefer A", b: "I prefer B", none: "No preference" };
    const begun = performance.now();
    const give = (answer) => {
      if (desk.missing.length) return desk.say(`Listen first: ${desk.missing.join(", ").toUpperCase()}`);
      return take(answer, (performance.now() - begun) / 1000);
    };
    const buttons = Object.entries(choices).map(([answer, text], i) => button(String(i + 1), text, () => give(answer)));
    listen.append(...desk.picks);
    root.append(
      heading,
      el("progress", { max: trials.length, value: answers.length, "aria-label": "Trials that are answered" }),
      el("p", {}, abx ? "Listen to A, B and X. Which is X?" : "Listen to A and B. Which do you prefer?"),
      listen,
      transport,
      el("div.answers", {}, ...buttons),
      el("p.hint", {}, "Space plays and pauses, the arrow keys go 1 s back and on, with Shift 5 s, Home to the start."),
      el("button.abandon", { type: "button", onclick: abandon }, "Abandon the test"),
    );
    show(root);
    shared.onkey = (event) => desk.onkey(event) || act(keysOf(desk, Object.keys(choices), give), event);
    heading.focus();
  }

  function keysOf(desk, answers, give) {
    const listening = Object.keys(desk.index).map((letter) => [letter, () => desk.listen(letter)]);
    const answering = answers.map((answer, i) => [String(i + 1), () => give(answer)]);
    return Object.fromEntries([...listening, ...answering]);
  }

  function take(answer, seconds) {
    const { settings, trials, answers, desk } = test;
    const { clip, a, b, x } = trials[answers.length];
    const row = { trial: answers.length + 1, clip: data.clips[clip].id, a, b };
    if (settings.mode === "abx") Object.assign(row, { x, answer, correct: answer === x });
    else Object.assign(row, { answer, preferred: { a, b }[answer] ?? null });
    answers.push({ ...row, seconds: Number(seconds.toFixed(1)) });
    dismiss();
    if (answers.length < trials.length) showTrial({ clip, desk });
    else finish();
  }

  // The trial's audio is let go of.
  function dismiss() {
    if (test.desk.current) test.desk.leave();
    shared.desks.delete(test.desk);
  }

  function abandon() {
    const { answers, trials } = test;
    dismiss();
    test = null;
    restore();
    showForm(`Abandoned after ${answers.length} of ${trials.length} trials; no answer was kept.`);
    section.querySelector(".start").focus();
  }

  // The result.

  function finish() {
    const { settings, pairs, seed, answers, started } = test;
    test.record = {
      title: data.title,
      report: data.report,
      mode: settings.mode,
      started: started.toISOString(),
      finished: new Date().toISOString(),
      seed,
      equal_loudness: settings.matched,
      trials: answers,
      result: maths.judge(settings.mode, pairs, answers),
    };
    restore();
    showResult(test.record);
  }

  const shortP = (p) => (p < 0.001 ? "p < 0.001" : `p = ${p.toFixed(3)}`);

  function abxWords({ result, trials }) {
    const [one, other] = [trials[0].a, trials[0].b].sort();
    const likely = result.p_value > maths.LIKELY;
    return [
      `You were right in ${result.correct} of ${result.trials} trials: ${shortP(result.p_value)}.`,
      "That is how likely so many or more are by guessing (exact binomial test, one-sided).",
      likely
        ? `So this may be luck: it does not show that you hear ${one} and ${other} apart, nor that you cannot.`
        : `So this is hardly luck: you can hear ${one} and ${other} apart.`,
    ];
  }

  function preferenceWords({ result }) {
    const words = result.map((pair) => {
      const { first, second, first_preferred: one, second_preferred: two, ties, p_value: p } = pair;
      const hardly = `which is hardly chance: you prefer ${one > two ? first : second}`;
      const found = p > maths.LIKELY ? "which may be chance" : hardly;
      return `${first} ${one}, ${second} ${two}, neither ${ties}: ${shortP(p)}, ${found}.`;
    });
    const meaning =
      "p is how likely so uneven a result is without any preference (exact binomial test, two-sided, ties left out).";
    const many = `Of ${result.length} pairs, one or another can come so low by chance; p is not corrected for that.`;
    return [...words, meaning, ...(result.length > 1 ? [many] : [])];
  }

  function table(rows) {
    const text = (value) => (value === true ? "yes" : value === false ? "no" : String(value ?? "none"));
    const head = el("tr", {}, ...Object.keys(rows[0]).map((name) => el("th", { scope: "col" }, name)));
    const body = rows.map((row) => el("tr", {}, ...Object.values(row).map((value) => el("td", {}, text(value)))));
    const region = { tabIndex: 0, role: "region", "aria-label": "All trials" }; // which scrolls, also by keyboard
    return el("div.scroll", region, el("table", {}, head, ...body));
  }

  function download(record, type, text) {
    const name = `blind-test-${record.mode}-${record.finished.slice(0, 19).replaceAll(":", "-")}.${type}`;
    const href = URL.createObjectURL(new Blob([text], { type: type === "csv" ? "text/csv" : "application/json" }));
    return el("a.download", { href, download: name }, `Download ${type.toUpperCase()}`);
  }

  function showResult(record) {
    const heading = el("h3", { tabIndex: -1 }, "Result");
    const words = record.mode === "abx" ? abxWords(record) : preferenceWords(record);
    show(
      heading,
      ...words.map((sentence) => el("p", {}, sentence)),
      el(
        "div.actions",
        {},
        download(record, "json", `${JSON.stringify(record, null, 2)}\n`),
        download(record, "csv", maths.toCsv(record.trials)),
        el("button.again", { type: "button", onclick: () => start({ ...test.settings, seed: null }) }, "Again"),
        el("button.other", { type: "button", onclick: () => showForm().elements.first.focus() }, "Another test"),
      ),
      el("details", {}, el("summary", {}, "All trials"), table(record.trials)),
    );
    heading.focus();
  }

  // What a test is at, without what it hides.
  function state() {
    const { answers = [], trials = [], record = null } = test ?? {};
    return { running: hidden.length > 0, answered: answers.length, trials: trials.length, record };
  }

  if (names.length > 1) showForm();
  window.denoiseReport.blind = { start, abandon, state };
})();
