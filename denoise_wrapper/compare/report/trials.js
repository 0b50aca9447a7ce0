"use strict";

// What a blind test asks, in which order, and what its answers say. Nothing here knows the page.
(() => {
  const LIKELY = 0.05; // the usual level: what chance alone does at most once in twenty tests

  // 128 bits, as text of 32 hexadecimal digits.
  function newSeed() {
    return [...crypto.getRandomValues(new Uint32Array(4))].map((word) => word.toString(16).padStart(8, "0")).join("");
  }

  // Whole numbers below n, the same ones for the same seed. The generator is sfc32 (Doty-Humphrey, PractRand).
  function randomOf(seed) {
    let [a, b, c, count] = seed.match(/.{8}/g).map((word) => parseInt(word, 16));
    const next = () => {
      const sum = (a + b + count) >>> 0;
      count = (count + 1) >>> 0;
      a = b ^ (b >>> 9);
      b = (c + (c << 3)) >>> 0;
      c = (((c << 21) | (c >>> 11)) + sum) >>> 0;
      return sum;
    };
    for (let i = 0; i < 16; i++) next(); // until each bit of the seed has reached each bit of the state
    return (n) => Math.floor((next() / 2 ** 32) * n);
  }

  function shuffled(items, random) {
    const order = [...items];
    for (let last = order.length - 1; last > 0; last--) {
      const other = random(last + 1);
      [order[last], order[other]] = [order[other], order[last]];
    }
    return order;
  }

  // Trials {clip, a, b, x}: which candidates are A and B, by name, and in mode "abx" which of the two X is, "a" or "b".
  // Each pair is asked of each of clips (clipsOf(pair)) once, in a random order, before any is asked again.
  function plan({ mode, pairs, clipsOf, trials, seed }) {
    const random = randomOf(seed);
    const all = pairs.flatMap((pair) => clipsOf(pair).map((clip) => ({ clip, pair })));
    const order = [];
    while (all.length && order.length < trials) order.push(...shuffled(all, random));
    return order.slice(0, trials).map(({ clip, pair }) => {
      const [a, b] = random(2) ? pair : [...pair].reverse();
      return mode === "abx" ? { clip, a, b, x: random(2) ? "a" : "b" } : { clip, a, b };
    });
  }

  // How likely k or more of n tosses of a coin are heads: exact.
  function tail(k, n) {
    let term = 0.5 ** n; // of exactly n - i, as i heads are as likely as n - i
    let sum = 0;
    for (let i = 0; i <= n - k; i++) {
      sum += term;
      term *= (n - i) / (i + 1);
    }
    return Math.min(1, sum);
  }

  // The exact p-value of a result at least as uneven, either way.
  const twoSided = (k, n) => Math.min(1, 2 * tail(Math.max(k, n - k), n));

  // The least number of n that must be right for p <= 0.05, null if even all are too few.
  function needed(n) {
    for (let k = 0; k <= n; k++) if (tail(k, n) <= LIKELY) return k;
    return null;
  }

  // What answered trials say. ABX: one-sided, for worse than chance means nothing. Preference: for each pair, of the
  // trials in which one was preferred, two-sided.
  function judge(mode, pairs, trials) {
    if (mode === "abx") {
      const correct = trials.filter((trial) => trial.correct).length;
      return { correct, trials: trials.length, p_value: tail(correct, trials.length) };
    }
    return pairs.map(([first, second]) => {
      const asked = trials.filter(({ a, b }) => [a, b].includes(first) && [a, b].includes(second));
      const count = (name) => asked.filter((trial) => trial.preferred === name).length;
      const [one, two, ties] = [count(first), count(second), count(null)];
      return { first, second, first_preferred: one, second_preferred: two, ties, p_value: twoSided(one, one + two) };
    });
  }

  // A table of objects that have the same keys, by RFC 4180.
  function toCsv(rows) {
    const cell = (value) => {
      const text = String(value ?? "");
      return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
    };
    const lines = [Object.keys(rows[0]), ...rows.map(Object.values)];
    return lines.map((line) => `${line.map(cell).join(",")}\r\n`).join("");
  }

  window.denoiseReport.trials = { LIKELY, newSeed, plan, tail, twoSided, needed, judge, toCsv };
})();
