/**
 * A client of the wire protocol in another language than the service's, written from `wire/PROTOCOL.md` alone.
 *
 * One connection, any number of requests under way. What is unanswered when the broker comes back is sent again, in
 * its first order and under its old ids.
 */

import { randomBytes } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";

import { decode, encode } from "@msgpack/msgpack";
import { Dealer } from "zeromq";

const VERSION = 1;
const LOOK_AGAIN_MS = 10;
const GRACE_MS = 1_000; // the broker answers at the deadline itself, unless it is away

const NUMBERS = {
  uint8: Uint8Array,
  int32: Int32Array,
  int64: BigInt64Array,
  float32: Float32Array,
  float64: Float64Array,
};

/** A request that failed; `code` is one of the page's. */
export class Failure extends Error {
  constructor(code, message, retryAfterS = null) {
    super(message);
    this.code = code;
    this.retryAfterS = retryAfterS;
  }
}

/** The bytes of a picture of bare pixels: `rgb` holds height x width x 3 of them, row by row from the top. */
export function ppm(rgb, width, height) {
  return Buffer.concat([Buffer.from(`P6\n${width} ${height}\n255\n`), rgb]);
}

export class Broker {
  #socket = new Dealer({ immediate: true, linger: 0, sendTimeout: 0, reconnectInterval: 50, reconnectMaxInterval: 1000 });
  #open = new Map(); // request id as hex -> request, in the order in which they were first sent
  #unsent = [];
  #sending = false;

  constructor(endpoint) {
    this.#socket.events.on("handshake", () => {
      this.connections += 1;
      this.#unsent = [...this.#open.values()];
      this.#send();
    });
    this.#socket.connect(endpoint);
    this.#receive();
  }

  /** How often a connection came about. */
  connections = 0;

  /** One picture; its `{ result, arrays, png }`. Rejects with a `Failure`. */
  frame(sessionId, frameNumber, picture, { deadlineMs = 110_000, ...fields } = {}) {
    const header = { type: "frame", frame_number: frameNumber, session_id: sessionId, ...fields };
    return this.#ask(header, [picture], deadlineMs);
  }

  /** How the broker is. */
  status(timeoutMs = 10_000) {
    return this.#ask({ type: "status" }, [], timeoutMs);
  }

  /** The answers to a video's pictures, or their failures, in order; `window` of them are under way. */
  async *track(sessionId, pictures, { window = 8, ...fields } = {}) {
    const underWay = [];
    let number = 0;
    for await (const picture of pictures) {
      if (underWay.length >= window) yield await underWay.shift();
      underWay.push(this.#tracked(sessionId, number, picture, fields));
      number += 1;
    }
    while (underWay.length) yield await underWay.shift();
  }

  close() {
    this.#socket.close();
    for (const request of this.#open.values()) {
      clearTimeout(request.timer);
      request.reject(new Failure("internal", "the connection was closed"));
    }
    this.#open.clear();
  }

  async #tracked(sessionId, number, picture, fields) {
    for (;;) {
      try {
        return { number, ...(await this.frame(sessionId, number, picture, fields)) };
      } catch (error) {
        if (!(error instanceof Failure)) throw error;
        if (error.code !== "busy") return { number, failure: error };
        await pause(1000 * (error.retryAfterS ?? 0.25));
      }
    }
  }

  #ask(header, payload, timeoutMs) {
    const id = randomBytes(16);
    const until = performance.now() + timeoutMs;
    return new Promise((resolve, reject) => {
      const late = () => {
        this.#open.delete(id.toString("hex"));
        reject(new Failure("deadline_exceeded", "no answer came in time"));
      };
      const timer = setTimeout(late, timeoutMs + GRACE_MS);
      const request = { id, header, payload, until, timer, resolve, reject };
      this.#open.set(id.toString("hex"), request);
      this.#unsent.push(request);
      this.#send();
    });
  }

  async #send() {
    if (this.#sending) return;
    this.#sending = true;
    try {
      while (this.#unsent.length && !this.#socket.closed) {
        const request = this.#unsent[0];
        if (this.#open.has(request.id.toString("hex"))) {
          try {
            await this.#socket.send(parts(request));
          } catch (error) {
            if (error.code !== "EAGAIN") throw error;
            await pause(LOOK_AGAIN_MS); // nobody is there, or he does not read
            continue;
          }
        }
        if (this.#unsent[0] === request) this.#unsent.shift(); // else a new connection began the list anew
      }
    } finally {
      this.#sending = false;
    }
  }

  async #receive() {
    for await (const [head, ...payload] of this.#socket) {
      const header = decode(head);
      const id = Buffer.from(header.request_id ?? []).toString("hex");
      const request = this.#open.get(id);
      const read = READERS[header.type];
      if (!request || !read) continue;
      this.#open.delete(id);
      clearTimeout(request.timer);
      try {
        request.resolve(read(header, payload));
      } catch (error) {
        request.reject(error);
      }
    }
  }
}

const READERS = {
  result: (header, payload) => ({
    result: header,
    arrays: Object.fromEntries(header.arrays.map(([name, dtype, shape], i) => [name, array(dtype, shape, payload[i])])),
    png: header.has_png ? payload[header.arrays.length] : null,
  }),
  failure: (header) => {
    throw new Failure(header.code, header.message, header.retry_after_s ?? null);
  },
  status_reply: (header) => header,
};

function parts({ id, header, payload, until }) {
  const fields = { ...header, v: VERSION, request_id: id };
  if (header.type === "frame") fields.deadline_ms = Math.max(1, Math.round(until - performance.now()));
  return [encode(fields, { ignoreUndefined: true }), ...payload];
}

function array(dtype, shape, bytes) {
  const Numbers = NUMBERS[dtype];
  const copied = Uint8Array.from(bytes); // typed arrays want to begin at a multiple of their size
  return { shape, numbers: new Numbers(copied.buffer) };
}
