// The microphone through the server and back. Nothing here knows the page.

const CHUNK_S = 0.01;
const AHEAD_S = 0.06; // of sound that the player waits for, against the network's moods
const MOST_S = 0.3; // that may pile up
const MOST_ASKED = 40; // chunks without an answer
const PROTOCOL = "denoise.v1";
const MICROPHONE = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };

const REASONS = {
  NotAllowedError: "The browser was not allowed to use the microphone. Allow it beside the address of this page.",
  NotFoundError: "There is no microphone.",
  NotReadableError: "The microphone cannot be read; another program may have it.",
};

// Says why there can be no microphone here, or "".
export function obstacle() {
  if (!isSecureContext)
    return (
      "Browsers give the microphone only to pages of this machine and to pages that came encrypted: " +
      "start the server with --tls-cert and --tls-key, and open it as https://. Files work without."
    );
  if (!navigator.mediaDevices?.getUserMedia || !window.AudioWorkletNode) return "This browser has no microphone for pages.";
  return "";
}

// Protocols of the WebSocket: its own, and the key, as a page can send no header.
export function protocols(key) {
  if (!key) return [PROTOCOL];
  const code = btoa(key).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
  return [PROTOCOL, `key.${code}`];
}

// Samples in the order in which they came, late by some: what stands beside the cleaned ones.
class Delay {
  constructor(frames) {
    this.parts = [new Float32Array(frames)];
    this.at = 0;
  }

  push(samples) {
    this.parts.push(samples);
  }

  take(count) {
    const taken = new Float32Array(count);
    for (let done = 0; done < count; ) {
      const part = this.parts[0];
      const size = Math.min(count - done, part.length - this.at);
      taken.set(part.subarray(this.at, this.at + size), done);
      done += size;
      this.at += size;
      if (this.at === part.length) {
        this.parts.shift();
        this.at = 0;
      }
    }
    return taken;
  }
}

export class Live {
  // wish: {backend, atten_lim_db, latency_s, key}. tell: called with (event, value): "speech", "ended" with a sentence.
  constructor(wish, tell) {
    this.wish = wish;
    this.tell = tell;
    this.lost = this.gaps = 0;
    this.waiting = 0; // frames in the player
    this.sent = []; // times of chunks without an answer yet
    this.trip = 0; // ms, of a chunk to the server and back
    this.started = null;
    this.over = false;
  }

  // Raises an Error in words.
  async start() {
    const context = (this.context = new AudioContext({ latencyHint: "interactive" }));
    try {
      this.microphone = await navigator.mediaDevices.getUserMedia({ audio: MICROPHONE });
      await context.audioWorklet.addModule("/worklet.js");
      await this.connect();
    } catch (error) {
      this.stop();
      throw new Error(REASONS[error.name] || error.message, { cause: error });
    }
    const [track] = this.microphone.getAudioTracks();
    track.onended = () => this.end("The microphone is gone. Plug it in again and start anew.");
    const rate = context.sampleRate;
    this.capture = new AudioWorkletNode(context, "capture", {
      numberOfOutputs: 0,
      processorOptions: { frames: Math.round(CHUNK_S * rate) },
    });
    this.player = new AudioWorkletNode(context, "player", {
      numberOfInputs: 0,
      numberOfOutputs: 3,
      outputChannelCount: [1, 1, 1],
      processorOptions: { ahead: Math.round(AHEAD_S * rate), most: Math.round(MOST_S * rate) },
    });
    this.output = new GainNode(context, { gain: 1 });
    this.player.connect(this.output, 0).connect(context.destination);
    this.analysers = [1, 2].map((number) => {
      const analyser = new AnalyserNode(context, { fftSize: 1024, minDecibels: -100, maxDecibels: -20, smoothingTimeConstant: 0 });
      this.player.connect(analyser, number);
      return analyser;
    });
    this.player.port.onmessage = ({ data }) => {
      this.waiting = data.waiting;
      this.gaps = data.gaps;
    };
    this.delay = new Delay(this.started.latency);
    this.capture.port.onmessage = ({ data }) => this.send(data);
    new MediaStreamAudioSourceNode(context, { mediaStream: this.microphone }).connect(this.capture);
    await context.resume();
  }

  // Opens the WebSocket and begins a stream.
  connect() {
    const { backend, atten_lim_db, latency_s, key } = this.wish;
    const url = `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/v1/stream`;
    const socket = (this.socket = new WebSocket(url, protocols(key)));
    socket.binaryType = "arraybuffer";
    return new Promise((resolve, reject) => {
      socket.onopen = () => {
        const rate = this.context.sampleRate;
        const latency = latency_s ? Math.ceil(latency_s * rate) : undefined;
        this.command({ type: "start", sample_rate: rate, dtype: "float32", backend, atten_lim_db, latency, speech: true });
      };
      socket.onmessage = ({ data }) => {
        const words = JSON.parse(data);
        if (words.type !== "started") return reject(new Error(words.message));
        this.started = words;
        socket.onmessage = ({ data: more }) => this.hear(more);
        resolve();
      };
      socket.onerror = () => reject(new Error("The server does not answer, takes no more streams, or wants another key."));
      socket.onclose = () => {
        reject(new Error("The server has ended the stream."));
        this.end(this.reason || "The server has ended the stream. Start anew.");
      };
    });
  }

  command(words) {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(words));
  }

  send(samples) {
    if (this.over || this.socket.readyState !== WebSocket.OPEN) return;
    if (this.sent.length >= MOST_ASKED) {
      this.lost++; // the network, the server or this machine is too slow: better a gap than ever later
      return;
    }
    this.delay.push(samples);
    this.sent.push(performance.now());
    this.socket.send(samples);
  }

  hear(data) {
    if (typeof data === "string") {
      const words = JSON.parse(data);
      if (words.type === "speech") this.tell("speech", words.probability);
      else if (words.type === "error" || words.type === "end") this.tell("said", (this.reason = words.message));
      else this.tell("changed", words);
      return;
    }
    if (this.sent.length) {
      const trip = performance.now() - this.sent.shift();
      this.trip += 0.05 * (trip - this.trip);
    }
    const clean = new Float32Array(data);
    this.player.port.postMessage({ pair: [this.delay.take(clean.length), clean] });
  }

  choose(clean) {
    this.player?.port.postMessage({ clean });
  }

  mute(muted) {
    const now = this.context.currentTime;
    this.output?.gain.setTargetAtTime(muted ? 0 : 1, now, 0.01);
  }

  // Seconds from the microphone to the ear, as far as a page can know.
  get latency() {
    const { context, started } = this;
    const stream = started ? started.latency / context.sampleRate : 0;
    const devices = (context.baseLatency || 0) + (context.outputLatency || 0);
    return CHUNK_S + this.trip / 1000 + this.waiting / context.sampleRate + stream + devices;
  }

  end(why) {
    if (this.over) return;
    this.stop();
    this.tell("ended", why);
  }

  stop() {
    this.over = true;
    for (const track of this.microphone?.getTracks() ?? []) track.stop();
    this.socket?.close();
    if (this.context?.state !== "closed") this.context?.close();
  }
}
