// What came back: an entry for each frame, in frame order, and the files that can be made of it.
// Poses are kept for all frames of a file and the newest of a webcam; pictures and meshes, which are large, for the newest.

import { coarser } from './coarser.js';

const KEPT_PICTURES = 3000;
const KEPT_LIVE = 9000;
const TENTHS_MM = 1e4;

/** What can be said of a frame, from best to worst. */
export const STATES = ['detected', 'recovered', 'predicted', 'missing'];

export class Results {
  constructor() {
    this.clear({ expected: null, live: false });
  }

  /** Forget everything; `expected` frames are to come, null if unknown. */
  clear({ expected, live }) {
    this.expected = expected;
    this.live = live;
    this.entries = [];
    this.counts = Object.fromEntries(STATES.map((state) => [state, 0]));
    this._tracks = new Set();
    this.newest = -1;
    this.done = 0;
    this.failed = 0;
    this.faces ??= null;
    this._fewerFaces ??= null;
    this.angleNames ??= [];
  }

  /** How many frames there are or are to come, forgotten ones included. */
  get length() {
    return Math.max(this.entries.length, this.expected ?? 0);
  }

  /** The first frame that is kept. */
  get first() {
    return this.live ? Math.max(0, this.entries.length - KEPT_LIVE) : 0;
  }

  /** A quarter of the triangles, of the same vertices. */
  get fewerFaces() {
    if (this.faces) this._fewerFaces ??= coarser(this.faces);
    return this._fewerFaces;
  }

  /** The ids of all tracks, in the order in which they appeared. */
  get tracks() {
    return [...this._tracks];
  }

  sent(number, timestampMs) {
    this.entries[number] = { number, timestampMs, state: null };
    if (this.live) delete this.entries[number - KEPT_LIVE];
  }

  received({ number, picture, line, summary, meshes, faces, failure }) {
    const entry = this.entries[number];
    this.done += 1;
    if (!entry) return; // forgotten meanwhile
    this.newest = Math.max(this.newest, number);
    if (faces) Object.assign(this, { faces, _fewerFaces: null });
    if (failure) {
      this.failed += 1;
      Object.assign(entry, { state: 'missing', picture, failure, people: [], primary: null, meshes: [] });
    } else {
      const { people, primary, angleNames } = summary;
      if (angleNames.length) this.angleNames = angleNames;
      const first = people.find((person) => person.trackId === primary);
      const state = first?.state ?? 'missing';
      Object.assign(entry, { state, picture, line, people, primary, meshes });
      for (const person of people) this._tracks.add(person.trackId);
    }
    this.counts[entry.state] += 1;
    const old = this.entries[number - KEPT_PICTURES];
    if (old) Object.assign(old, { picture: null, meshes: [] });
  }

  /** What is known of a frame, its answer read; null where nothing has come yet. */
  read(number) {
    const entry = this.entries[number];
    if (!entry?.state) return null;
    return { ...entry, answer: entry.line ? JSON.parse(entry.line) : null };
  }

  /** All answers, one a line, as the service gave them but for the constant triangles. */
  jsonLines({ withMeshes }) {
    const parts = [];
    for (const entry of this.entries) {
      if (entry?.state) parts.push(withMeshes ? withVertices(entry) : withTime(entry), '\n');
    }
    return new Blob(parts, { type: 'application/x-ndjson' });
  }
}

function withTime(entry) {
  const time = `{"timestamp_ms":${entry.timestampMs}`;
  if (!entry.line) return `${time},"frame_number":${entry.number},"error":${JSON.stringify(entry.failure)}}`;
  return `${time},${entry.line.slice(1)}`;
}

function withVertices(entry) {
  const meshes = entry.meshes.map(({ trackId, vertices }) => `"${trackId}":[${rows(vertices)}]`);
  return `${withTime(entry).slice(0, -1)},"meshes":{${meshes}}}`;
}

function rows(vertices) {
  const texts = [];
  for (let at = 0; at < vertices.length; at += 3) {
    texts.push(`[${vertices[at] / TENTHS_MM},${vertices[at + 1] / TENTHS_MM},${vertices[at + 2] / TENTHS_MM}]`);
  }
  return texts.join(',');
}
