// Pictures of what an analyser hears: the last seconds from left to right, low tones below.

const MOST_HZ = 12000;

// Black over violet and orange to pale yellow; so that quiet and loud differ in light, not in hue alone.
const COLOURS = Uint8ClampedArray.from(
  Array.from({ length: 256 }, (_, level) => {
    const x = level / 255;
    return [255 * Math.min(1, 1.6 * x), 255 * x ** 2.2, 255 * (0.55 * Math.sin(Math.PI * Math.min(1, 1.25 * x)) + 0.7 * x ** 6), 255];
  }).flat(),
);

export class Spectrogram {
  constructor(canvas, analyser) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d", { alpha: false });
    this.analyser = analyser;
    this.levels = new Uint8Array(analyser.frequencyBinCount);
    this.column = this.context.createImageData(2, canvas.height);
    const bins = Math.min(this.levels.length, (this.levels.length * MOST_HZ) / (analyser.context.sampleRate / 2));
    // The root of the frequency: the speech gets the room.
    this.rows = Array.from({ length: canvas.height }, (_, row) =>
      Math.min(this.levels.length - 1, Math.floor(bins * ((canvas.height - 1 - row) / (canvas.height - 1)) ** 2)),
    );
  }

  draw() {
    const { canvas, context, column } = this;
    this.analyser.getByteFrequencyData(this.levels);
    this.rows.forEach((bin, row) => {
      const colour = COLOURS.subarray(4 * this.levels[bin], 4 * this.levels[bin] + 4);
      column.data.set(colour, 8 * row);
      column.data.set(colour, 8 * row + 4);
    });
    context.drawImage(canvas, -2, 0);
    context.putImageData(column, canvas.width - 2, 0);
  }
}
