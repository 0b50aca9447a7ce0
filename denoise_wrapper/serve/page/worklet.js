// The audio thread: gathers the microphone's samples, and plays noisy and clean ones that belong together.

// Sends chunks of so many frames, mono, of its first input.
class Capture extends AudioWorkletProcessor {
  constructor({ processorOptions }) {
    super();
    this.chunk = new Float32Array(processorOptions.frames);
    this.filled = 0;
  }

  process([input]) {
    const channels = input.length;
    for (let i = 0; channels && i < input[0].length; i++) {
      let sum = 0;
      for (const channel of input) sum += channel[i];
      this.chunk[this.filled++] = sum / channels;
      if (this.filled === this.chunk.length) {
        this.port.postMessage(this.chunk, [this.chunk.buffer]);
        this.chunk = new Float32Array(this.filled);
        this.filled = 0;
      }
    }
    return true;
  }
}

// Plays pairs [noisy, clean] of as many samples: what is heard, and both as they are. One goes over into the other in
// 20 ms. Waits until some are there before it begins; what came too late is a gap, which fades; what piles up is left out.
class Player extends AudioWorkletProcessor {
  constructor({ processorOptions }) {
    super();
    this.ahead = processorOptions.ahead; // frames that it waits for
    this.most = processorOptions.most; // that it lets pile up
    this.size = 4 * this.most;
    this.rings = [new Float32Array(this.size), new Float32Array(this.size)];
    this.written = this.read = 0;
    this.share = this.wanted = 1; // of the clean one
    this.step = 1 / (0.02 * sampleRate);
    this.running = this.leaving = false;
    this.open = 0; // 0 to 1: of the fade around a gap
    this.last = [0, 0];
    this.gaps = 0;
    this.blocks = 0;
    this.port.onmessage = ({ data }) => this.take(data);
  }

  take(data) {
    if (data.clean !== undefined) {
      this.wanted = data.clean ? 1 : 0;
      return;
    }
    const [noisy, clean] = data.pair;
    for (let i = 0; i < noisy.length; i++) {
      const at = this.written++ % this.size;
      this.rings[0][at] = noisy[i];
      this.rings[1][at] = clean[i];
    }
    if (this.written - this.read > this.size) this.read = this.written - Math.round(this.ahead);
  }

  process(_, outputs) {
    const [heard, noisy, clean] = outputs.map((output) => output[0]);
    if (!this.running && this.written - this.read >= this.ahead) this.running = true;
    if (this.written - this.read > this.most) this.leaving = true;
    for (let i = 0; i < heard.length; i++) {
      if (this.running && this.written === this.read) {
        this.running = false;
        this.gaps++;
        this.ahead = Math.min(0.7 * this.most, 1.3 * this.ahead); // the network is moodier than thought
      }
      if (this.leaving && this.open === 0) {
        this.read = Math.max(this.read, this.written - Math.round(this.ahead));
        this.leaving = false;
        this.gaps++;
      }
      if (this.running) {
        const at = this.read++ % this.size;
        this.last = [this.rings[0][at], this.rings[1][at]];
      }
      const target = this.running && !this.leaving ? 1 : 0;
      this.open = target ? Math.min(1, this.open + 1 / 128) : Math.max(0, this.open - 1 / 128);
      const { share, wanted, step } = this;
      this.share = share < wanted ? Math.min(wanted, share + step) : Math.max(wanted, share - step);
      noisy[i] = this.open * this.last[0];
      clean[i] = this.open * this.last[1];
      heard[i] = noisy[i] + this.share * (clean[i] - noisy[i]);
    }
    if (++this.blocks % 38 === 0) this.port.postMessage({ waiting: this.written - this.read, gaps: this.gaps });
    return true;
  }
}

registerProcessor("capture", Capture);
registerProcessor("player", Player);
