// The page: what its controls do, and what is shown.
import { clean, decoded } from "/file.js";
import { Live, obstacle } from "/live.js";
import { Spectrogram } from "/spectrogram.js";

const at = (id) => document.getElementById(id);
const NO_LIMIT = 42; // of the slider: as much as the backend can
const FLOOR_DB = -80;
const still = matchMedia("(prefers-reduced-motion: reduce)");

let key = "";
let live = null;
let list = { backends: [], presets: [] };
try {
  key = sessionStorage.getItem("denoise-key") ?? "";
} catch {
  // It holds until the page is left.
}

function say(id, text, error = false) {
  at(id).textContent = text;
  at(id).classList.toggle("error", error);
}

const limit = () => (Number(at("limit").value) === NO_LIMIT ? null : Number(at("limit").value));

// Backends -----------------------------------------------------------------------------------------------------------

async function loadBackends() {
  const response = await fetch("/v1/backends", { headers: key ? { Authorization: `Bearer ${key}` } : {} });
  at("key-form").hidden = response.status !== 401;
  if (response.status === 401) {
    if (key) at("key-why").textContent = "That is another key. This server wants its own.";
    at("key").focus();
    return;
  }
  if (!response.ok) throw new Error((await response.json()).error.message);
  list = await response.json();
  at("backend").replaceChildren(...list.backends.map(({ name }) => new Option(name, name, false, name === list.default)));
  showPurpose();
}

function showPurpose() {
  const chosen = list.backends.find(({ name }) => name === at("backend").value);
  at("purpose").textContent = chosen ? `${chosen.name}: ${chosen.purpose}` : "";
}

at("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  key = at("key").value.trim();
  try {
    sessionStorage.setItem("denoise-key", key);
  } catch {
    // As above.
  }
  loadBackends().catch((error) => say("live-status", error.message, true));
});

at("backend").addEventListener("change", () => {
  showPurpose();
  live?.command({ type: "switch", backend: at("backend").value });
});

at("limit").addEventListener("input", () => {
  at("limit-said").textContent = limit() === null ? "no limit" : `${limit()} dB`;
  at("limit").setAttribute("aria-valuetext", at("limit-said").textContent);
});
at("limit").addEventListener("change", () => live?.command({ type: "limit", atten_lim_db: limit() }));

// The microphone -----------------------------------------------------------------------------------------------------

function tell(event, value) {
  if (event === "speech") at("speech").textContent = `${Math.round(100 * value)} %`;
  else if (event === "said") say("live-status", value, true);
  else if (event === "changed") say("live-status", `On: ${value.backend}.`);
  else if (event === "ended") ended(value, true);
}

function ended(why, error = false) {
  live = null;
  at("start").textContent = "Start the microphone";
  at("start").disabled = false;
  say("live-status", why, error);
}

at("start").addEventListener("click", async () => {
  if (live) {
    live.stop();
    ended("The microphone is off.");
    return;
  }
  const why = obstacle();
  if (why) {
    say("live-status", why, true);
    return;
  }
  at("start").disabled = true;
  say("live-status", "Asking for the microphone ...");
  // As late as the slowest backend needs: so any of them can be switched to without a jump in time.
  const latency_s = Math.max(0, ...list.backends.map(({ latency_ms }) => latency_ms)) / 1000 + 0.002;
  const starting = new Live({ backend: at("backend").value, atten_lim_db: limit(), latency_s, key }, tell);
  try {
    await starting.start();
  } catch (error) {
    ended(error.message, true);
    return;
  }
  live = starting;
  live.choose(at("live-clean").getAttribute("aria-pressed") === "true");
  live.mute(at("quiet").checked);
  at("start").textContent = "Stop the microphone";
  at("start").disabled = false;
  say("live-status", `On: ${live.started.backend}.`);
  watch(live);
});

at("quiet").addEventListener("change", () => live?.mute(at("quiet").checked));

function press(group, clean) {
  at(`${group}-clean`).setAttribute("aria-pressed", String(clean));
  at(`${group}-noisy`).setAttribute("aria-pressed", String(!clean));
}

function chooseLive(clean) {
  press("live", clean);
  live?.choose(clean);
}
at("live-noisy").addEventListener("click", () => chooseLive(false));
at("live-clean").addEventListener("click", () => chooseLive(true));

// Levels and pictures, for as long as that stream lasts; four times a second for who wants little motion.
function watch(watched) {
  const pictures = ["noisy", "clean"].map((name, i) => new Spectrogram(at(`${name}-picture`), watched.analysers[i]));
  const samples = new Float32Array(1024);
  let last = 0;
  let told = 0;
  function look(now) {
    if (live !== watched) return;
    requestAnimationFrame(look);
    if (now - last < (still.matches ? 250 : 30)) return;
    last = now;
    for (const picture of pictures) picture.draw();
    const levels = watched.analysers.map((analyser) => {
      analyser.getFloatTimeDomainData(samples);
      const power = samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length;
      return Math.max(FLOOR_DB, 10 * Math.log10(power + 1e-12));
    });
    ["noisy", "clean"].forEach((name, i) => at(`${name}-meter`).style.setProperty("--level", 1 - levels[i] / FLOOR_DB));
    if (now - told < 250) return;
    told = now;
    ["noisy", "clean"].forEach((name, i) => {
      at(`${name}-meter`).setAttribute("aria-valuenow", Math.round(levels[i]));
      at(`${name}-db`).textContent = `${Math.round(levels[i])} dB`;
    });
    at("latency").textContent = `${Math.round(1000 * watched.latency)} ms`;
    at("gaps").textContent = String(watched.gaps + watched.lost);
  }
  requestAnimationFrame(look);
}

// A file -------------------------------------------------------------------------------------------------------------

let deck = null;
let address = "";
let turn = 0; // the file that was chosen last

async function take(file) {
  const mine = ++turn;
  deck?.pause();
  at("file-result").hidden = true;
  at("progress").hidden = false;
  at("progress").value = 0;
  say("file-status", `${file.name} goes up ...`);
  const query = { backend: at("backend").value || "rnnoise" };
  if (limit() !== null) query.atten_lim_db = limit();
  try {
    const { blob, name } = await clean(file, query, key, (share) => {
      if (mine !== turn) return;
      if (share === null) {
        at("progress").removeAttribute("value");
        say("file-status", `${file.name} is cleaned ...`);
      } else at("progress").value = share;
    });
    if (mine !== turn) return;
    URL.revokeObjectURL(address);
    address = URL.createObjectURL(blob);
    at("download").href = address;
    at("download").download = name;
    at("file-result").hidden = false;
    say("file-status", `${name} is ready.`);
    await load(file, blob);
  } catch (error) {
    if (mine !== turn) return;
    if (error.status === 401) at("key-form").hidden = false;
    say("file-status", error.message, at("file-result").hidden);
  } finally {
    if (mine === turn) at("progress").hidden = true;
  }
}

// Puts both versions on the deck; where the browser cannot, the result is there all the same.
async function load(file, blob) {
  if (!deck) {
    deck = new window.denoiseReport.Deck(new AudioContext());
    deck.output.connect(deck.context.destination);
    deck.onended = showDeck;
  }
  for (const id of ["play", "place", "file-noisy", "file-clean"]) at(id).disabled = true;
  deck.load(await decoded(deck.context, file, blob), [1, 1]);
  for (const id of ["play", "place", "file-noisy", "file-clean"]) at(id).disabled = false;
  at("place").max = deck.seconds;
  chooseFile(true);
  showDeck();
}

function chooseFile(clean) {
  press("file", clean);
  deck?.select(clean ? 1 : 0);
}
at("file-noisy").addEventListener("click", () => chooseFile(false));
at("file-clean").addEventListener("click", () => chooseFile(true));

at("play").addEventListener("click", async () => {
  await deck.context.resume();
  if (deck.playing) deck.pause();
  else deck.play();
  showDeck();
});
at("place").addEventListener("input", () => deck?.move(Number(at("place").value)));

function showDeck() {
  at("play").textContent = deck.playing ? "Pause" : "Play";
  if (document.activeElement !== at("place")) at("place").value = deck.position;
  at("place").setAttribute("aria-valuetext", `${deck.position.toFixed(1)} s of ${deck.seconds.toFixed(1)} s`);
  if (deck.playing) setTimeout(showDeck, 200);
}

at("file").addEventListener("change", () => {
  if (at("file").files.length) take(at("file").files[0]);
});
for (const name of ["dragover", "dragleave", "drop"]) {
  addEventListener(name, (event) => {
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    at("drop").classList.toggle("over", name === "dragover");
    if (name === "drop" && event.dataTransfer.files.length) take(event.dataTransfer.files[0]);
  });
}

// Keys ---------------------------------------------------------------------------------------------------------------

addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey || event.target.closest("input:not([type=range]), select")) return;
  if (event.key !== "n" && event.key !== "c") return;
  chooseLive(event.key === "c");
  if (deck?.seconds) chooseFile(event.key === "c");
});

const why = obstacle();
if (why) say("live-status", why, true);
window.denoisePage = {
  ready: loadBackends().catch((error) => say("live-status", error.message, true)),
  get live() { return live; },
  get deck() { return deck; },
};
