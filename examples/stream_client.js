// Cleans raw PCM through a server, chunk by chunk over a WebSocket. Node 22 has WebSocket; in a page it is the same.
//
//   denoise-wrapper serve &
//   node examples/stream_client.js NOISY.raw CLEAN.raw 48000 [ws://127.0.0.1:8000/v1/stream [KEY]]
"use strict";
const fs = require("node:fs");

const [, , source, target, rate, url = "ws://127.0.0.1:8000/v1/stream", key = ""] = process.argv;
if (!rate) throw new Error("usage: stream_client.js NOISY.raw CLEAN.raw RATE [URL [KEY]]: int16, mono");
if (!globalThis.WebSocket) {
  console.error(`stream_client.js needs Node 22 or newer, which has WebSocket; this is ${process.version}`);
  process.exit(1);
}
const noisy = fs.readFileSync(source);
const bytes = 2 * Math.round(rate / 100); // 10 ms
const protocols = ["denoise.v1", ...(key ? [`key.${Buffer.from(key).toString("base64url")}`] : [])];

const socket = new WebSocket(url, protocols);
socket.binaryType = "arraybuffer";
const parts = [];
let at = 0;
let latency = 0; // frames

function next() {
  if (at < noisy.length) socket.send(noisy.subarray(at, (at += bytes)));
  else socket.send(JSON.stringify({ type: "flush" })); // gives the last `latency` frames
}

socket.onopen = () => socket.send(JSON.stringify({ type: "start", sample_rate: Number(rate), dtype: "int16" }));
socket.onerror = () => (process.exitCode = 1);
socket.onmessage = ({ data }) => {
  if (typeof data !== "string") {
    parts.push(Buffer.from(data)); // as many samples as were sent
    if (at < noisy.length || parts.length === Math.ceil(noisy.length / bytes)) next();
    return;
  }
  const words = JSON.parse(data);
  if (words.type === "started") {
    latency = words.latency;
    next();
  } else if (words.type === "flushed") {
    fs.writeFileSync(target, Buffer.concat(parts).subarray(2 * latency)); // in time with the noisy one
    socket.close();
  } else throw new Error(words.message);
};
