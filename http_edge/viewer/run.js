// One run: a source's frames go to the service, several at a time, each with its number and its time.

const LATENCIES = 200; // of the latest answers

/** Trusted Types: this is the only script address that the page makes, and pages cannot make markup at all. */
const trusted = globalThis.trustedTypes?.createPolicy('courier', { createScriptURL: (url) => url });
const COURIER = '/viewer/courier.js';

export class Courier {
  constructor() {
    this._worker = new Worker(trusted ? trusted.createScriptURL(COURIER) : COURIER, { type: 'module' });
    this._worker.onmessage = ({ data }) => this._deliver(data);
    this._deliver = () => {};
  }

  /**
   * Send all frames of a source; resolves when the last answer has come or the run was stopped.
   * @param {{frames: AsyncIterable, framesPerSecond: number | null}} source
   * @param {{longestPx: number, meshes: string, window: () => number, token: string | null}} options
   * @param {{sent: Function, received: Function}} listener
   */
  async run(source, options, listener, stopped) {
    const run = new Run(listener);
    const sessionId = `page-${randomHex(16)}`;
    this._deliver = (reply) => {
      if (reply.sessionId === sessionId) run.take(reply); // another's may still have been on its way
    };
    stopped.addEventListener('abort', () => {
      this._worker.postMessage({ stop: true });
      run.end();
    });
    let number = 0;
    for await (const { image, matrix, timestampMs } of source.frames) {
      await run.room(options.window());
      if (stopped.aborted) {
        image.close();
        break;
      }
      run.sent(number, timestampMs);
      const { longestPx, meshes, token } = options;
      const { framesPerSecond } = source;
      const frame = { image, matrix, number, timestampMs, sessionId, framesPerSecond, longestPx, meshes, token };
      this._worker.postMessage(frame, [image]);
      number += 1;
    }
    await run.room(1);
  }
}

/** What is under way, and how fast it goes. */
class Run {
  constructor(listener) {
    this._listener = listener;
    this._began = performance.now();
    this._flying = 0;
    this._done = 0;
    this._latencies = [];
    this._ended = false;
    this._wake = () => {};
  }

  /** Wait until fewer than `window` frames are under way. */
  async room(window) {
    while (this._flying >= window && !this._ended) {
      await new Promise((resolve) => { this._wake = resolve; });
    }
  }

  sent(number, timestampMs) {
    this._flying += 1;
    this._listener.sent(number, timestampMs);
  }

  take(reply) {
    if (this._ended) return;
    this._flying -= 1;
    this._done += 1;
    if (reply.latencyMs) this._latencies = [...this._latencies.slice(1 - LATENCIES), reply.latencyMs];
    this._listener.received(reply, this._figures());
    this._wake();
  }

  end() {
    this._ended = true;
    this._wake();
  }

  _figures() {
    const sorted = [...this._latencies].sort((a, b) => a - b);
    const at = (share) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? null;
    const seconds = (performance.now() - this._began) / 1e3;
    return { framesPerSecond: this._done / seconds, medianMs: at(0.5), slowMs: at(0.95), flying: this._flying };
  }
}

/** Works without https, where `crypto.randomUUID` is missing. */
const randomHex = (bytes) =>
  Array.from(crypto.getRandomValues(new Uint8Array(bytes)), (value) => value.toString(16).padStart(2, '0')).join('');
