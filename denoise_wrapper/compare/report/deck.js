"use strict";

// Sound: tracks of a clip that start on the same sample and play together, of which one is heard.
// Nothing here knows the page. Times are seconds, of the context's clock or within the clip; gains are factors.
(() => {
  const RAMP = 0.006; // of a switch: too long to click, too short to be heard as a fade
  const AHEAD = 0.012; // from a command to the change, so that the audio thread hears of it in time
  const FORMATS = { "audio/ogg": "Ogg Opus", "audio/flac": "FLAC" };

  function ramp(parameter, from, to, time) {
    parameter.setValueAtTime(from, time);
    parameter.linearRampToValueAtTime(to, time + RAMP);
  }

  class Deck {
    // context: an AudioContext, or an OfflineAudioContext. output: the node whose sound is that of the deck.
    constructor(context) {
      this.context = context;
      this.output = new GainNode(context);
      this.onended = () => {};
      this.free = 0; // when the change that was ordered last is over
      this.clear();
    }

    // Takes the tracks of a clip: AudioBuffers, null for one that is missing, and the gain of each. Paused, at 0.
    load(buffers, gains) {
      this.clear();
      this.buffers = buffers;
      this.gains = gains;
      const lengths = buffers.flatMap((buffer) => (buffer ? [buffer.duration] : []));
      this.seconds = Math.max(0, ...lengths);
      this.shortest = Math.min(this.seconds, ...lengths); // no loop ends later, for all tracks must turn at once
    }

    // Lets go of all audio.
    clear() {
      this.pause();
      this.buffers = [];
      this.gains = [];
      this.selected = 0;
      this.rest = 0; // the position while nothing plays
      this.loop = null; // or [from, to]
      this.seconds = this.shortest = 0;
    }

    get playing() {
      return Boolean(this.run);
    }

    // The position that is heard now: what is computed now leaves the loudspeaker a little later.
    get position() {
      return this.at(this.context.currentTime - (this.context.outputLatency || 0));
    }

    play() {
      if (this.run || !this.seconds) return;
      if (this.rest > this.seconds - RAMP) this.rest = 0;
      this.start(this.inside(this.rest), this.soon());
    }

    pause() {
      if (!this.run) return;
      const time = this.soon();
      this.rest = this.at(time);
      this.stop(time);
    }

    // Goes on from another position, or at the same in another loop. A position outside of the loop becomes its start.
    move(position = null, loop = this.loop) {
      const time = this.run ? this.soon() : this.context.currentTime;
      const next = position ?? this.at(time);
      this.loop = loop && loop.map((edge) => Math.min(this.whole(edge), this.shortest));
      if (this.run) {
        this.stop(time);
        this.start(this.inside(next), time);
      } else {
        this.rest = this.inside(next);
      }
    }

    select(track) {
      this.selected = track;
      this.setGains(this.gains);
    }

    setGains(gains) {
      this.gains = gains;
      const run = this.run;
      if (!run) return;
      const time = this.soon();
      run.levels.forEach((level, track) => {
        const gain = this.gain(track);
        if (level && gain !== run.gains[track]) ramp(level.gain, run.gains[track], gain, time);
        run.gains[track] = gain;
      });
    }

    gain(track) {
      return track === this.selected ? this.gains[track] : 0;
    }

    // Position at a time of the context's clock, which may lie before the change that was ordered last.
    at(time) {
      const run = this.run;
      if (!run) return this.rest;
      let position = run.position + Math.max(0, time - run.time);
      if (run.loop) {
        const [from, to] = run.loop;
        position = from + ((position - from) % (to - from));
      }
      return Math.min(position, this.seconds);
    }

    inside(position) {
      const within = Math.min(Math.max(this.whole(position), 0), this.seconds);
      if (!this.loop) return within;
      return within >= this.loop[0] && within < this.loop[1] ? within : this.loop[0];
    }

    // Whole samples, so that sources copy samples and need not interpolate.
    whole(seconds) {
      return Math.round(seconds * this.context.sampleRate) / this.context.sampleRate;
    }

    // When the next change begins: as soon as can be, but no ramp is cut short by the one after it.
    soon() {
      const rate = this.context.sampleRate;
      const time = Math.ceil(Math.max(this.context.currentTime + AHEAD, this.free) * rate) / rate;
      this.free = time + RAMP + 1 / rate; // what is cancelled from this time on must not include the ramp's end
      return time;
    }

    // All tracks from one position at one time, for as long as nothing but their gains is changed.
    start(position, time) {
      const context = this.context;
      const fade = new GainNode(context, { gain: 0 });
      const run = { position, time, fade, loop: this.loop, sources: [], levels: [], gains: [], end: Infinity };
      fade.connect(this.output);
      ramp(fade.gain, 0, 1, time);
      if (!run.loop) {
        run.end = time + this.seconds - position;
        ramp(fade.gain, 1, 0, Math.max(run.end - RAMP, time + RAMP));
      }
      const sum = run.loop ? this.seam(run) : fade;
      const [loopStart, loopEnd] = run.loop || [0, 0];
      this.buffers.forEach((buffer, track) => {
        run.gains.push(this.gain(track));
        run.levels.push(buffer && new GainNode(context, { gain: this.gain(track) }));
        if (!buffer) return;
        const source = new AudioBufferSourceNode(context, { buffer, loop: Boolean(run.loop), loopStart, loopEnd });
        source.connect(run.levels[track]).connect(sum);
        source.start(time, position);
        run.sources.push(source);
      });
      const longest = run.sources.find((source) => source.buffer.duration === this.seconds);
      longest.onended = () => this.ended(run);
      this.run = run;
    }

    // A gain that is 0 where a loop's end meets its start and 1 in between: an envelope that loops as the tracks do.
    seam(run) {
      const [from, to] = run.loop;
      const rate = this.context.sampleRate;
      const length = Math.max(1, Math.round((to - from) * rate));
      const buffer = new AudioBuffer({ length, sampleRate: rate });
      const envelope = buffer.getChannelData(0).fill(1);
      const edge = Math.min(Math.round(RAMP * rate), Math.floor(length / 2));
      for (let i = 0; i < edge; i++) envelope[i] = envelope[length - 1 - i] = i / edge;
      const source = new AudioBufferSourceNode(this.context, { buffer, loop: true });
      const gain = new GainNode(this.context, { gain: 0 });
      source.connect(gain.gain);
      source.start(run.time, run.position - from);
      run.sources.push(source);
      gain.connect(run.fade);
      return gain;
    }

    stop(time) {
      const { fade, sources, end } = this.run;
      fade.gain.cancelScheduledValues(time);
      ramp(fade.gain, Math.min(1, Math.max(0, (end - time) / RAMP)), 0, time);
      for (const source of sources) source.stop(time + RAMP);
      this.run = null;
    }

    ended(run) {
      run.fade.disconnect();
      if (this.run !== run) return;
      this.rest = this.seconds;
      this.run = null;
      this.onended();
    }
  }

  // Decodes one track, {name, audio, error} of the page's data, at the context's rate. Raises an Error in words.
  async function decode(context, track) {
    const element = track.audio && document.getElementById(track.audio);
    if (!element) throw new Error(`${track.name} cannot be played: ${track.error || "the page has no audio of it"}`);
    const text = atob(element.textContent);
    const bytes = new Uint8Array(text.length);
    for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
    try {
      return await context.decodeAudioData(bytes.buffer);
    } catch {
      const format = FORMATS[element.dataset.type] || element.dataset.type;
      throw new Error(
        `${track.name} cannot be played: this browser does not decode its audio (${format}). ` +
          "Open the page in Firefox, Chrome or Edge, or write the report with FLAC audio.",
      );
    }
  }

  // Gains of tracks: to equal loudness if matched, else as they are.
  function gainsOf(tracks, matched) {
    return tracks.map((track) => (matched ? 10 ** (track.loudness_db / 20) : 1));
  }

  window.denoiseReport = { Deck, decode, gainsOf };
})();
